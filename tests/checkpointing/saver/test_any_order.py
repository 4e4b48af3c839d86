"""Any operations in any order, of two processes on several threads and namespaces, beside LangGraph's in-memory saver.

Checkpoints with messages in every place, pending writes put directly, deletion of threads and runs, pruning, copies and erasure: after each
of them both savers give the same. What the in-memory saver cannot do is done to its dictionaries here.

`HYPOTHESIS_PROFILE=long` tries many more.
"""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver

from interlock.checkpointing import Database, SQLCheckpointer
from interlock.checkpointing.saver.tombstones import ERASED_TEXT
from interlock.tools.errors import ConflictError
from tests.checkpointing.serializing.test_histories import Writer, plain

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES, STEPS = (200, 25) if IS_LONG else (6, 12)
SHRINKS = "INTERLOCK_SHRINK" in os.environ
"""Off, since a history takes a second or two on a server, and shrinking one takes hundreds: what fails is printed as it is."""
NAMESPACES = ["", "sub:1"]
ERASED = {"erased": True}
seeds = st.integers(min_value=0, max_value=10**6)
few = st.integers(min_value=0, max_value=3)


class Put:
    """A checkpoint that is there, with the values that its runner has."""

    def __init__(self, at: Any, values: dict[str, Any], versions: dict[str, str], run: str) -> None:
        self.at, self.values, self.versions, self.run = at, values, versions, run

    @property
    def checkpoint_id(self) -> str:
        return str(self.at["configurable"]["checkpoint_id"])


class AnyOrder(RuleBasedStateMachine):
    """Both savers, and what their runners know."""

    database: Database
    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.ours = [SQLCheckpointer(self.database), SQLCheckpointer(self.database)]
        self.theirs = InMemorySaver()
        self.threads = [f"{self.count}-a", f"{self.count}-b"]
        self.puts: dict[tuple[str, str], list[Put]] = {}
        self.deleted: list[Any] = []
        self.erased: dict[str, set[str]] = {}
        self.steps = 0

    # Writing

    @rule(seed=seeds, thread=few, namespace=few, process=few, back=few)
    def put(self, seed: int, thread: int, namespace: int, process: int, back: int) -> None:
        writer = Writer(seed)
        draw = writer.random
        name, ns = self.threads[thread % len(self.threads)], NAMESPACES[namespace == 3]
        there = self.puts.setdefault((name, ns), [])
        parent = there[-1 - back % len(there)] if there and draw.random() < 0.9 else None
        values = dict(parent.values) if parent else {}
        for channel in draw.sample(["messages", "second", "other", "large"], draw.randrange(1, 3)):
            values[channel] = self._changed(writer, channel, values)
        changed = {
            channel: self.ours[0].get_next_version(parent.versions.get(channel) if parent else None, None)
            for channel, value in values.items()
            if parent is None or value is not parent.values.get(channel)
        }
        versions = {**(parent.versions if parent else {}), **changed}
        checkpoint = empty_checkpoint()
        checkpoint["id"] = str(uuid6())
        checkpoint["channel_values"], checkpoint["channel_versions"] = values, versions
        self.steps += 1
        run = f"{self.count}-run-{draw.randrange(3)}"
        follows = parent is not None and parent is there[-1]
        metadata: Any = {"source": "loop" if follows else "update", "step": self.steps, "parents": {}, "run_id": run}
        metadata["user"] = draw.choice(["ada", "ben"])
        at = parent.at if parent else {"configurable": {"thread_id": name, "checkpoint_ns": ns}}
        self.theirs.put(at, copy.deepcopy(checkpoint), metadata, changed)
        put = self.ours[process % 2].put(at, copy.deepcopy(checkpoint), metadata, changed)
        there.append(Put(put, values, versions, run))

    def _changed(self, writer: Writer, channel: str, values: dict[str, Any]) -> Any:
        draw = writer.random
        if channel == "large":
            return {"text": "x" * draw.randrange(600), "said": writer.anything(1)}
        if channel == "other":
            return writer.anything()
        there = list(values.get(channel, []))
        others = [*there, *values.get("messages", []), *values.get("second", [])]
        what = draw.randrange(5)
        if what == 0 and there:
            del there[draw.randrange(len(there))]
        elif what == 1 and there:
            at = draw.randrange(len(there))
            there[at] = there[at].model_copy(update={"content": draw.choice(["edited", "yes", ""])})
        elif what == 2 and others:
            one = draw.choice(others)
            there.append(one if draw.random() < 0.5 else one.model_copy(update={"id": draw.choice([None, "given"])}))
        else:
            there += [writer.message() for _ in range(draw.randrange(1, 3))]
        return there

    @precondition(lambda self: any(self.puts.values()))
    @rule(seed=seeds, thread=few, process=few, back=few, task=few)
    def write(self, seed: int, thread: int, process: int, back: int, task: int) -> None:
        writer = Writer(seed)
        draw = writer.random
        places = [one for there in self.puts.values() for one in there[-1 - back :]]
        if not places:
            return
        at = draw.choice(places).at
        if thread == 3:  # before its checkpoint, which never comes
            at = {"configurable": {**at["configurable"], "checkpoint_id": str(uuid6())}}
        special = draw.choice(["__error__", "__interrupt__", "__resume__"]) if draw.random() < 0.2 else None
        channels = [special] if special else [draw.choice(["messages", "other"]) for _ in range(draw.randrange(1, 4))]
        writes = [
            (one, [writer.message() for _ in range(draw.randrange(1, 3))] if one == "messages" else writer.anything())
            for one in channels
        ]
        path = ["", "~a", "~b, 1"][task % 3]  # a task has one path
        self.theirs.put_writes(at, copy.deepcopy(writes), f"task-{task}", path)
        self.ours[process % 2].put_writes(at, copy.deepcopy(writes), f"task-{task}", path)

    @precondition(lambda self: self.deleted)
    @rule(which=seeds, process=few)
    def come_late(self, which: int, process: int) -> None:
        at = self.deleted[which % len(self.deleted)]
        for late in (
            lambda saver: saver.put_writes(at, [("other", 1)], "late"),
            lambda saver: saver.put(at, {**empty_checkpoint(), "id": str(uuid6())}, {"source": "loop"}, {}),
        ):
            with pytest.raises(ConflictError) as refused:
                late(self.ours[process % 2])
            assert refused.value.code == "thread_deleted"

    # Removing

    @rule(thread=few, process=few)
    def delete(self, thread: int, process: int) -> None:
        name = self.threads[thread % len(self.threads)]
        for (owner, _), there in self.puts.items():
            if owner == name:
                self.deleted += [one.at for one in there]
                there.clear()
        self.erased.pop(name, None)
        self.theirs.delete_thread(name)
        self.ours[process % 2].delete_thread(name)

    @rule(run=few, process=few)
    def delete_runs(self, run: int, process: int) -> None:
        going = f"{self.count}-run-{run % 3}"
        for place, there in self.puts.items():
            self._drop(place, [one for one in there if one.run == going])
        self.ours[process % 2].delete_for_runs([going])

    @rule(thread=few, process=few)
    def prune(self, thread: int, process: int) -> None:
        name = self.threads[thread % len(self.threads)]
        for place, there in self.puts.items():
            if place[0] == name:
                self._drop(place, there[:-1])
        self.ours[process % 2].prune([name])

    def _drop(self, place: tuple[str, str], going: list[Put]) -> None:
        for one in going:
            del self.theirs.storage[place[0]][place[1]][one.checkpoint_id]
            self.theirs.writes.pop((*place, one.checkpoint_id), None)
            self.puts[place].remove(one)

    @precondition(lambda self: len(self.threads) < 4)
    @rule(thread=few, process=few)
    def copy(self, thread: int, process: int) -> None:
        name, target = self.threads[thread % len(self.threads)], f"{self.count}-copy-{len(self.threads)}"
        self.threads.append(target)
        self.ours[process % 2].copy_thread(name, target)
        self.theirs.storage[target] = copy.deepcopy(self.theirs.storage[name])
        for known in (self.theirs.blobs, self.theirs.writes):
            for key, value in [*known.items()]:
                if key[0] == name:
                    known[(target, *key[1:])] = copy.deepcopy(value)  # type: ignore[index]
        for (owner, ns), there in [*self.puts.items()]:
            if owner == name:
                self.puts[target, ns] = [
                    Put({"configurable": {**one.at["configurable"], "thread_id": target}}, one.values, one.versions, one.run)
                    for one in there
                ]  # fmt: skip
        self.erased[target] = set(self.erased.get(name, ()))

    @rule(thread=few, process=few)
    def erase(self, thread: int, process: int) -> None:
        name, serde = self.threads[thread % len(self.threads)], self.theirs.serde
        self.ours[process % 2].erase_conversation(name)
        ids = self.erased.setdefault(name, set())
        for blob, (kind, data) in [*self.theirs.blobs.items()]:
            if blob[0] == name:
                value = _emptied(serde.loads_typed((kind, data)), ids, among_messages=blob[2] == "messages")
                self.theirs.blobs[blob] = serde.dumps_typed(value)
        for place, writes in self.theirs.writes.items():
            if place[0] == name:
                for key, (task, channel, typed, path) in writes.items():
                    value = _emptied(serde.loads_typed(typed), ids, among_messages=channel == "messages")
                    writes[key] = task, channel, serde.dumps_typed(value), path

    @rule(process=few)
    def forget(self, process: int) -> None:
        self.ours[process % 2] = SQLCheckpointer(self.database)

    # Looking

    @rule(process=few, limit=few)
    def look(self, process: int, limit: int) -> None:
        ours = self.ours[process % 2]
        for name in self.threads:
            whole: Any = {"configurable": {"thread_id": name}}
            # Of several namespaces, the in-memory saver gives one after the other.
            assert self._seen(name, ours.list(whole)) == sorted(
                self._seen(name, self.theirs.list(whole)), key=lambda one: one[1], reverse=True
            )
        for (name, ns), there in self.puts.items():
            newest: Any = {"configurable": {"thread_id": name, "checkpoint_ns": ns}}
            by: Any = {"user": "ada"}
            assert self._seen(name, ours.list(newest, filter=by, limit=1 + limit)) == self._seen(
                name, self.theirs.list(newest, filter=by, limit=1 + limit)
            )
            for at in [newest, *(one.at for one in there)]:
                found = [[one] if one else [] for one in (ours.get_tuple(at), self.theirs.get_tuple(at))]
                assert self._seen(name, found[0]) == self._seen(name, found[1])
                assert self._seen(name, ours.list(newest, before=at if at is not newest else None)) == self._seen(
                    name, self.theirs.list(newest, before=at if at is not newest else None)
                )

    def teardown(self) -> None:
        self.look(0, 3)
        self.look(1, 0)

    def _seen(self, name: str, tuples: Any) -> list[Any]:
        ids = self.erased.get(name, set())
        seen = []
        for one in tuples:
            channels = one.checkpoint["channel_values"]
            seen.append([
                one.config["configurable"]["checkpoint_ns"], one.checkpoint["id"], one.checkpoint["channel_versions"], one.metadata,
                one.parent_config and one.parent_config["configurable"]["checkpoint_id"],
                [[channel, _shown(channels[channel], ids)] for channel in sorted(channels)],
                [[task, channel, _shown(value, ids)] for task, channel, value in one.pending_writes or ()],
            ])  # fmt: skip
        return seen


def _like(value: Any) -> bool:
    """Whether something stands for a message without being one, as `Writer.like_message` makes them."""
    if isinstance(value, dict):
        return isinstance(value.get("role"), str) and "content" in value
    return isinstance(value, (list, tuple)) and len(value) == 2 and value[0] == "user" and isinstance(value[1], str)


def _emptied(value: Any, ids: set[str], *, among_messages: bool = False) -> Any:
    """A value of the in-memory saver after an erasure; collects the ids that are erased."""
    if isinstance(value, BaseMessage):
        if value.id is not None:
            ids.add(value.id)
        return dict(ERASED)
    if _like(value) or (among_messages and isinstance(value, str)):
        return dict(ERASED)
    if isinstance(value, dict):
        return {key: _emptied(item, ids, among_messages=key == "messages") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_emptied(item, ids, among_messages=among_messages) for item in value]
    if hasattr(value, "inner"):
        return type(value)(_emptied(value.inner, ids))
    return value


def _shown(value: Any, ids: set[str]) -> Any:
    """A value for comparison, with the same in every place where something was erased."""
    if isinstance(value, BaseMessage):
        return ERASED if value.content == ERASED_TEXT or value.id in ids else plain(value)
    parts = value.values() if isinstance(value, dict) else value
    if value in (ERASED, ERASED_TEXT) or (_like(value) and ERASED_TEXT in parts):
        return ERASED
    if isinstance(value, dict):
        return [[key, _shown(item, ids)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_shown(item, ids) for item in value]
    return ["box", _shown(value.inner, ids)] if hasattr(value, "inner") else plain(value)


def test_operations_in_any_order_leave_what_they_leave_in_memory(saver: SQLCheckpointer) -> None:
    machine = type("OnThisDatabase", (AnyOrder,), {"database": saver.database})
    saver.setup()
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if SHRINKS else [])],
        ),
    )
