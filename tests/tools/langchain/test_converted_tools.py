"""LangChain tools of many kinds, made contracts: they are offered, read and run as in a plain agent."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from langchain_core.tools import (
    BaseTool,
    StructuredTool,
    Tool,
    tool,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, SecretStr, field_validator

from interlock import read
from interlock.tools import MASK
from interlock.tools.errors import InvalidArguments
from interlock.tools.langchain import contract_from_tool
from tests.tools.langchain.langchain_tools import (
    DIFFERING,
    PUBLISHED,
    RUNS,
    Colour,
    OldArguments,
    Shop,
    aliased,
    booking,
    growing,
    ids,
    in_a_plain_agent,
    in_a_workflow,
    keywords,
    nested,
    patching,
    plain,
    published,
    typed,
)


@pytest.mark.parametrize("is_async", [False, True], ids=["invoke", "ainvoke"])
@pytest.mark.parametrize(("made", "arguments"), RUNS, ids=ids)
def test_a_tool_answers_in_a_workflow_what_it_answers_in_a_plain_agent(
    made: BaseTool, arguments: dict[str, Any], is_async: bool
) -> None:
    assert in_a_workflow(made, arguments, is_async=is_async) == in_a_plain_agent(made, arguments, is_async=is_async)


@pytest.mark.parametrize(("made", "arguments"), RUNS, ids=ids)
def test_what_is_shown_and_stored_of_a_call_reads_back_as_the_same_call(
    made: BaseTool, arguments: dict[str, Any]
) -> None:
    contract = contract_from_tool(made)
    bound = contract.bind(arguments)

    again = contract.bind(bound.canonical)

    assert again.canonical == bound.canonical
    assert again.fingerprint == bound.fingerprint
    assert json.loads(json.dumps(bound.canonical)) == bound.canonical


@pytest.mark.parametrize(
    "made",
    [one for one, _ in RUNS if one.name not in DIFFERING],
    ids=ids,
)
def test_a_model_is_offered_the_tool_as_a_plain_agent_offers_it(made: BaseTool) -> None:
    offered, plainly = contract_from_tool(made).tool_definition(), convert_to_openai_tool(made)

    assert offered == plainly


@pytest.mark.parametrize(
    ("made", "arguments", "said"),
    [
        (plain, {}, "q"),
        (plain, {"q": 5}, "q"),
        (plain, {"q": "a", "limit": "5"}, "limit"),
        (typed, {"at": "soon", "price": "1", "colour": "red", "days": [], "pair": [1, "x"]}, "at"),
        (typed, {"at": "2025-01-02T03:04:05", "price": "1", "colour": "green", "days": [], "pair": [1, "x"]}, "colour"),
        (nested, {"item": {"order_id": "1"}, "items": []}, "orderId"),
        (growing, {"tree": {"n": 1, "kids": [{"n": "x"}]}}, "tree.kids.0"),
        (booking, {"start": -1}, "start"),
        (booking, {"start": 8}, "not on a Monday"),
        (booking, {"start": 5, "end": 3}, "end is before start"),
        (StructuredTool.from_function(lambda n, m: "x", name="old", description="Old.", args_schema=OldArguments), {"M": 3}, "must be even"),
        (published(PUBLISHED), {"q": 1}, "q"),
        (published(PUBLISHED), {"q": "a", "limit": None}, "limit"),
        (Shop(), {"limit": 1}, "q"),
        (Tool.from_function(lambda q: q, name="single", description="One."), {"tool_input": "a"}, "__arg1"),
    ],
    ids=ids,
)  # fmt: skip
def test_what_its_schema_or_its_model_forbids_is_refused_before_anything_runs(
    made: BaseTool, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArguments, match=said):
        contract_from_tool(made).bind(arguments)


@pytest.mark.parametrize(
    ("made", "arguments", "canonical"),
    [
        (plain, {"q": "a"}, {"q": "a", "limit": 30, "note": None}),
        (patching, {"user": "u", "patch": {"name": "A"}, "more": {}, "rest": []}, {"user": "u", "patch": {"name": "A"}, "more": {}, "rest": []}),
        (aliased, {"A": 1}, {"A": 1, "B": 2}),
        (aliased, {"first": 1}, {"A": 1, "B": 2}),
        (booking, {"start": 3}, {"start": 3, "end": 9}),
        (published(PUBLISHED), {"q": "a"}, {"q": "a"}),
        (keywords, {"q": "a"}, {"q": "a"}),
        (plain, {"q": "a", "unknown": 1}, {"q": "a", "limit": 30, "note": None}),
    ],
    ids=ids,
)  # fmt: skip
def test_what_is_shown_is_what_the_tool_is_called_with(
    made: BaseTool, arguments: dict[str, Any], canonical: dict[str, Any]
) -> None:
    assert contract_from_tool(made).bind(arguments).canonical == canonical


def test_a_validator_that_changes_what_it_reads_is_shown_as_it_runs_or_as_it_was_given() -> None:
    class Clamped(BaseModel):
        amount: int
        to: str

        @field_validator("amount")
        @classmethod
        def _at_most(cls, amount: int) -> int:
            return min(amount, 50)

        @field_validator("to")
        @classmethod
        def _shouted(cls, to: str) -> str:
            return f"{to}!"

    ran: list[Any] = []

    @tool(args_schema=Clamped)
    def pay(amount: int, to: str) -> str:
        """Pay."""
        ran.append((amount, to))
        return "paid"

    # Written down as it was read, "ann!" would be read as "ann!!": so the call is shown as LangChain is given it.
    contract = contract_from_tool(pay)
    bound = contract.bind({"amount": 100, "to": "ann"})
    contract.call(bound.parsed)

    assert bound.canonical == {"amount": 100, "to": "ann"}
    assert ran == [(50, "ann!")]


def test_checks_and_previews_see_what_the_model_of_the_tool_read() -> None:
    contract = contract_from_tool(
        typed, check=lambda price, colour: price > 1 and colour is Colour.RED, preview=lambda days: {*days} == {1, 3}
    )
    arguments = {"at": "2025-01-02T03:04:05", "price": "1.10", "colour": "red", "days": [3, 1], "pair": [1, "x"]}
    bound = contract.bind(arguments)

    assert contract.failed_check(bound.parsed) is None
    assert contract.show_preview(bound.parsed) is True


def test_a_default_that_differs_each_time_is_shown_and_run_as_one() -> None:
    class Inner(BaseModel):
        key: str = Field(default_factory=lambda: uuid.uuid4().hex)
        note: str | None = None

    class Dated(BaseModel):
        inner: Inner
        at: str = Field(default_factory=lambda: uuid.uuid4().hex)

    ran: list[Any] = []

    @tool(args_schema=Dated)
    def keep(inner: Inner, at: str) -> str:
        """Keep it."""
        ran.append({"inner": {"key": inner.key, "note": inner.note}, "at": at})
        return "kept"

    contract = contract_from_tool(keep)
    bound = contract.bind({"inner": {}})
    contract.call(bound.parsed)

    assert ran == [bound.canonical]


def test_what_pydantic_masks_is_redacted_without_being_named() -> None:
    class Login(BaseModel):
        user: str
        password: SecretStr

    @tool(args_schema=Login)
    def login(user: str, password: SecretStr) -> str:
        """Log in."""
        return f"{user} by {password.get_secret_value()}"

    contract = contract_from_tool(login)
    bound = contract.bind({"user": "ann", "password": "hunter2"})

    assert contract.call(bound.parsed) == "ann by hunter2"
    assert contract.redacted(bound.canonical) == {"user": "ann", "password": MASK}


class Left(BaseModel):
    inner: Left | Right | None = None
    left: int


class Right(BaseModel):
    inner: Left | Right | None = None
    right: int


def test_a_model_that_doubles_the_work_at_each_level_is_checked_no_longer_than_is_reasonable() -> None:
    @tool
    def descend(tree: Left | Right) -> str:
        """Descend."""
        return "deep"

    def native(tree: Left | Right) -> str:
        """Descend."""
        return "deep"

    wrong: dict[str, Any] = {}
    for _ in range(40):
        wrong = {"inner": wrong}

    for contract in (contract_from_tool(descend), read("tree.descend")(native)):
        with pytest.raises(InvalidArguments):
            contract.bind({"tree": wrong})
        assert contract.bind({"tree": {"left": 1, "inner": {"right": 2}}}).canonical
