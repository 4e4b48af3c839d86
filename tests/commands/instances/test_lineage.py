"""Whether a step lies on the line of history of the last command, and how far back that is looked for."""

from __future__ import annotations

import asyncio
import pathlib
import uuid
from dataclasses import replace
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.store import Instance
from interlock.commands.instances import lineage
from interlock.commands.instances.lineage import descends, same_line
from interlock.commands.running.checkpoint_lookup import FromThreads, looking_at, parent_of
from interlock.commands.running.scope import Scope, outside_scope
from interlock.testing import ScriptedChatModel, call
from tests.graphs.support import ADA, Desk, Home, said, thread

DAY = 24 * 3600 * 10_000_000


class Looked(InMemorySaver):
    """Says how often a parent was looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        self.looks += 1
        return super().get_tuple(config)

    def made(self, name: str, parent: str | None = None, thread_id: str = "t-1") -> str:
        above: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        if parent is not None:
            above["configurable"]["checkpoint_id"] = parent
        self.put(above, {**empty_checkpoint(), "id": name}, {"source": "loop", "step": 0, "parents": {}}, {})
        return name

    def line(self, names: list[str]) -> None:
        parent: str | None = None
        for name in names:
            parent = self.made(name, parent)


def at(time: int) -> str:
    """A checkpoint id of LangGraph's form that says a time, in 100 ns."""
    return str(uuid.UUID(int=(time >> 12) << 80 | 6 << 76 | (time & 0xFFF) << 64 | 2 << 62))


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "_known", lineage._Known())


@pytest.fixture
def instance(memory: Home) -> Instance:
    graph = memory.compile(Desk().workflow(ScriptedChatModel([call("note.add", text="x"), "done"])))
    graph.invoke(said(), thread(), context=ADA)
    return replace(graph.instances.get(thread()), head_checkpoint="c2")


def step(saver: Looked | None, checkpoint: str | None, **changed: Any) -> Scope:
    scope = outside_scope("wf", ADA)
    return replace(scope, thread_id="t-1", checkpointer=saver, root_checkpoint=checkpoint, **changed)


def test_an_instance_on_which_nothing_ran_is_followed_by_any_step(instance: Instance) -> None:
    assert same_line(step(None, "elsewhere"), replace(instance, head_checkpoint=None), None)


def test_what_runs_at_or_after_the_last_command_follows_it_and_what_runs_before_or_beside_does_not(
    instance: Instance,
) -> None:
    saver = Looked()
    saver.line(["c1", "c2", "c3", "c4"])
    saver.made("side", "c1")
    found = {name: same_line(step(saver, name), instance, None) for name in ("c1", "c2", "c3", "c4", "side", "none")}
    assert found == {"c1": False, "c2": True, "c3": True, "c4": True, "side": False, "none": False}


def test_the_channels_mark_of_the_last_command_saves_the_walk_and_no_other_mark_does(instance: Instance) -> None:
    saver = Looked()
    before = replace(instance, head_checkpoint="c1").head_mark
    assert same_line(step(saver, "c9"), instance, instance.head_mark)
    assert saver.looks == 0
    for mark in (before, "", None):
        assert not same_line(step(saver, "c9"), instance, mark)


@pytest.mark.parametrize("without", ["checkpointer", "thread_id", "root_checkpoint"])
def test_a_step_without_ancestors_to_walk_does_not_follow_the_last_command(without: str, instance: Instance) -> None:
    saver = Looked()
    saver.line(["c2", "c3"])
    assert not same_line(replace(step(saver, "c3"), **{without: None}), instance, None)


def test_a_step_inside_other_nodes_than_the_instances_is_not_believed_whatever_checkpoint_it_names(
    instance: Instance,
) -> None:
    inside = replace(instance, checkpoint_ns="desk:1|till:2")
    assert same_line(step(None, "c2", namespace="desk:8|till:9"), inside, None)  # other tasks, the same nodes
    for other in ("desk:1", "till:2|desk:1", "desk:1|till:2|more:3", "other:1|till:2"):
        assert not same_line(step(None, "c2", namespace=other), inside, inside.head_mark)


def test_ancestors_are_walked_once_and_later_steps_use_the_result(instance: Instance) -> None:
    saver = Looked()
    names = ["c2", *(f"d{number}" for number in range(40))]
    saver.line(names)
    assert same_line(step(saver, "d30"), instance, None)
    walked, saver.looks = saver.looks, 0
    assert same_line(step(saver, "d30"), instance, None)
    assert same_line(step(saver, "d31"), instance, None)
    assert (walked, saver.looks) == (31, 1)
    # What is remembered is of this command alone, and says nothing of a later one.
    assert not same_line(step(saver, "d31"), replace(instance, head_checkpoint="d32"), None)


def test_a_checkpoint_that_does_not_descend_is_not_cached_as_one_that_does(instance: Instance) -> None:
    saver = Looked()
    saver.line(["a1", "a2"])
    for _ in range(2):
        assert not same_line(step(saver, "a2"), instance, None)


def test_what_was_looked_at_longest_ago_is_forgotten_first(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "_REMEMBERED", 2)
    monkeypatch.setattr(lineage, "_LINES", 2)
    saver = Looked()
    saver.line(["c2", "c3"])
    for name in ("x", "y", "z"):
        saver.made(name, "c3")
    for name in ("x", "y", "x", "z"):
        assert same_line(step(saver, name), instance, None)
    known = lineage._known._below
    assert [*known["c2"]] == ["x", "z"]
    for head in ("x", "y"):
        assert same_line(step(saver, saver.made(f"after {head}", head)), replace(instance, head_checkpoint=head), None)
    assert [*known] == ["x", "y"]


def test_what_is_more_than_a_day_older_cannot_follow_and_clocks_may_differ_by_one() -> None:
    now = uuid.uuid1().time
    wanted = at(now)
    looks: list[str] = []

    def parent(checkpoint: str) -> str | None:
        looks.append(checkpoint)
        return {at(now - DAY): wanted, at(now - DAY - 1): wanted}.get(checkpoint)

    assert descends(at(now - DAY), wanted, parent)
    assert not descends(at(now - DAY - 1), wanted, parent)
    assert looks == [at(now - DAY)]


def test_ancestors_with_ids_without_a_time_are_walked_to_the_end() -> None:
    above = {"c": "b", "b": "a"}
    assert descends("c", "a", above.get)
    assert not descends("c", at(uuid.uuid1().time), above.get)
    assert not descends(None, "a", above.get)


@pytest.mark.parametrize("looked_at_from", ["this thread", "a thread beside the loop"])
def test_our_checkpointer_is_asked_once_for_a_whole_line_and_loads_none_of_its_checkpoints(
    looked_at_from: str, instance: Instance, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.new_event_loop()
    with SQLCheckpointer(f"sqlite:///{tmp_path}/line.db") as saver:
        at: Any = {"configurable": {"thread_id": "t-1", "checkpoint_ns": ""}}
        for number in range(9):
            checkpoint: Any = {**empty_checkpoint(), "id": f"c{number}"}
            at = saver.put(at, checkpoint, {"source": "loop", "step": number - 1, "parents": {}}, {})
        asked: list[str] = []
        parents = saver.parents

        def counted(config: Any) -> Any:
            asked.append(config["configurable"]["checkpoint_id"])
            return parents(config)

        monkeypatch.setattr(saver, "parents", counted)
        monkeypatch.setattr(saver, "get_tuple", lambda config: pytest.fail(f"a checkpoint was loaded: {config}"))
        from_here: Any = saver if looked_at_from == "this thread" else FromThreads(saver, loop)
        assert same_line(step(from_here, "c8"), instance, None)
        assert not same_line(step(from_here, "c1"), instance, None)
        assert asked == ["c8", "c1"]
    loop.close()


def test_the_memory_of_langgraph_says_the_parents_without_loading_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    saver, looked = InMemorySaver(), Looked()
    for one in (saver, looked):
        above: Any = {"configurable": {"thread_id": "t-1", "checkpoint_ns": ""}}
        for name in ("a", "b", "c"):
            above = one.put(above, {**empty_checkpoint(), "id": name}, {"source": "loop", "step": 0, "parents": {}}, {})
    names = ("a", "b", "c", "lost")
    expected = [parent_of(looked, looking_at("t-1", "", name)) for name in names]
    assert expected == [None, "a", "b", None]
    assert looked.looks == len(names)

    monkeypatch.delattr(InMemorySaver, "get_tuple")
    assert [parent_of(saver, looking_at("t-1", "", name)) for name in names] == expected
    assert parent_of(saver, looking_at("t-2", "", "b")) is None
    assert parent_of(saver, looking_at("t-1", "inner", "b")) is None
    assert "t-2" not in saver.storage, "a look adds nothing"
