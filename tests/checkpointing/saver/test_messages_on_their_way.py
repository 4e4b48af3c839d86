"""A message that a task wrote gets its id when the next step applies it: it is one message of the conversation, whoever applies it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from interlock.checkpointing import SQLCheckpointer
from tests.checkpointing.support import config, put


def shown(saver: SQLCheckpointer) -> list[tuple[str | None, str]]:
    return [(message.message_id, message.message.text) for message in saver.conversations.messages("t")]


def pending(saver: SQLCheckpointer, at: Any) -> list[Any]:
    found = saver.get_tuple(at)
    assert found is not None
    return [message for _, _, value in found.pending_writes or [] for message in value]


APPLIERS: dict[str, Callable[[SQLCheckpointer, SQLCheckpointer], SQLCheckpointer]] = {
    "the process that wrote it": lambda writer, _: writer,
    "a process that knows nothing": lambda _, other: other,
    "a process that read what is pending": lambda _, other: (pending(other, config()), other)[1],
    "the process that wrote it, after it forgot": lambda writer, _: (
        writer._storage.memory.forget_threads(lambda _: True),
        writer,
    )[1],
}


@pytest.mark.parametrize("applier", APPLIERS)
def test_it_is_one_message_whoever_gives_it_its_id(applier: str, set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as writer, SQLCheckpointer(set_up_database_url) as other:
        question = HumanMessage("one", id="1")
        at = put(writer, config(), {"messages": [question]}, source="input")
        writer.put_writes(at, [("messages", [AIMessage("two")])], "task")
        after = put(APPLIERS[applier](writer, other), at, {"messages": [question, AIMessage("two", id="2")]})

        assert shown(writer) == shown(other) == [("1", "one"), ("2", "two")]
        for saver in (writer, other):
            assert [message.id for message in pending(saver, at)] == [None]
            found = saver.get_tuple(after)
            assert found is not None
            assert [message.id for message in found.checkpoint["channel_values"]["messages"]] == ["1", "2"]


@pytest.mark.parametrize("again", ["the process that wrote it", "a process that knows nothing"])
def test_it_stays_a_message_of_its_own_where_a_channel_keeps_it_without_an_id(
    again: str, set_up_database_url: str
) -> None:
    with SQLCheckpointer(set_up_database_url) as writer, SQLCheckpointer(set_up_database_url) as other:
        at = put(writer, config(), {"notes": [HumanMessage("one", id="1")]}, source="input")
        writer.put_writes(at, [("notes", [AIMessage("two")])], "task")
        at = put(writer, at, {"notes": [AIMessage("two")]})
        at = put(
            APPLIERS[again](writer, other), at, {"notes": [AIMessage("two")], "messages": [AIMessage("two", id="2")]}
        )

        assert shown(other) == [("1", "one"), (None, "two"), ("2", "two")]
        with SQLCheckpointer(set_up_database_url) as reader:
            found = reader.get_tuple(at)
        assert found is not None
        values = found.checkpoint["channel_values"]
        assert [values["notes"][0].id, values["messages"][0].id] == [None, "2"]


def test_two_processes_that_each_give_it_an_id_keep_their_own(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as writer, SQLCheckpointer(set_up_database_url) as other:
        at = put(writer, config(), {"messages": [HumanMessage("one", id="1")]}, source="input")
        writer.put_writes(at, [("messages", [AIMessage("two")])], "task")
        assert pending(other, at)
        ends = [
            put(saver, at, {"messages": [AIMessage("two", id=name)]}, source="update")
            for saver, name in ((other, "theirs"), (writer, "ours"))
        ]

        for saver in (writer, other):
            for end, name in zip(ends, ["theirs", "ours"], strict=True):
                found = saver.get_tuple(end)
                assert found is not None
                assert [message.id for message in found.checkpoint["channel_values"]["messages"]] == [name]
        assert {name for name, _ in shown(writer)} == {"1", "theirs", "ours"}


def test_an_empty_id_is_kept_as_it_is(saver: SQLCheckpointer) -> None:
    at = put(saver, config(), {"messages": [HumanMessage("one", id=""), HumanMessage("two", id="")]}, source="input")
    with SQLCheckpointer(saver.database) as other:
        found = other.get_tuple(at)
    assert found is not None
    assert [(message.id, message.text) for message in found.checkpoint["channel_values"]["messages"]] == [
        ("", "one"),
        ("", "two"),
    ]
    assert [text for _, text in shown(saver)] == ["one", "two"]
