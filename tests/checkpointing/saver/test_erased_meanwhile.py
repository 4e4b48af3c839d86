"""A run that goes on with what it remembers while its conversation is erased elsewhere stores nothing of it again."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from interlock.checkpointing import SQLCheckpointer
from interlock.checkpointing.saver.tombstones import ERASED_TEXT, is_erased
from tests.checkpointing.support import SECRET, config, put


def kept(saver: SQLCheckpointer) -> list[str]:
    return [found.message.text for found in saver.conversations.messages("t")]


GIVEN_AGAIN: dict[str, list[AnyMessage]] = {
    "as it was": [HumanMessage(SECRET, id="1")],
    "changed": [HumanMessage(f"{SECRET}, and more", id="1")],
    "with a new one": [HumanMessage(f"{SECRET}, and more", id="1"), AIMessage("new", id="2")],
}


@pytest.mark.parametrize("given", GIVEN_AGAIN)
@pytest.mark.parametrize("by", ["a checkpoint", "a write", "a second write"])
def test_an_erased_message_does_not_come_back(set_up_database_url: str, by: str, given: str) -> None:
    messages: Any = GIVEN_AGAIN[given]
    with SQLCheckpointer(set_up_database_url) as saver, SQLCheckpointer(set_up_database_url) as eraser:
        at = put(saver, config(), {"messages": [HumanMessage(SECRET, id="1")]}, source="input")
        if by == "a second write":
            saver.put_writes(at, [("noted", "something else")], "task")
        eraser.erase_conversation("t")

        if by == "a checkpoint":
            at = put(saver, at, {"messages": messages})
        else:
            saver.put_writes(at, [("more", "words"), ("messages", messages)], "task")

        assert kept(saver) == [ERASED_TEXT] + (["new"] if given == "with a new one" else [])
        found = eraser.get_tuple(at)
        assert found is not None
        if by == "a checkpoint":
            shown = found.checkpoint["channel_values"]["messages"]
        else:
            (shown,) = [value for _, channel, value in found.pending_writes or [] if channel == "messages"]
        assert is_erased(shown[0])
        assert SECRET not in str(shown)


def test_a_write_of_a_run_whose_thread_was_erased_and_begun_anew_goes_to_the_new_conversation(
    set_up_database_url: str,
) -> None:
    with SQLCheckpointer(set_up_database_url) as saver, SQLCheckpointer(set_up_database_url) as other:
        at = put(saver, config(), {"messages": [HumanMessage("old", id="1")]}, source="input")
        other.erase_conversation("t")
        put(other, at, {"messages": [HumanMessage("by the other", id="9")]})

        saver.put_writes(at, [("messages", AIMessage("mine", id="2"))], "task")

        assert sorted(kept(saver)) == sorted([ERASED_TEXT, "by the other", "mine"])
