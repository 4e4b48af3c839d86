"""Whether a list of messages begins with the stored one: seen for all messages at once as for each alone, edits in place included."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from interlock.checkpointing.saver.encoding.lists import StoredList
from interlock.checkpointing.saver.encoding.messages import Message, are_stored, fast_body

VALUES = st.sampled_from([1, True, 1.0, 0.0, -0.0, "1", None, [1], ["ą"], {"a": 1}, b"1", bytearray(b"1"), "ą"])
SAID = st.one_of(
    st.builds(HumanMessage, st.sampled_from(["hello", ""]), id=st.sampled_from(["m", None])),
    st.builds(ToolMessage, st.just("done"), tool_call_id=st.just("c"), artifact=VALUES),
    VALUES.map(lambda value: AIMessage("", tool_calls=[{"name": "t", "args": {"a": value}, "id": "c"}])),
    VALUES.map(lambda value: AIMessage("hi", id="m", response_metadata={"a": value})),
)


def stored(messages: list[Any]) -> list[Message]:
    return [
        Message(place, "m", body, "ai", message.id)
        for place, message in enumerate(messages)
        if (body := fast_body(message)) is not None
    ]


def edited(message: Any, value: Any) -> Any:
    """A copy in which one value was replaced in place."""
    changed = copy.deepcopy(message)
    if isinstance(changed, AIMessage):
        place: Any = changed.tool_calls[0]["args"] if changed.tool_calls else changed.response_metadata
        place["a"] = value
    elif isinstance(changed, ToolMessage):
        changed.artifact = value
    return changed


@given(st.lists(SAID, max_size=4), st.data())
def test_all_at_once_say_what_each_alone_says(messages: list[BaseMessage], data: st.DataObject) -> None:
    known = stored(messages)
    whole = [message for message in messages if fast_body(message) is not None]
    now = [edited(message, data.draw(VALUES)) if data.draw(st.booleans()) else message for message in whole]

    each = [one.same_as(message) for one, message in zip(known, now, strict=True)]
    assert are_stored(now, known) is all(each)
    assert StoredList.loaded(known).begins([*now, HumanMessage("and?")]) is all(each)


@pytest.mark.parametrize("number", [1, 15, 16, 17, 65_535, 65_536])
def test_a_list_of_any_length_is_known_again(number: int) -> None:
    message = AIMessage("", id="m", response_metadata={"tokens": 1})
    (one,) = stored([message])

    assert are_stored([message] * number, [one] * number)
    other = AIMessage("", id="m", response_metadata={"tokens": 2})
    assert not are_stored([*[message] * (number - 1), other], [one] * number)


def test_a_message_with_private_or_additional_values_is_another_one() -> None:
    message = AIMessage("", response_metadata={"tokens": 1})
    (one,) = stored([message])
    private = message.model_copy()
    object.__setattr__(private, "__pydantic_private__", {"a": 1})
    assert not are_stored([private], [one])
