"""Values and exceptions whose own methods raise: wherever an application gives one, the run ends with a record, and the next message is served."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import Approval, Principal, Workflow, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.storable import described, storable_text, type_name, why_not_storable
from tests.support.unreadable import ERRORS, VALUES

ADA = Principal("ada")


@command("thing.end")
def end() -> str:
    """End."""
    return "ended"


def served(**edge: Any) -> tuple[list[str | None], str]:
    """The codes on record after one call and one more message, and what the model said in the end."""
    model = ScriptedChatModel([call("thing.do"), "I see.", "Still here."])
    desk = Workflow("desk", model=model)
    tool = edge.pop("tool")
    desk.add_state("open", tools=[tool] if tool.kind == "read" else [])
    desk.add_state("closed", final=True)
    desk.add_edge("open", end, "closed")
    if tool.kind != "read":
        desk.add_edge("open", tool, "open", **edge)
    graph = desk.compile(in_memory=True)
    thread: Any = {"configurable": {"thread_id": "t"}}
    first = graph.invoke({"messages": [("user", "Do it.")]}, thread, context=ADA)
    if "__interrupt__" in first:  # what an effect outside the database came to is unknown, and a person is asked
        assert tool.effect == "idempotent"
        return [first["__interrupt__"][0].value["type"]], ""
    last = graph.invoke({"messages": [("user", "And now?")]}, thread, context=ADA)
    assert graph.engine.store.verify(graph.instances.snapshot(thread).workflow_id) == []
    return [record.code for record in graph.instances.audit(thread) if record.code], last["messages"][-1].text


def plain(effect: Any = "transactional") -> Any:
    @command("thing.do", effect=effect)
    def do() -> str:
        """Do it."""
        return "done"

    return do


@pytest.mark.parametrize("kind", ["transactional", "idempotent", "read"])
@pytest.mark.parametrize("raised", ERRORS)
def test_an_exception_of_a_tool_is_recorded(raised: str, kind: Any) -> None:
    def do() -> str:
        """Do it."""
        raise ERRORS[raised]()

    tool = read("thing.do")(do) if kind == "read" else command("thing.do", effect=kind)(do)
    codes, said = served(tool=tool)
    assert len(codes) == 1
    assert codes[0] in {"tool_failed", "refused", "invalid_output", "outcome_unknown"}
    assert said == ("" if codes == ["outcome_unknown"] else "Still here.")


@pytest.mark.parametrize("raised", ERRORS)
@pytest.mark.parametrize("rule", ["check", "guard", "when"])
def test_an_exception_of_a_rule_is_a_denial(rule: str, raised: str) -> None:
    def broken(*_: Any) -> bool:
        raise ERRORS[raised]()

    def broken_too() -> bool:
        return broken()

    edges: dict[str, Any] = {
        "check": {"check": broken_too},
        "guard": {"guard": broken},
        "when": {"approval": Approval(when=broken_too)},
    }
    codes, said = served(tool=plain(), **edges[rule])
    assert codes
    assert said == "Still here."


@pytest.mark.parametrize("given", VALUES)
def test_any_answer_of_a_check_is_a_denial(given: str) -> None:
    def check() -> Any:
        return VALUES[given]()

    codes, said = served(tool=plain(), check=check)
    assert codes == ["check_failed" if given == "a text" else "rule_error"]
    assert said == "Still here."


@pytest.mark.parametrize("given", VALUES)
def test_any_value_has_a_type_and_a_text(given: str) -> None:
    value = VALUES[given]()
    assert type(storable_text(value)) is str
    assert type_name(value) == type.__dict__["__name__"].__get__(type(value))


@pytest.mark.parametrize("raised", ERRORS)
def test_any_exception_can_be_quoted(raised: str) -> None:
    error = ERRORS[raised]()
    assert described(error).startswith(type_name(error))
    assert why_not_storable(described(error)) is None


def test_an_exception_without_a_text_is_quoted_by_its_type_alone() -> None:
    assert described(ValueError()) == "ValueError"
    assert described(ValueError("no")) == "ValueError: no"
