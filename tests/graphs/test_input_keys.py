"""An input that comes again under its key is taken once: a caller that does not know whether it was taken gives it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock import Principal
from interlock.testing import FaultPoint, ScriptedChatModel, call, drop, injected
from interlock.tools import InputError, PrincipalError
from tests.graphs.support import ADA, SETTINGS, Desk, Home, Runner, answers, said


def keyed(key: str, thread_id: str = "t-1") -> dict[str, dict[str, str]]:
    return {"configurable": {"thread_id": thread_id, "input_key": key}}


REFUND = call("order.refund", orderId="W1", amount=5)


@pytest.mark.parametrize(("kind", "way"), SETTINGS)
def test_an_input_that_comes_again_is_neither_in_the_conversation_twice_nor_carried_out_twice(
    kind: str, way: str, tmp_path: Path
) -> None:
    home, desk, run = Home(kind, tmp_path), Desk(), Runner(way)
    graph = home.compile(desk.workflow(ScriptedChatModel([call("note.add", text="x"), "done"])))
    first = run(graph, said("add it"), keyed("k-1"), context=ADA)
    again = run(graph, said("add it"), keyed("k-1"), context=ADA)
    assert [message.id for message in again["messages"]] == [message.id for message in first["messages"]]
    assert len(answers(again)) == 1
    home.close()


@pytest.mark.parametrize(("kind", "way"), SETTINGS)
def test_an_input_that_comes_again_after_the_workflow_ended_gives_its_output(
    kind: str, way: str, tmp_path: Path
) -> None:
    home, desk, run = Home(kind, tmp_path), Desk(), Runner(way)
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND])))
    first = run(graph, said("refund"), keyed("k-1"), context=ADA)
    assert first["state"] == "closed"
    again = run(graph, said("refund"), keyed("k-1"), context=ADA)
    assert (again["state"], len(again["messages"])) == ("closed", len(first["messages"]))
    home.close()


def test_another_key_is_another_input(tmp_path: Path) -> None:
    home, desk = Home("sql", tmp_path), Desk()
    graph = home.compile(desk.workflow(ScriptedChatModel(["one", "two"])))
    graph.invoke(said("a"), keyed("k-1"), context=ADA)
    done = graph.invoke(said("b"), keyed("k-2"), context=ADA)
    assert [message.content for message in done["messages"]] == ["a", "one", "b", "two"]
    home.close()


def test_a_key_of_another_thread_says_nothing_of_this_one(tmp_path: Path) -> None:
    home, desk = Home("sql", tmp_path), Desk()
    graph = home.compile(desk.workflow(ScriptedChatModel(["one", "two"])))
    graph.invoke(said("a"), keyed("k-1", "t-1"), context=ADA)
    done = graph.invoke(said("a"), keyed("k-1", "t-2"), context=ADA)
    assert [message.content for message in done["messages"]] == ["a", "two"]
    home.close()


class Broke(Exception):
    """The run broke off here."""


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_NODE, FaultPoint.AFTER_NODE, FaultPoint.AFTER_CHECKPOINT])
def test_a_run_that_broke_off_goes_on_from_where_it_was(point: FaultPoint, tmp_path: Path) -> None:
    home, desk = Home("sql", tmp_path), Desk()
    graph = home.compile(desk.workflow(ScriptedChatModel(forever=REFUND)))
    with injected(drop(point, 2, Broke())), pytest.raises(Broke):
        graph.invoke(said("refund"), keyed("k-1"), context=ADA)
    done = graph.invoke(said("refund"), keyed("k-1"), context=ADA)
    assert done["state"] == "closed"
    assert [message.content for message in done["messages"]].count("refund") == 1
    assert len(answers(done)) == 1
    home.close()


def test_a_stranger_learns_nothing_from_a_key(tmp_path: Path) -> None:
    home, desk = Home("sql", tmp_path), Desk()
    graph = home.compile(desk.workflow(ScriptedChatModel(["one", "two"])))
    graph.invoke(said("a"), keyed("k-1"), context=ADA)
    with pytest.raises(PrincipalError):
        graph.invoke(said("a"), keyed("k-1"), context=Principal("mallory"))
    home.close()


@pytest.mark.parametrize("key", ["", "x" * 129, "a\0b"])
def test_a_key_that_cannot_be_kept_is_refused(key: str, tmp_path: Path) -> None:
    home, desk = Home("sql", tmp_path), Desk()
    graph = home.compile(desk.workflow(ScriptedChatModel(["one"])))
    with pytest.raises(InputError):
        graph.invoke(said("a"), keyed(key), context=ADA)
    home.close()
