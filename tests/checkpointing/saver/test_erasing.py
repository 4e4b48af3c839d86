"""Deleting and erasing: what is gone stays gone, and the workflow goes on. Messages are stored as they are."""

from __future__ import annotations

import pathlib
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.graph import START, MessagesState, StateGraph

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.saver.tombstones import ERASED_TEXT, is_erased
from interlock.tools.errors import ConflictError
from tests.checkpointing.support import SECRET, chat, config, put, say, texts


def test_late_writes_do_not_bring_back_a_deleted_thread(saver: SQLCheckpointer) -> None:
    at = put(saver, config(), {"messages": [HumanMessage(SECRET, id="1")]}, source="input")
    saver.delete_thread("t")

    with pytest.raises(ConflictError, match="deleted"):
        saver.put_writes(at, [("messages", AIMessage(SECRET))], "task")
    with pytest.raises(ConflictError, match="deleted"):
        put(saver, at, {"messages": [HumanMessage(SECRET, id="1")]})

    assert list(saver.list(config())) == []
    assert saver.conversations.list() == []
    assert put(saver, config(), {"a": 1}, source="input") is not None  # a new run may use the name again


def test_erasing_leaves_the_workflow_readable_and_going_on(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    say(graph)
    say(graph)

    assert saver.erase_conversation("t") == 4

    messages = graph.get_state(config()).values["messages"]
    assert [message.text for message in messages] == [ERASED_TEXT] * 4
    assert all(map(is_erased, messages))
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, HumanMessage, AIMessage]
    say(graph, "afterwards")
    assert texts(graph) == [ERASED_TEXT] * 4 + [f"{SECRET} afterwards", f"{SECRET} answer 5"]


@pytest.mark.parametrize("oddly", [(1, 2), 1.0])
def test_a_message_with_its_usage_is_erased_whichever_way_it_is_stored(saver: SQLCheckpointer, oddly: Any) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    said = AIMessage(SECRET, id="a", usage_metadata=usage, additional_kwargs={"oddly": oddly})  # type: ignore[arg-type]
    put(saver, config(), {"held": [said, said]}, source="input")

    assert saver.erase_conversation("t") == 1

    found = SQLCheckpointer(saver.database).get_tuple(config())
    assert found is not None
    one, _ = found.checkpoint["channel_values"]["held"]
    assert (one.content, one.usage_metadata, is_erased(one)) == (ERASED_TEXT, None, True)


def test_a_run_that_goes_on_meanwhile_cannot_bring_erased_messages_back(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as saver, SQLCheckpointer(set_up_database_url) as eraser:
        graph = StateGraph(MessagesState)

        def answer(state: MessagesState) -> dict[str, Any]:
            if len(state["messages"]) == 3:
                eraser.erase_conversation("t")
            return {"messages": [AIMessage("new")]}

        graph.add_node("answer", answer)
        graph.add_edge(START, "answer")
        compiled = graph.compile(checkpointer=saver)
        say(compiled, "one")

        # Only what is committed can be erased: without this the question may be stored after the erasure, as a new message.
        compiled.invoke({"messages": [("user", f"{SECRET} two")]}, config(), durability="sync")

        assert SECRET not in "".join(texts(compiled))
        assert [message.message.text for message in saver.conversations.messages("t")] == [ERASED_TEXT] * 3 + ["new"]


def test_erased_messages_without_ids_do_not_come_back_with_a_channel_that_did_not_change(
    saver: SQLCheckpointer,
) -> None:
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    metadata: Any = {"source": "update", "step": 0, "parents": {}}
    first = empty_checkpoint()
    first["channel_values"] = {"spoken": [HumanMessage("my card is 4111")], "count": 1}
    first["channel_versions"] = {"spoken": "1", "count": "1"}
    config = saver.put(config, first, metadata, first["channel_versions"])
    saver.erase_conversation("t")
    second = {**first, "id": str(uuid6()), "channel_values": {**first["channel_values"], "count": 2}}
    second["channel_versions"] = {"spoken": "1", "count": "2"}
    config = saver.put(config, second, metadata, {"count": "2"})  # a run that still has the message in its hands
    found = saver.get_tuple(config)
    assert found is not None
    assert [message.content for message in found.checkpoint["channel_values"]["spoken"]] == [ERASED_TEXT]
    assert [item["message"]["data"]["content"] for item in saver.conversations.export("t")] == [ERASED_TEXT]


def test_erased_text_is_nowhere_in_the_file(tmp_path: pathlib.Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'erased.db'}") as saver:
        say(chat(saver))
        saver.erase_conversation("t")

    assert [path.name for path in tmp_path.iterdir() if SECRET.encode() in path.read_bytes()] == []


def test_another_process_that_remembers_the_messages_sees_the_erasure(set_up_database_url: str) -> None:
    with SQLCheckpointer(set_up_database_url) as one, SQLCheckpointer(set_up_database_url) as other:
        graphs = chat(one), chat(other)
        say(graphs[0])
        assert SECRET in texts(graphs[1])[0]

        one.erase_conversation("t")

        assert texts(graphs[1]) == [ERASED_TEXT] * 2


def test_erasing_without_the_key_takes_the_text_away_too(set_up_database_url: str) -> None:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "rev", plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            return ciphertext[::-1]

    with SQLCheckpointer(set_up_database_url, serde=EncryptedSerializer(Cipher())) as saver:
        say(chat(saver))
    with SQLCheckpointer(set_up_database_url) as without_key:
        assert without_key.erase_conversation("t") == 2
        assert [one.message.text for one in without_key.conversations.messages("t")] == [ERASED_TEXT] * 2


def test_keeping_only_the_last_messages(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(3):
        say(graph, str(number))
    say(graph, "other", "other")

    assert saver.conversations.retain(last=2) == 4

    assert texts(graph)[:4] == [ERASED_TEXT] * 4
    assert ERASED_TEXT not in texts(graph)[4:] + texts(graph, "other")
    assert saver.conversations.retain(last=2) == 0


def test_keeping_only_recent_messages(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    say(graph)
    with saver.database.write() as connection:
        connection.execute(sa.text("UPDATE conversation_messages SET created_at = created_at - 7200000000"))
    say(graph)

    assert saver.conversations.retain(newer_than=timedelta(hours=1)) == 2
    assert [text == ERASED_TEXT for text in texts(graph)] == [True, True, False, False]


def test_conversations_are_listed_in_pages_and_exported_in_order(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    for number in range(5):
        say(graph, "hello", str(number))

    first = saver.conversations.list(limit=3)
    rest = saver.conversations.list(limit=3, after=first[-1].cursor)
    exported = list(saver.conversations.export("3"))

    assert [one.thread_id for one in first + rest] == ["0", "1", "2", "3", "4"]
    assert {(one.messages, one.erased) for one in first + rest} == {(2, 0)}
    assert [(item["role"], item["message"]["data"]["content"]) for item in exported] == [
        ("human", f"{SECRET} hello"),
        ("ai", f"{SECRET} answer 1"),
    ]


def test_an_edited_message_is_shown_as_it_is_now(saver: SQLCheckpointer) -> None:
    graph = chat(saver)
    say(graph)
    message = graph.get_state(config()).values["messages"][0]

    graph.update_state(config(), {"messages": [HumanMessage("edited", id=message.id)]})

    assert texts(graph) == ["edited", f"{SECRET} answer 1"]
    shown = [one.message.text for one in saver.conversations.messages("t")]
    assert sorted(shown) == sorted(texts(graph))
    assert len(list(saver.conversations.messages("t", every_version=True))) == 3


def test_a_message_that_is_changed_in_place_is_noticed(saver: SQLCheckpointer) -> None:
    message = HumanMessage("before", id="1")
    first = put(saver, config(), {"messages": [message]}, source="input")
    message.additional_kwargs["changed"] = True
    second = put(saver, first, {"messages": [message]})

    loaded = [saver.get_tuple(at).checkpoint["channel_values"]["messages"][0] for at in (first, second)]

    assert [one.additional_kwargs for one in loaded] == [{}, {"changed": True}]


def test_true_and_one_are_told_apart_in_a_message(saver: SQLCheckpointer) -> None:
    message = HumanMessage("text", id="1", additional_kwargs={"flag": 1})
    first = put(saver, config(), {"messages": [message]}, source="input")
    message.additional_kwargs["flag"] = True
    second = put(saver, first, {"messages": [message]})

    assert saver.get_tuple(second).checkpoint["channel_values"]["messages"][0].additional_kwargs["flag"] is True


def test_loaded_messages_belong_to_whoever_loaded_them(saver: SQLCheckpointer) -> None:
    put(saver, config(), {"messages": [AIMessage("text", id="1")]}, source="input")
    mine = saver.get_tuple(config()).checkpoint["channel_values"]["messages"][0]

    mine.content = "scribbled"
    mine.tool_calls.append({"name": "x", "args": {}, "id": "1"})

    theirs = saver.get_tuple(config()).checkpoint["channel_values"]["messages"][0]
    assert (theirs.content, theirs.tool_calls) == ("text", [])
