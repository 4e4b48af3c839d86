"""What is bound of a contract is what a decision rests on; what is locked of it is everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.types import Command

from interlock import Principal, ToolContract, Workflow, command, contract_from_schema
from interlock.testing import ScriptedChatModel, call

SCHEMA = {
    "type": "object",
    "title": "Pay",
    "properties": {
        "amount": {"type": ["integer", "null"], "maximum": 5, "description": "How much"},
        "title": {"enum": ["a", "b"]},
    },
    "required": ["amount", "title"],
}


def pay(schema: dict[str, Any] = SCHEMA, **options: Any) -> ToolContract:
    return contract_from_schema("a.pay", schema, lambda arguments: arguments, **{"description": "Pay.", **options})


def with_amount(**more: Any) -> dict[str, Any]:
    properties = {**SCHEMA["properties"], "amount": {**SCHEMA["properties"]["amount"], **more}}  # type: ignore[dict-item]
    return {**SCHEMA, "properties": properties}


DESCRIBING: list[Callable[[], ToolContract]] = [
    lambda: pay(description="Pay somebody."),
    lambda: pay({**SCHEMA, "title": "Payment", "$schema": "https://json-schema.org/draft/2020-12/schema"}),
    lambda: pay(with_amount(description="The amount", examples=[1])),
    lambda: pay({**SCHEMA, "required": ["title", "amount"]}),
    lambda: pay(output_schema={"type": "object"}),
]
DECIDING: list[Callable[[], ToolContract]] = [
    lambda: pay(version=2),
    lambda: pay(effect="idempotent"),
    lambda: pay(with_amount(maximum=6)),
    lambda: pay(with_amount(default=1)),
    lambda: pay({**SCHEMA, "required": ["amount"]}),
    lambda: pay({**SCHEMA, "properties": {**SCHEMA["properties"], "title": {"enum": ["a"]}}}),  # type: ignore[dict-item]
    lambda: pay({**SCHEMA, "properties": {"amount": SCHEMA["properties"]["amount"]}}),  # type: ignore[index]
]


@pytest.mark.parametrize("other", DESCRIBING)
def test_what_only_describes_a_tool_is_locked_and_not_bound(other: Callable[[], ToolContract]) -> None:
    assert other().binding_digest == pay().binding_digest
    assert other().definition_digest != pay().definition_digest


@pytest.mark.parametrize("other", DECIDING)
def test_what_decides_on_a_call_is_locked_and_bound(other: Callable[[], ToolContract]) -> None:
    assert other().binding_digest != pay().binding_digest
    assert other().definition_digest != pay().definition_digest


def flow(contract: ToolContract) -> Workflow:
    arguments = {"amount": 1, "title": "a"}
    workflow = Workflow("w", model=ScriptedChatModel([call("a.pay", **arguments)], forever="done"))
    workflow.add_state("open").add_state("closed", final=True)
    return workflow.add_edge("open", contract, "closed", approval=True)


def test_the_fingerprint_of_a_workflow_follows_what_is_bound_of_its_tools() -> None:
    own = flow(pay()).definition().fingerprint

    assert {flow(other()).definition().fingerprint for other in DESCRIBING} == {own}
    assert own not in {flow(other()).definition().fingerprint for other in DECIDING}


@pytest.mark.parametrize(
    ("other", "state"), [(DESCRIBING[0], "closed"), (DESCRIBING[2], "closed"), (DECIDING[2], "open")]
)
def test_an_approval_outlives_a_mended_description_and_not_another_schema(
    other: Callable[[], ToolContract], state: str, tmp_path: Any
) -> None:
    from interlock import SQLCheckpointer

    saver = SQLCheckpointer(f"sqlite:///{tmp_path}/w.db")
    here: Any = {"configurable": {"thread_id": "t-1"}}
    flow(pay()).compile(saver).invoke({"messages": [("user", "go")]}, here, context=Principal("ada"))

    output = flow(other()).compile(saver).invoke(Command(resume="approve"), here, context=Principal("bob"))

    assert output["state"] == state
    saver.close()


def test_a_docstring_of_a_function_is_not_bound() -> None:
    @command("a.pay")
    def one(amount: int) -> str:
        """Pay."""
        return str(amount)

    @command("a.pay")
    def other(amount: int) -> str:
        """Pay somebody.

        Args:
            amount: How much.
        """
        return str(amount)

    assert one.binding_digest == other.binding_digest
    assert one.definition_digest != other.definition_digest
