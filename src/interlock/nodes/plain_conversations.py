"""Whether a whole conversation can be sent to a model as it is, which is the usual case.

Every turn sends the whole conversation. These checks therefore look at one property of all messages at a time, in loops that run in C, and
not at one message at a time. They may say no to a conversation that needs nothing; `conversation` then looks at each message.
"""

import re
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from langchain_core.messages import BaseMessage

from ..rules.calls import Kind, are_usable_ids

SURROGATE = re.compile("[\ud800-\udfff]")
"""A lone surrogate, which no client package can send."""
LONGEST_NAME = 64
PLAIN_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{LONGEST_NAME}}}")
"""A name of a call that every provider accepts."""
SENDABLE = frozenset({bool, int, type(None)})
"""The types of arguments, beside text, whose values can be sent whatever they are."""

_content_of: Callable[[BaseMessage], Any] = attrgetter("content")
_calls_of: Callable[[Any], list[Any]] = attrgetter("tool_calls")
_unreadable_of: Callable[[Any], list[Any]] = attrgetter("invalid_tool_calls")
_answered_id_of: Callable[[Any], str] = attrgetter("tool_call_id")


def answered_calls(messages: Sequence[BaseMessage], kinds: Sequence[Kind], turns: Sequence[int]) -> list[Any] | None:
    """All calls of a conversation in which each call is directly followed by its answer, and no two calls have one id.

    Args:
        messages: The conversation.
        kinds: The kind of each message (`kinds_of`).
        turns: The indexes of the messages whose order matters (`turns_of`).

    Returns:
        The calls in order; None for any other conversation, and where a call is unreadable.
    """
    asked, answers = _places(kinds, turns)
    if len(asked) + len(answers) < len(turns):
        return None  # a message is to be removed
    models = [messages[place] for place in asked]
    if any(map(_unreadable_of, models)):
        return None
    of_each = [*map(_calls_of, models)]
    following = [
        place + number for place, calls in zip(asked, of_each, strict=True) for number in range(1, len(calls) + 1)
    ]
    if answers != following:
        return None
    found = [*chain.from_iterable(of_each)]
    ids = [call.get("id") for call in found]
    if ids != [_answered_id_of(messages[place]) for place in answers] or not set(map(type, ids)) <= {str}:
        return None
    return found if len(set(ids)) == len(ids) else None


def are_sendable(
    calls: Sequence[Any], messages: Sequence[BaseMessage], kinds: Sequence[Kind], turns: Sequence[int]
) -> bool:
    """Whether every message with calls, and every answer, can be sent unchanged.

    Args:
        calls: What `answered_calls` returned.
        messages: The conversation.
        kinds: The kind of each message.
        turns: The indexes of the messages whose order matters.
    """
    if not _are_sendable(calls):
        return False
    asked, answers = _places(kinds, turns)
    said = [messages[place].content for place in asked]
    answered = [messages[place].content for place in answers]
    if not {*map(type, said), *map(type, answered)} <= {str}:
        return False
    texts: Any = said
    return "".join(texts).isascii() and not any(map(str.isspace, texts)) and _is_sendable_text(answered)


def are_plain(messages: Sequence[BaseMessage], turns: Sequence[int]) -> bool:
    """Whether all messages without calls are text that can be sent unchanged."""
    apart = set(turns)
    said = [message for place, message in enumerate(messages) if place not in apart] if apart else messages
    contents = [*map(_content_of, said)]
    return set(map(type, contents)) <= {str} and all(map(str.strip, contents)) and _is_sendable_text(contents)


def _places(kinds: Sequence[Kind], turns: Sequence[int]) -> tuple[list[int], list[int]]:
    """The indexes of the model's messages with calls, and of the answers."""
    model, answer = Kind.MODEL, Kind.ANSWER  # an enum looks its members up each time
    return [place for place in turns if kinds[place] is model], [place for place in turns if kinds[place] is answer]


def _are_sendable(calls: Sequence[Any]) -> bool:
    """Whether all calls have ids, names and arguments that every provider accepts."""
    names = [call["name"] for call in calls]
    arguments = [call["args"] for call in calls]
    if not set(map(type, names)) <= {str} or not set(map(type, arguments)) <= {dict}:
        return False
    if not all(map(PLAIN_NAME.fullmatch, names)) or not are_usable_ids([call["id"] for call in calls]):
        return False
    keys = [*chain.from_iterable(arguments)]
    values = [*chain.from_iterable(map(dict.values, arguments))]
    if not set(map(type, keys)) <= {str} or not set(map(type, values)) <= {str, *SENDABLE}:
        return False
    return "".join(keys).isascii() and "".join([value for value in values if type(value) is str]).isascii()


def _is_sendable_text(contents: Sequence[Any]) -> bool:
    text = "".join(contents)
    return text.isascii() or SURROGATE.search(text) is None


__all__ = ["LONGEST_NAME", "PLAIN_NAME", "SENDABLE", "SURROGATE", "answered_calls", "are_plain", "are_sendable"]
