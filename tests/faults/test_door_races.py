"""The door and the graph at one instance at the same moment: one winner each, typed conflicts for the others, nothing twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig

from interlock import Answered, ConflictError, Pending, SQLCheckpointer, Workflow, WorkflowGraph
from interlock.tools import InterlockError, StaleCheckpoint, StoreUnavailable, WorkflowFinished

from .test_races import MANY, at_once, transitions
from .workflows import BOSS, CLERK, Till, bookings, close_till, open_till, sell

EXPECTED = (ConflictError, StaleCheckpoint, WorkflowFinished, StoreUnavailable)


@pytest.fixture
def saver(prepared_url: str) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(prepared_url) as opened:
        yield opened


def till(saver: SQLCheckpointer, *, approval: bool = False) -> WorkflowGraph:
    """A till that the graph opens, and closes once it is open; who is at the door does the same."""
    flow = Workflow("till", data=Till, run_by="tenant")
    flow.add_state("closed", decide=lambda _: ("till.open", {}))
    flow.add_state("open", decide=lambda _: ("till.close", {}))
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "open", approval=approval)
    flow.add_edge("open", sell, "open")
    flow.add_edge("open", close_till, "over")
    return flow.compile(saver)


def booked(graph: WorkflowGraph, case: str) -> list[str]:
    """What was booked, in its order: there is nothing in the table that would keep a second booking out."""
    with graph.engine.store.read() as connection:
        found = sa.select(bookings.c.what).where(bookings.c.thread == case).order_by(bookings.c.number)
        return [*connection.scalars(found)]


def test_fifty_at_the_door_and_in_the_graph_move_an_instance_once_each(saver: SQLCheckpointer) -> None:
    graph = till(saver)
    graph.instances.start(principal=CLERK, workflow_id="both", data={"thread": "both"})
    keys = itertools.count()

    def at_the_door(tool: str) -> Any:
        return lambda: graph.instances.propose("both", tool, {}, principal=CLERK, key=f"k-{next(keys)}")

    def in_the_graph(number: int) -> Any:
        here: RunnableConfig = {"configurable": {"thread_id": f"t-{number}", "workflow_id": "both"}}
        return lambda: graph.invoke({"messages": [("user", "go on")]}, here, context=CLERK)

    works = [at_the_door("till.open" if number % 2 else "till.close") for number in range(MANY - 10)]
    _, errors = at_once([*works, *(in_the_graph(number) for number in range(10))])
    for number in itertools.count(100):
        if graph.instances.get("both").finished:
            break
        in_the_graph(number)()

    assert {type(error) for error in errors if not isinstance(error, EXPECTED)} == set()
    assert transitions(graph, "both") == {"till.open": 1, "till.close": 1}  # type: ignore[arg-type]
    assert booked(graph, "both") == ["open", "close"]
    assert graph.engine.store.verify("both") == []


def test_of_fifty_at_the_door_with_one_revision_one_moves_it(saver: SQLCheckpointer) -> None:
    graph = till(saver)
    graph.instances.start(principal=CLERK, workflow_id="revision", data={"thread": "revision"})
    graph.instances.propose("revision", "till.open", {}, principal=CLERK, revision=0)
    names = itertools.count()

    def propose() -> Any:
        arguments = {"what": f"tea-{next(names)}", "amount": "1.00"}
        return graph.instances.propose("revision", "till.sell", arguments, principal=CLERK, revision=1)

    done, errors = at_once([propose] * MANY)

    assert [one.ok for one in done] == [True]
    assert all(isinstance(error, ConflictError) for error in errors)
    told = [error.details for error in errors if isinstance(error, InterlockError) and "currentState" in error.details]
    assert all((one["currentState"], one["revision"]) == ("open", 2) for one in told)
    assert len(booked(graph, "revision")) == 2


def test_fifty_times_the_same_call_is_one_call(saver: SQLCheckpointer) -> None:
    graph = till(saver)
    graph.instances.start(principal=CLERK, workflow_id="same", data={"thread": "same"})

    done, errors = at_once(
        [lambda: graph.instances.propose("same", "till.open", {}, principal=CLERK, revision=0)] * MANY
    )

    assert {type(error) for error in errors} <= {ConflictError, StoreUnavailable}
    assert {(one.ok, one.audit_ref) for one in done} == {(True, done[0].audit_ref)}
    assert sum(not one.replayed for one in done) <= 1
    assert booked(graph, "same") == ["open"]


def test_fifty_who_ask_ask_once_and_fifty_who_look_carry_it_out_once(saver: SQLCheckpointer) -> None:
    graph = till(saver, approval=True)
    graph.instances.start(principal=CLERK, workflow_id="asks", data={"thread": "asks"})

    def propose() -> Answered | Pending:
        return graph.instances.propose("asks", "till.open", {}, principal=CLERK, key="open")

    asked, errors = at_once([propose] * MANY)
    assert not errors
    (proposal_id,) = {one.pending.proposal_id for one in asked}
    assert len(graph.instances.approvals().approvals) == 1
    graph.instances.decide(proposal_id, "approve", by=BOSS)

    def look() -> Answered | Pending:
        return graph.instances.proposal(proposal_id, by=CLERK)

    done, errors = at_once([*[look] * 20, *[propose] * 20, *[graph.instances.tick] * 10])

    assert all(isinstance(error, ConflictError) for error in errors)
    assert {one.ok for one in done if isinstance(one, Answered)} == {True}
    assert booked(graph, "asks") == ["open"]
    assert transitions(graph, "asks") == {"till.open": 1}  # type: ignore[arg-type]


def test_fifty_who_withdraw_while_others_carry_it_out_leave_one_of_the_two(saver: SQLCheckpointer) -> None:
    graph = till(saver, approval=True)
    graph.instances.start(principal=CLERK, workflow_id="gone", data={"thread": "gone"})
    asked = graph.instances.propose("gone", "till.open", {}, principal=CLERK, key="open")
    assert isinstance(asked, Pending)
    graph.instances.decide(asked.pending.proposal_id, "approve", by=BOSS)

    def withdraw() -> Answered:
        return graph.instances.withdraw(asked.pending.proposal_id, by=CLERK)

    def look() -> Answered | Pending:
        return graph.instances.proposal(asked.pending.proposal_id, by=CLERK)

    _, errors = at_once([withdraw, look] * (MANY // 2))

    assert all(isinstance(error, ConflictError) for error in errors)
    status = graph.instances.approval(asked.pending.proposal_id)["status"]
    assert (status, booked(graph, "gone")) in [("used", ["open"]), ("withdrawn", [])]


def test_fifty_who_start_start_one_instance(saver: SQLCheckpointer) -> None:
    graph = till(saver)
    begun, errors = at_once(
        [lambda: graph.instances.start(principal=CLERK, workflow_id="begun", data={"thread": "begun"})] * MANY
    )
    assert {type(error) for error in errors} <= {StoreUnavailable}
    assert begun
    assert [record.kind.value for record in graph.instances.audit("begun")] == ["started"]


def test_the_door_moves_an_instance_under_a_graph_that_waits_for_an_approval(saver: SQLCheckpointer) -> None:
    flow = Workflow("till", data=Till, run_by="tenant")
    flow.add_state("closed")
    flow.add_state("open", decide=lambda _: ("till.sell", {"what": "tea", "amount": "1.00"}))
    flow.add_state("over", final=True)
    flow.add_edge("closed", open_till, "open")
    flow.add_edge("open", sell, "over", approval=True)
    flow.add_edge("open", close_till, "over")
    graph = flow.compile(saver)
    here: RunnableConfig = {"configurable": {"thread_id": "waits"}}
    graph.invoke({"messages": [], "data": {"thread": "waits"}}, here, context=CLERK)
    graph.instances.propose(here, "till.open", {}, principal=CLERK, key="o")
    graph.invoke({"messages": [("user", "tea")]}, here, context=CLERK)
    (asked,) = graph.instances.snapshot(here).pending_approvals

    assert graph.instances.propose(here, "till.close", {}, principal=CLERK, key="c").ok

    with pytest.raises(ConflictError) as void:
        graph.instances.decide(str(asked["approvalId"]), "approve", by=BOSS)
    assert void.value.code == "approval_void"
    output = graph.instances.resume(here)
    assert (output["state"], booked(graph, "waits")) == ("over", ["open", "close"])
