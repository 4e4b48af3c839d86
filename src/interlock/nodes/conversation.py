"""Orders the conversation as model providers require: each message with calls is directly followed by their answers.

An answer belongs to the nearest preceding message with an open call of its id, and there to the first such call. Ids alone are
ambiguous, because some providers reuse them in each message.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, SystemMessage, ToolMessage
from langgraph.graph.message import add_messages

from ..rules.calls import (
    INVALID_JSON,
    NAMELESS,
    Kind,
    all_calls,
    block_matches,
    is_call_block,
    is_usable_id,
    kinds_of,
    readable,
    turns_of,
    with_own_ids,
)
from ..tools.ids import derive
from .plain_conversations import LONGEST_NAME, PLAIN_NAME, SENDABLE, SURROGATE, answered_calls, are_plain, are_sendable

UNANSWERED = "There is no answer to this call: what became of it is not in this conversation."
"""The answer for a call whose own answer is missing, because it was removed or never written."""
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True)
class Pairing:
    """Maps calls to answers, by their indexes in the conversation."""

    answers: dict[int, list[int | None]]
    """For each message with calls, the indexes of their answers."""

    @property
    def is_in_order(self) -> bool:
        """Whether the answers to all calls directly follow them."""
        return all(
            answer == place + number
            for place, answers in self.answers.items()
            for number, answer in enumerate(answers, start=1)
        )

    @property
    def paired(self) -> frozenset[int]:
        """The indexes of all answers that have a call."""
        return frozenset(place for places in self.answers.values() for place in places if place is not None)


def pair(messages: Sequence[BaseMessage]) -> Pairing:
    """Find the call of each answer."""
    answers: dict[int, list[int | None]] = {}
    open_calls: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, (message, kind) in enumerate(zip(messages, kinds_of(messages), strict=True)):
        if kind is Kind.ANSWER:
            waiting = open_calls.get(cast("ToolMessage", message).tool_call_id)
            if waiting:
                asked, number = waiting.pop()
                answers[asked][number] = place
        elif kind is Kind.MODEL and (calls := all_calls(cast("AIMessage", message))):
            answers[place] = [None] * len(calls)
            # A stack, so that `pop` finds the nearest message, and in it the first call.
            for number in reversed(range(len(calls))):
                open_calls[_answered_as(calls[number].get("id"))].append((place, number))
    return Pairing(answers)


def _answered_as(call_id: Any) -> str:
    # An answer's id is always text; LangChain writes a missing one as "None".
    return call_id if isinstance(call_id, str) else str(call_id)


def unanswered(messages: Sequence[BaseMessage]) -> tuple[int, list[int]] | None:
    """The index of the last model message and of its calls without an answer; None if all have one."""
    last = next((place for place in reversed(range(len(messages))) if isinstance(messages[place], AIMessage)), None)
    if last is None:
        return None
    # Later answers belong to this message first, so the earlier conversation does not matter.
    left = [number for number, answer in enumerate(pair(messages[last:]).answers.get(0, [])) if answer is None]
    return (last, left) if left else None


def put_in_order(messages: Sequence[BaseMessage]) -> list[BaseMessage] | None:
    """The messages in order, with an answer to every call; None if they already are, which is the usual case."""
    if _are_in_order(messages) or pair(messages).is_in_order:
        return None
    ordered = in_order([*messages, *missing_answers(messages)])
    is_same = len(ordered) == len(messages) and all(one is other for one, other in zip(ordered, messages, strict=True))
    return None if is_same else ordered


def _are_in_order(
    messages: Sequence[BaseMessage], kinds: Sequence[Kind] | None = None, turns: Sequence[int] | None = None
) -> bool:
    """A cheap check whether the messages are in order: each call is directly followed by its answer, and no answer lacks a call.

    Args:
        messages: The conversation.
        kinds: The kind of each message, if known (`kinds_of`).
        turns: The indexes of the messages whose order matters, if known (`turns_of`).
    """
    said: Sequence[Any] = messages  # each of the class that its kind says
    kinds = kinds_of(messages) if kinds is None else kinds
    turns = turns_of(messages, kinds) if turns is None else turns
    if answered_calls(messages, kinds, turns) is not None:
        return True
    awaited: list[str] = []
    following = 0
    for place in turns:
        kind = kinds[place]
        if awaited and (place != following or kind is not Kind.ANSWER):
            return False
        following = place + 1
        if kind is Kind.ANSWER:
            if not awaited or awaited.pop() != said[place].tool_call_id:
                return False
        elif kind is Kind.MODEL:
            calls = all_calls(said[place])
            awaited = [_answered_as(call.get("id")) for call in reversed(calls)]
            if len(set(awaited)) < len(awaited):
                return False
    return not awaited


def missing_answers(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Answers for all unanswered calls, to be stored in the conversation, because its next reader may not add them."""
    if _are_in_order(messages):
        return []
    return [
        _missing_answer(str(call.get("id")), call.get("name") or "")
        for place, answers in pair(messages).answers.items()
        for call, answer in zip(all_calls(cast("AIMessage", messages[place])), answers, strict=True)
        if answer is None
    ]


def _missing_answer(call_id: str, name: str) -> ToolMessage:
    return ToolMessage(UNANSWERED, tool_call_id=call_id, name=name, status="error")


def in_order(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Move each answer to its call; messages without a partner stay in place."""
    pairing = pair(messages)
    moved = pairing.paired
    ordered: list[BaseMessage] = []
    for place, message in enumerate(messages):
        if place in moved:
            continue
        ordered.append(message)
        ordered += [messages[answer] for answer in pairing.answers.get(place, []) if answer is not None]
    return ordered


def join(old: Any, new: Any) -> Any:
    """Add messages to a conversation as LangGraph does, and keep each answer directly behind its call.

    A message of the user may come between the two while an approval is open. The next reader of the conversation, such as a parent
    graph with its own model, sends it to a provider unchanged.
    """
    joined: Any = add_messages(old, new)
    added = new if isinstance(new, list) else [new]
    answered = {message.tool_call_id for message in added if isinstance(message, ToolMessage)}
    if not answered or _ends_with_its_call(joined, answered):
        return joined
    return in_order(joined)


def _ends_with_its_call(messages: Sequence[BaseMessage], answered: set[str]) -> bool:
    """Whether these answers already follow their calls, which is the usual case."""
    behind: list[str] = []
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            behind.append(message.tool_call_id)
            continue
        if not isinstance(message, AIMessage):
            return False
        called = [_answered_as(call.get("id")) for call in all_calls(message)]
        known = set(behind)  # a set, because a message may have thousands of calls
        return answered <= known and [one for one in called if one in known] == behind[::-1]
    return False


def for_model(messages: Sequence[AnyMessage], prompt: str | None = None) -> list[BaseMessage]:
    """Convert any conversation to one that model providers accept.

    Every call gets a valid id and name, an object as arguments, and one answer, which directly follows its message. Answers
    without a call and empty messages are dropped. Valid messages are passed unchanged.
    """
    kinds = kinds_of(messages)
    turns = turns_of(messages, kinds)
    sent: list[BaseMessage] = [SystemMessage(prompt)] if prompt else []
    calls_in_order = answered_calls(messages, kinds, turns)
    is_plain = are_plain(messages, turns)
    if is_plain and calls_in_order is not None and are_sendable(calls_in_order, messages, kinds, turns):
        return [*sent, *messages]
    pairing = None if calls_in_order is not None or _are_in_order(messages, kinds, turns) else pair(messages)
    known_ids: set[str] = set()
    looked_at: Sequence[int] = turns if is_plain else range(len(messages))
    following = 0
    for place in looked_at:
        sent += messages[following:place]  # messages without calls or answers, sent unchanged
        following = place + 1
        message, kind = messages[place], kinds[place]
        if kind is Kind.ANSWER or kind is Kind.REMOVAL:
            continue
        if kind is Kind.OTHER:
            sent.append(_sent(message))
            continue
        assert isinstance(message, AIMessage)  # noqa: S101 -- by its kind
        answers: Sequence[int | None] = (
            range(place + 1, place + 1 + len(all_calls(message))) if pairing is None else pairing.answers.get(place, [])
        )
        shown = message if _needs_nothing(message, known_ids) else _shown(message, known_ids)
        if not (answers or _says_something(shown)):
            continue
        sent.append(shown)
        calls: Sequence[Any] = shown.tool_calls
        known_ids.update([call["id"] for call in calls])
        for call, answer in zip(calls, answers, strict=True):
            given: Any = None if answer is None else messages[answer]
            sent.append(_answer(call, given))
    sent += messages[following:]
    return sent


def _needs_nothing(message: AIMessage, known_ids: set[str]) -> bool:
    """A cheap check whether `_shown` would return the message unchanged, because it runs on every message with calls."""
    content: Any = message.content
    if type(content) is not str or not content.isascii() or content.isspace() or message.invalid_tool_calls:
        return False
    seen: set[str] = set()
    for call in message.tool_calls:
        call_id: Any = call["id"]
        name: Any = call["name"]
        arguments: Any = call["args"]
        if type(name) is not str or type(arguments) is not dict:
            return False
        if not is_usable_id(call_id) or call_id in known_ids or call_id in seen or not PLAIN_NAME.fullmatch(name):
            return False
        seen.add(call_id)
        for key, value in arguments.items():
            if not (type(key) is str and key.isascii()):
                return False
            if type(value) not in SENDABLE and not (type(value) is str and value.isascii()):
                return False
    return True


def _shown(message: AIMessage, known_ids: set[str]) -> AIMessage:
    """Make a model's message acceptable to a provider."""
    calls = all_calls(message)
    message = _sent(message)
    if isinstance(message.content, str) and message.content and not message.content.strip():
        message = message.model_copy(update={"content": ""})  # Anthropic refuses text that is only white space
    if not calls:
        return _without_blocks(message)
    message = with_own_ids(message, known_ids, lambda number: _new_id(calls[number - 1], number, known_ids))
    return _without_blocks(_with_names_and_arguments(readable(message)))


def _new_id(call: Any, number: int, known_ids: set[str]) -> str:
    # Deterministic, so that the prompt caches of providers hit when the conversation is sent again.
    return derive("call", ascii(call.get("id")), number, len(known_ids))


def _with_names_and_arguments(message: AIMessage) -> AIMessage:
    calls = [
        {**call, "name": _name(call["name"]), "args": _arguments(call["args"])}
        if _name(call["name"]) != call["name"] or _arguments(call["args"]) is not call["args"]
        else call
        for call in message.tool_calls
    ]
    if all(one is other for one, other in zip(calls, message.tool_calls, strict=True)):
        return message
    content: Any = message.content
    if isinstance(content, list):
        names = {place: calls[number]["name"] for place, number in block_matches(content, message.tool_calls)}
        content = [{**block, "name": names[place]} if place in names else block for place, block in enumerate(content)]
    return message.model_copy(update={"tool_calls": calls, "content": content})


def _name(given: Any) -> str:
    """Convert a called name to one that providers accept."""
    name = _NOT_IN_NAMES.sub("_", given if isinstance(given, str) else str(given or ""))[:LONGEST_NAME]
    return name or NAMELESS


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return cast("dict[str, Any]", _sendable(given))
    return {} if given is None else {INVALID_JSON: given if isinstance(given, str) else repr(given)}


def _without_blocks(message: AIMessage) -> AIMessage:
    """Drop content blocks of calls that the message itself does not have, because they get no answer."""
    content: Any = message.content
    if not isinstance(content, list) or not any(map(is_call_block, content)):
        return message
    matched = {place for place, _ in block_matches(content, all_calls(message))}
    kept = [block for place, block in enumerate(content) if place in matched or not is_call_block(block)]
    return message if len(kept) == len(content) else message.model_copy(update={"content": kept})


def _says_something(message: AIMessage) -> bool:
    content = message.content
    if isinstance(content, str):
        return bool(content.strip()) or "audio" in message.additional_kwargs
    return any(not isinstance(block, str) or block.strip() for block in content)


def _answer(call: Any, answer: ToolMessage | None) -> ToolMessage:
    if answer is None:
        return _missing_answer(call["id"], call["name"])
    answer = _sent(answer)
    return answer if answer.tool_call_id == call["id"] else answer.model_copy(update={"tool_call_id": call["id"]})


M = TypeVar("M", bound=BaseMessage)


def _sent(message: M) -> M:
    """Replace lone surrogates in a message, which no client package can send."""
    content = _sendable(message.content)
    return message if content is message.content else message.model_copy(update={"content": content})


def _sendable(value: Any) -> Any:
    """Replace parts of a value that cannot be sent as JSON; returns the same object if there are none."""
    if isinstance(value, str):
        return value if value.isascii() or not SURROGATE.search(value) else SURROGATE.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list):
        made: Any = [_sendable(item) for item in value]
        return value if all(one is other for one, other in zip(made, value, strict=True)) else made
    if isinstance(value, dict):
        made = {_sendable(key): _sendable(item) for key, item in value.items()}
        return value if all(key in made and made[key] is item for key, item in value.items()) else made
    return value


__all__ = [
    "UNANSWERED",
    "Pairing",
    "for_model",
    "in_order",
    "join",
    "missing_answers",
    "pair",
    "put_in_order",
    "unanswered",
]
