"""Random histories: whatever is put, written, forked, edited, removed, pruned or erased, the checkpointer agrees with LangGraph's
in-memory saver about what there is.

`HYPOTHESIS_PROFILE=long` tries many more.
"""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.saver.tombstones import ERASED_TEXT

EXAMPLES = 400 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 25

positions = st.integers(min_value=0, max_value=30)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(["with id", "without id"])),
        st.tuples(st.just("edit"), positions),
        st.tuples(st.just("edit in place"), positions),
        st.tuples(st.just("remove"), positions),
        st.tuples(st.just("write"), st.sampled_from(["message", "pair", "data", "__interrupt__"])),
        st.tuples(st.just("fork"), positions),
        st.tuples(st.just("value"), st.integers(min_value=0, max_value=600)),
        st.tuples(st.just("forget"), st.none()),
        st.tuples(st.just("erase"), st.none()),
        st.tuples(st.just("prune"), st.none()),
    ),
    max_size=25,
)


class Histories:
    """The same history in both savers."""

    def __init__(self, saver: SQLCheckpointer, thread: str) -> None:
        self.database = saver.database
        self.ours = saver
        self.theirs = InMemorySaver()
        self.at: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        self.past: list[tuple[Any, list[BaseMessage], dict[str, Any], dict[str, str]]] = []
        self.messages: list[BaseMessage] = []
        self.versions: dict[str, str] = {}
        self.count = 0
        self.erased: set[str] = set()

    def put(self, **values: Any) -> None:
        self.count += 1
        changed = {name: self.ours.get_next_version(self.versions.get(name), None) for name in values}
        self.versions = {**self.versions, **changed}
        self.values = {**getattr(self, "values", {}), **values}
        checkpoint = empty_checkpoint()
        checkpoint["id"] = str(uuid6())
        checkpoint["channel_values"] = copy.deepcopy(self.values)
        checkpoint["channel_versions"] = dict(self.versions)
        metadata: Any = {"source": "update", "step": self.count, "parents": {}}
        self.theirs.put(self.at, copy.deepcopy(checkpoint), metadata, changed)
        self.at = self.ours.put(self.at, checkpoint, metadata, changed)
        self.past.append((self.at, list(self.messages), self.values, self.versions))

    def step(self, what: str, detail: Any) -> None:
        index = detail % len(self.messages) if isinstance(detail, int) and self.messages else None
        if what.startswith("edit") and index is not None and self.messages[index].content in self.erased:
            return  # an id that was erased stays erased, whatever is written under it
        if what == "say":
            self.count += 1
            cls = HumanMessage if self.count % 2 else AIMessage
            self.messages.append(cls(f"text {self.count}", id=f"m{self.count}" if detail == "with id" else None))
            self.put(messages=list(self.messages))
        elif what == "edit" and index is not None:
            self.messages[index] = HumanMessage(f"edited {self.count}", id=self.messages[index].id)
            self.put(messages=list(self.messages))
        elif what == "edit in place" and index is not None:
            self.messages[index] = self.messages[index].model_copy(update={"additional_kwargs": {"n": self.count}})
            self.put(messages=list(self.messages))
        elif what == "remove" and index is not None:
            del self.messages[index]
            self.put(messages=list(self.messages))
        elif what == "value":
            self.put(value=["x"] * detail)
        elif what == "write" and self.past:
            self.count += 1
            value: Any = {
                "message": [AIMessage(f"written {self.count}")],
                "pair": [("user", f"said {self.count}")],
            }.get(detail, {"n": self.count})
            channel = detail if detail.startswith("__") else "messages"
            for saver in (self.theirs, self.ours):
                saver.put_writes(self.at, [(channel, value)], f"task-{self.count % 3}", "path")
        elif what == "fork" and self.past:
            point = self.past[detail % len(self.past)]
            if self.ours.get_tuple(point[0]) is None:  # pruned
                point = self.past[-1]
            self.at, messages, values, self.versions = point
            self.messages, self.values = list(messages), dict(values)
            if self.erased:
                self._forget_nameless()
        elif what == "forget":
            self.ours = SQLCheckpointer(self.database)
        elif what == "prune" and self.past:
            self.ours.prune([self.thread])
        elif what == "erase":
            self.erased |= {text for text in map(_text, self._everything(self.theirs)) if text}
            self.ours.erase_conversation(self.thread)
            self._forget_nameless()

    def _forget_nameless(self) -> None:
        """Only by its id is a message known that was erased: whoever puts one without an id again, stores it again."""
        self.messages = [message for message in self.messages if message.id is not None]
        if "messages" in getattr(self, "values", {}):
            self.values["messages"] = list(self.messages)

    @property
    def thread(self) -> str:
        return str(self.at["configurable"]["thread_id"])

    def _everything(self, saver: Any) -> list[Any]:
        found: list[Any] = []
        for item in saver.list({"configurable": {"thread_id": self.thread}}):
            found += item.checkpoint["channel_values"].get("messages", [])
            for _, channel, value in item.pending_writes or ():
                found += value if channel == "messages" and isinstance(value, list) else []
        return found

    def check(self) -> None:
        theirs = {one.checkpoint["id"]: one for one in self.theirs.list({"configurable": {"thread_id": self.thread}})}
        ours = list(self.ours.list({"configurable": {"thread_id": self.thread}}))
        assert [one.checkpoint["id"] for one in ours] == sorted((one.checkpoint["id"] for one in ours), reverse=True)
        if theirs:
            assert ours[0].checkpoint["id"] == max(theirs)
        for one in ours:
            other = theirs[one.checkpoint["id"]]
            assert one.checkpoint["channel_versions"] == other.checkpoint["channel_versions"]
            assert one.metadata == other.metadata
            assert one.parent_config == other.parent_config
            assert _shown(one.checkpoint["channel_values"], set()) == _shown(
                other.checkpoint["channel_values"], self.erased
            )
            assert [write[:2] for write in one.pending_writes or ()] == [
                write[:2] for write in other.pending_writes or ()
            ]
            assert _shown([write[2] for write in one.pending_writes or ()], set()) == _shown(
                [write[2] for write in other.pending_writes or ()], self.erased
            )


def _text(message: Any) -> str | None:
    if isinstance(message, BaseMessage):
        return str(message.content)
    return message[1] if isinstance(message, (list, tuple)) and len(message) == 2 else None


def _shown(value: Any, erased: set[str]) -> Any:
    """A value for comparison, with placeholders where the other side has erased."""
    if isinstance(value, BaseMessage):
        gone = value.content in erased or value.content == ERASED_TEXT
        return (type(value), value.id, ERASED_TEXT if gone else (value.content, value.additional_kwargs))
    if isinstance(value, dict):
        return {key: _shown(item, erased) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(item, erased) for item in value]
    return ERASED_TEXT if isinstance(value, str) and value in erased else value


def test_every_history_is_the_same_as_in_memory(saver: SQLCheckpointer) -> None:
    number = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps)
    def agree(history: list[tuple[str, Any]]) -> None:
        nonlocal number
        number += 1
        both = Histories(saver, f"thread {number}")
        for what, detail in history:
            both.step(what, detail)
        both.check()

    agree()
