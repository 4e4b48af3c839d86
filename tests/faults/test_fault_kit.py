"""The kit that puts faults at fault points: each of the four does what it says, and without it nothing happens there."""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.runnables import RunnableConfig

from interlock import SQLCheckpointer, WorkflowGraph
from interlock.checkpointing import fault_points
from interlock.testing import Child, Fault, FaultPoint, Killed, delay, drop, injected, reach
from interlock.tools import StoreUnavailable

from .kills import PRELOAD
from .outside import World
from .runs import count_points
from .workflows import CLERK, WORKFLOWS, transactions


def walk(points: list[str]) -> str:
    """Come to some points."""
    for point in points:
        reach(point)
    return "arrived"


def fail() -> None:
    raise ValueError("of its own")


def begun(graph: WorkflowGraph, thread: str) -> RunnableConfig:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    graph.invoke({"messages": [("user", "go on")], "data": {"thread": thread}}, config, context=CLERK)
    return config


def test_nothing_hangs_at_the_points_but_what_was_injected_and_only_while_it_is() -> None:
    assert fault_points._hook is None
    with injected() as outer:
        with contextlib.suppress(ValueError), injected() as inner:
            reach("a")
            raise ValueError("in between")
        reach("b")
    reach("c")

    assert fault_points._hook is None
    assert (outer.points, inner.points) == (["a", "b"], ["a"])


def test_a_fault_happens_at_the_nth_time_of_its_point_or_of_any() -> None:
    seen: list[str] = []
    faults = [
        Fault(lambda: seen.append("second b"), "b", 2),
        Fault(lambda: seen.append("third of any"), None, 3),
        Fault(lambda: seen.append("never"), "c"),
    ]

    with injected(*faults) as reached:
        walk(["a", "b", "a", "b", "b"])

    assert seen == ["third of any", "second b"]
    assert (reached.count("b"), reached.count("c")) == (3, 0)


def test_drop_raises_what_a_lost_database_raises_or_what_it_is_told_to() -> None:
    with injected(drop("a")), pytest.raises(StoreUnavailable) as raised:
        walk(["a"])
    assert raised.value.retryable
    with injected(drop("a", 2, error=ConnectionResetError("gone"))), pytest.raises(ConnectionResetError):
        walk(["a", "a"])


def test_delay_holds_one_thread_until_it_is_let_go_and_no_longer_than_it_may() -> None:
    resume, over = threading.Event(), threading.Event()
    with injected(delay(resume, "a")), ThreadPoolExecutor(1) as pool:
        held = pool.submit(lambda: (walk(["a"]), over.set()))
        assert walk(["a"]) == "arrived", "the second time it is reached nobody waits"
        assert not over.is_set()
        resume.set()
        held.result(30)
    with injected(delay(threading.Event(), "a", seconds=0.01)):
        assert walk(["a"]) == "arrived"


def test_kill_ends_the_process_at_the_point() -> None:
    with Child(walk, ["a", "b", "b"], kill_at=("b", 2), preload=PRELOAD) as child, pytest.raises(Killed) as raised:
        child.result()
    assert raised.value.exit_code == -signal.SIGKILL
    with Child(walk, ["a", "b"], kill_at=("b", 2)) as child:
        assert child.result() == "arrived"


def test_stop_keeps_the_process_where_it_is_until_it_is_let_go_on() -> None:
    with Child(walk, ["a", "b"], stop_at=("a", 1)) as child:
        assert child.stopped()
        with pytest.raises(TimeoutError):
            child.result(seconds=0.05)
        child.resume()
        assert child.result() == "arrived"
    with Child(walk, ["a"], stop_at=("b", 1)) as child:
        assert not child.stopped(), "it has ended"
        assert child.result() == "arrived"


def test_what_a_child_raises_is_raised_here() -> None:
    with Child(fail) as child, pytest.raises(ValueError, match="of its own"):
        child.result()


def test_a_process_that_is_left_stopped_ends_with_the_block() -> None:
    with Child(walk, ["a"], stop_at=("a", 1)) as child:
        assert child.stopped()
    assert child.process.exitcode == -signal.SIGKILL


def test_the_workflows_that_are_killed_come_to_every_point(sqlite_url: str, outside: World) -> None:
    reached: set[str] = set()
    for name in WORKFLOWS:
        with Child(count_points, name, sqlite_url, outside.address, f"points-{name}", preload=PRELOAD) as child:
            reached |= set(child.result())

    assert reached == {*FaultPoint}


@pytest.mark.parametrize("point", FaultPoint)
def test_a_connection_that_is_lost_at_any_point_leaves_a_workflow_that_goes_on(point: str, sqlite_url: str) -> None:
    with SQLCheckpointer(sqlite_url) as saver:
        graph = transactions(("", 0)).compile(saver)
        whole = graph.instances.get(begun(graph, "undisturbed"))
        config: RunnableConfig = {"configurable": {"thread_id": "dropped"}}
        with injected(drop(point)) as reached:
            for _ in range(4):
                try:
                    if graph.get_state(config).values:
                        graph.invoke(None, config, context=CLERK)
                    else:
                        begun(graph, "dropped")
                except StoreUnavailable:
                    continue

        left = graph.instances.get(config)
        assert reached.count(point) > 1
        assert (left.state, left.revision, left.data["done"]) == (whole.state, whole.revision, whole.data["done"])
        assert graph.get_state(config).interrupts[0].value["tool"] == "till.close"
        assert graph.engine.store.verify(left.workflow_id) == []
