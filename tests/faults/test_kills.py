"""SIGKILL at every kind of fault point; `make chaos` does it at every point there is, and in pairs."""

from __future__ import annotations

import signal

import pytest
from langchain_core.runnables import RunnableConfig

from interlock.operations import Deliveries
from interlock.testing import Child, injected

from .kills import PRELOAD, Subject, one_of_each
from .outside import World
from .runs import end_wait, left_behind
from .workflows import CLERK, WORKFLOWS, built

NOWHERE = ("", 0)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_that_is_killed_at_any_point_ends_as_if_it_had_not_been(
    name: str, prepared_url: str, outside: World
) -> None:
    subject = Subject.undisturbed(name, prepared_url, outside)

    killed = sum(
        subject.killed_at(ordinal, thread=f"{prepared_url[:6]}-{name}-{ordinal}")
        for ordinal in one_of_each(subject.points, 7)
    )

    assert killed == len(set(subject.points))


def test_a_workflow_that_is_killed_again_and_again_still_comes_to_its_end(prepared_url: str, outside: World) -> None:
    subject = Subject.undisturbed("effects", prepared_url, outside)

    killed = subject.killed_at(*(17, 11, 23, 5, 13, 29), thread=f"{prepared_url[:6]}-again")

    assert killed >= 4


@pytest.mark.parametrize("name", ["coroutines", "effects", "transactions"])
def test_a_workflow_whose_processes_are_killed_while_others_are_at_it_ends_as_if_they_had_not_been(
    name: str, prepared_url: str, outside: World
) -> None:
    subject = Subject.undisturbed(name, prepared_url, outside)

    killed = subject.killed_together(*(5, 17, 29), thread=f"{prepared_url[:6]}-{name}-killed-together")

    assert killed >= 2


def begin_to_wait(url: str, thread: str) -> None:
    """Start a workflow, and leave it where it waits for the first time."""
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    given = {"messages": [("user", "go on")], "data": {"thread": thread}}
    built("waits", url, NOWHERE).invoke(given, config, context=CLERK)


def let_the_event_come(url: str, thread: str) -> list[str]:
    """Deliver what it waits for, and let its graph go on: the fault points that this comes to."""
    graph = built("waits", url, NOWHERE)
    (waiting,) = graph.get_state({"configurable": {"thread_id": thread}}).interrupts
    with injected() as reached:
        end_wait(graph, waiting.value, thread)
    return reached.points


def only_tick(url: str, thread: str) -> str:
    """Do nothing but what a service does again and again, a few times."""
    graph = built("waits", url, NOWHERE)
    for _ in range(6):
        Deliveries(graph, abandoned_after=0).tick()
    return str(graph.get_state({"configurable": {"thread_id": thread}}).values["state"])


def test_a_graph_whose_process_died_while_it_went_on_from_a_wait_is_taken_up_by_the_tick(sqlite_url: str) -> None:
    for thread in ("first", "whole"):  # what the first of a database does once is no point of the others
        with Child(begin_to_wait, sqlite_url, thread, preload=PRELOAD) as child:
            child.result()
        with Child(let_the_event_come, sqlite_url, thread) as child:
            points = child.result()
    assert len(points) > 40
    # The first is before the event was taken in: then it comes again.
    for number in range(2, len(points), 3):
        thread = f"t-{number}"
        with Child(begin_to_wait, sqlite_url, thread) as child:
            child.result()
        with Child(let_the_event_come, sqlite_url, thread, kill_at=(None, number)) as child:
            assert child.ended() == -signal.SIGKILL
        with Child(only_tick, sqlite_url, thread) as child:
            assert child.result() == "over", f"killed at {number}, {points[number - 1]}"
        left = left_behind("waits", sqlite_url, NOWHERE, thread)
        assert left.data["done"] == [what for what, _ in left.bookings] == ["open", "tea", "close"]
        assert left.broken == []
