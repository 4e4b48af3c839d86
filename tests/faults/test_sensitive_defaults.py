"""A default that is a secret and differs each time, under a key that is used again: nothing on record says what it was."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.tools import tool
from langgraph.types import Command
from pydantic import BaseModel, Field

from interlock import Principal, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import IdempotencyError, OutcomeUnknown
from interlock.tools.langchain import contract_from_tool
from tests.commands.approvals.support import Clock

HERE: Any = {"configurable": {"thread_id": "t-1"}}
ADA, BEN = Principal("ada"), Principal("ben")
numbers = itertools.count(1)
ran: list[tuple[str, str]] = []


class Died(BaseException):
    """Stands for the end of the process in mid-effect."""


dies: list[bool] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()
    dies.clear()


def pin() -> str:
    return f"pin-{next(numbers)}"


def done(name: str, number: str) -> str:
    ran.append((name, number))
    if dies and dies.pop():
        raise Died
    return name


class Access(BaseModel):
    pin: str = Field(default_factory=pin)
    level: int = 1


class Person(BaseModel):
    name: str
    pin: str = Field(default_factory=pin)


def of_a_parameter(**how: Any) -> Any:
    @command("user.create", **{"sensitive": ["pin"], **how})
    def create(name: str, pin: Annotated[str, Field(default_factory=pin)]) -> str:
        """Create a user."""
        return done(name, pin)

    return create


def of_an_inner_model(**how: Any) -> Any:
    @command("user.create", **{"sensitive": ["pin"], **how})
    def create(name: str, access: Annotated[Access, Field(default_factory=Access)]) -> str:
        """Create a user."""
        return done(name, access.pin)

    return create


def of_a_list(**how: Any) -> Any:
    @command("user.create", **{"sensitive": ["pin"], **how})
    def create(name: str, others: Annotated[list[Access], Field(default_factory=lambda: [Access()])]) -> str:
        """Create a user."""
        return done(name, others[0].pin)

    return create


def of_a_langchain_tool(**how: Any) -> Any:
    @tool("user_create", args_schema=Person)
    def create(name: str, pin: str) -> str:
        """Create a user."""
        return done(name, pin)

    if how.get("effect") == "transactional":
        how["effect"] = "idempotent"
    return contract_from_tool(create, name="user.create", **{"sensitive": ["pin"], **how})


@command("user.leave", effect="transactional")
def leave() -> str:
    """Leave."""
    return "left"


KINDS = [of_a_parameter, of_an_inner_model, of_a_list, of_a_langchain_tool]
Make = Callable[..., Any]


def desk(create: Any, clock: Clock | None = None, model: Any = None, **edge: Any) -> Any:
    flow = Workflow("desk", model=model)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", create, "open", **edge)
    flow.add_edge("open", leave, "closed")
    store = WorkflowStore.in_memory() if clock is None else WorkflowStore.in_memory(clock=clock)
    graph = flow.compile(workflow_store=store, destructive_in_memory=True)
    graph.invoke({"messages": []}, HERE, context=ADA)
    return graph


def create_under(graph: Any, arguments: dict[str, Any], key: str = "k") -> Any:
    return graph.instances.execute(HERE, "user.create", arguments, principal=ADA, idempotency_key=key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("effect", ["transactional", "idempotent", "at_most_once"])
def test_the_same_call_gives_the_stored_result_again(kind: Make, effect: str) -> None:
    graph = desk(kind(effect=effect))

    first = create_under(graph, {"name": "ann"})
    again = create_under(graph, {"name": "ann"})

    assert first["ok"]
    assert again == {**first, "replayed": True}
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ({"name": "ann"}, {"name": "bob"}),
        ({"name": "ann"}, {"name": "ann", "pin": "given"}),
        ({"name": "ann", "pin": "given"}, {"name": "ann"}),
        ({"name": "ann", "pin": "given"}, {"name": "ann", "pin": "another"}),
        ({"name": "ann"}, {"name": "ann", "pin": "***"}),
        ({"name": "ann", "pin": "***"}, {"name": "ann"}),
    ],
)
def test_another_call_is_refused(first: dict[str, Any], other: dict[str, Any]) -> None:
    graph = desk(of_a_parameter(effect="idempotent"))
    create_under(graph, first)

    with pytest.raises(IdempotencyError, match="other arguments"):
        create_under(graph, other)
    assert len(ran) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_attempt_that_broke_off_is_not_repeated_with_another_secret(kind: Make) -> None:
    clock = Clock()
    graph = desk(kind(effect="idempotent"), clock)
    dies.append(True)
    with pytest.raises(Died):
        create_under(graph, {"name": "ann"})
    clock.advance(3600)

    with pytest.raises(OutcomeUnknown):
        create_under(graph, {"name": "ann"})

    assert len(ran) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_approved_runs_with_the_secret_that_was_asked_about(kind: Make) -> None:
    create = kind(effect="idempotent")
    graph = desk(create, model=ScriptedChatModel([call(create.wire_name, name="ann")], forever="Done."), approval=True)
    asked = graph.invoke({"messages": [("user", "go")]}, HERE, context=ADA)["__interrupt__"][0].value
    key = graph.engine.store.approval(asked["approvalId"]).idempotency_key

    done = graph.invoke(Command(resume="approve"), HERE, context=BEN)
    again = create_under(graph, {"name": "ann"}, key)

    assert ran[0][1] in str(asked["arguments"])
    assert again == {**done["last_result"], "replayed": True}
    assert len(ran) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_no_secret_is_taken_from_the_record(kind: Make) -> None:
    clock = Clock()
    graph = desk(kind(effect="idempotent", sensitive=[]), clock)
    dies.append(True)
    with pytest.raises(Died):
        create_under(graph, {"name": "ann"})
    clock.advance(3600)

    assert create_under(graph, {"name": "ann"})["ok"]
    assert ran[0] == ran[1]
