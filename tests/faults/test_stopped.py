"""SIGSTOP, takeover by another process, SIGCONT: the one that was away is refused at its next write."""

from __future__ import annotations

import functools

import pytest
from langgraph.types import Command

from interlock import ConflictError, SQLCheckpointer, WorkflowGraph, WorkflowStore
from interlock.testing import Child, FaultPoint
from interlock.tools import LeaseLost, StaleCheckpoint

from .kills import PRELOAD
from .outside import World
from .runs import left_behind, recover
from .workflows import BOSS, CLERK, WORKFLOWS, Address

LEASE = 0.4


@functools.cache
def quick(name: str, url: str, address: Address) -> WorkflowGraph:
    """A workflow whose leases are short, so that nobody has to wait long for a process that is stopped."""
    saver = SQLCheckpointer(url)
    return WORKFLOWS[name](address).compile(saver, workflow_store=WorkflowStore(saver.database, lease_seconds=LEASE))


def run(name: str, url: str, address: Address, thread: str) -> str:
    """Begin a workflow, and go on to its first interrupt or its end."""
    graph = quick(name, url, address)
    given = {"messages": [("user", "go on")], "data": {"thread": thread}}
    return str(graph.invoke(given, {"configurable": {"thread_id": thread}}, context=CLERK)["state"])


def hand_over(name: str, url: str, address: Address, thread: str) -> str:
    """Approve what waits, and go on."""
    graph = quick(name, url, address)
    config = {"configurable": {"thread_id": thread}}
    return str(graph.invoke(Command(resume={"type": "approve"}), config, context=BOSS)["state"])


@pytest.mark.parametrize(
    ("name", "point", "nth"),
    [
        ("transactions", FaultPoint.BEFORE_NODE, 2),
        ("transactions", FaultPoint.AFTER_COMMIT, 2),
        ("transactions", FaultPoint.AFTER_NODE, 2),
        ("effects", FaultPoint.BEFORE_NODE, 2),
        ("effects", FaultPoint.BEFORE_EFFECT, 1),
        ("effects", FaultPoint.AFTER_EFFECT, 1),
        ("effects", FaultPoint.AFTER_COMMIT, 3),
        ("messages", FaultPoint.AFTER_NODE, 1),
    ],
)
def test_a_stopped_process_is_refused_when_another_one_has_gone_on(
    name: str, point: str, nth: int, prepared_url: str, outside: World
) -> None:
    thread = f"{prepared_url[:6]}-{name}-{point}-{nth}"
    arguments = (name, prepared_url, outside.address, thread)
    with Child(run, *arguments, stop_at=(point, nth), preload=PRELOAD) as stopped:
        assert stopped.stopped()
        wait_for_lease(name, prepared_url, outside.address, thread)
        with Child(recover, name, prepared_url, outside, thread) as other:
            left = other.result()
        stopped.go_on()
        with pytest.raises((ConflictError, StaleCheckpoint)):
            stopped.result()

    assert left == left_behind(name, prepared_url, outside.address, thread)
    assert left.state == "over"
    assert left.broken == []
    assert len(left.outbox) == len(left.data["done"])
    keys = [key for tool, key in outside.calls(thread) if tool == "label.buy"]
    assert len(set(keys)) <= 1


def test_an_effect_that_may_not_be_repeated_is_asked_about_when_its_process_stops(
    prepared_url: str, outside: World
) -> None:
    thread = f"{prepared_url[:6]}-stopped-parcel"
    arguments = ("effects", prepared_url, outside.address, thread)
    with Child(run, *arguments, preload=PRELOAD) as first:
        first.result()
    with Child(hand_over, *arguments, stop_at=(FaultPoint.AFTER_EFFECT, 1)) as stopped:
        assert stopped.stopped()
        wait_for_lease(*arguments)
        with Child(recover, "effects", prepared_url, outside, thread) as other:
            left = other.result()
        stopped.go_on()
        with pytest.raises(LeaseLost, match="was taken over"):
            stopped.result()

    assert [tool for tool, _ in outside.calls(thread)] == ["label.buy", "parcel.hand_over"]
    assert left.state == "over"
    assert left.broken == []


def wait_for_lease(name: str, url: str, address: Address, thread: str) -> None:
    """Wait until the lease of whoever is at it has run out, by the database's clock."""
    graph = quick(name, url, address)
    store, config = graph.engine.store, {"configurable": {"thread_id": thread}}
    found = store.find(graph.instances.id_of(config))
    until = None if found is None else found.lease_until
    if until is not None:
        with store.read() as connection:
            before = store.now(connection)
        assert until - before < LEASE * 1_000_000

        def over() -> bool:
            with store.read() as connection:
                return store.now(connection) > until

        assert store.wait_until(over, 20)
