"""The page of shapes names every model that Interlock returns to programs, and each of its keys."""

from collections.abc import Iterator

import pytest

import interlock
from interlock import Principal, Workflow, command, read
from interlock.commands.budgets.standing import BudgetStanding
from interlock.commands.cancelling.report import CancelledCall
from interlock.tools.results import WireModel
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/reference/shapes.md").read_text("utf-8")
SECTIONS = {
    "interlock.tools.results": ("Results", "Snapshot"),
    "interlock.tools.explanation": ("Explanation",),
    "interlock.commands.cancelling.report": ("Cancellation",),
    "interlock.commands.budgets.standing": ("Budget",),
    "interlock.nodes.streaming": ("Stream events", "Approval request"),
}
"""The sections that describe the models of a module."""


@read("case.look")
def look() -> str:
    """Look up the case."""
    return "open"


@command("case.close", effect="transactional")
def close() -> str:
    """Close the case."""
    return "closed"


def _subclasses(model: type[WireModel]) -> Iterator[type[WireModel]]:
    for one in model.__subclasses__():
        yield one
        yield from _subclasses(one)


def _models() -> list[type[WireModel]]:
    """The wire models of the library; those of the HTTP API are described by its OpenAPI document."""
    for name in interlock.__all__:
        getattr(interlock, name)  # imports the module that defines it
    assert {BudgetStanding, CancelledCall} <= {*_subclasses(WireModel)}
    return [one for one in _subclasses(WireModel) if not one.__module__.startswith("interlock.serving.")]


def _keys(model: type[WireModel]) -> list[str]:
    return [field.serialization_alias or field.alias or name for name, field in model.model_fields.items()]


def _section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _is_named(key: str, text: str) -> bool:
    """Whether a text has the key in code: in backticks, in printed JSON, or on its own line of output."""
    return f"`{key}`" in text or f'"{key}":' in text or f"\n{key}\n" in text


@pytest.mark.parametrize("model", _models(), ids=lambda model: model.__name__)
def test_the_page_names_every_key(model: type[WireModel]) -> None:
    text = "".join(map(_section, SECTIONS[model.__module__]))
    assert [key for key in _keys(model) if not _is_named(key, text)] == []


def test_the_page_names_every_public_model() -> None:
    public = [one.__name__ for one in _models() if one.__name__ in interlock.__all__]
    assert {"CommandResult", "Explanation", "ApprovalEvent"} <= {*public}
    assert [name for name in public if name not in PAGE] == []


def test_the_page_prints_an_audit_record_with_all_its_keys() -> None:
    flow = Workflow("plain")
    flow.add_state("open", tools=[look]).add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    instances = flow.compile(in_memory=True).instances
    instances.start(principal=Principal("ada"), workflow_id="one")
    (record,) = instances.audit("one")
    assert [key for key in record.to_json() if f'"{key}":' not in _section("Audit record")] == []


def test_a_missing_key_is_found() -> None:
    assert not _is_named("noSuchKey", PAGE)
    assert not _is_named("isSpent", _section("Explanation"))
