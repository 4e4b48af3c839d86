"""The tool calls of a model's message: gives each a unique id and rejects calls that the model did not finish.

Providers leave ids empty, reuse the same ids in each message, and repeat them in their own content blocks. After a truncated message
some send a call whose arguments the client package completed by guessing.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum, auto
from operator import attrgetter
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    RemoveMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.utils import message_chunk_to_message

from ..tools.ids import derive

INVALID_JSON = "INVALID_JSON"
"""The only argument of an unreadable call; it holds the raw text. Anthropic's documentation asks for this form."""
MESSAGE_KEY = "interlock"
"""Key in a message's response metadata; its value is the base of the idempotency keys of the calls."""
NAMELESS = "unknown"
"""The name that a provider gets back for a call without a name."""
CUT_OFF = "the message was cut off"
"""Prefix of the error of a call that the model did not finish."""

_id_of: Callable[[Any], Any] = attrgetter("id")
_LONGEST_ID = 64
_USABLE_ID = re.compile(r"[!-~]+")
_BLOCKS: Mapping[str, str] = {
    # In this order: Anthropic and Bedrock; LangChain, also its chunks; the Responses API.
    "tool_use": "id",
    "tool_call": "id",
    "tool_call_chunk": "id",
    "invalid_tool_call": "id",
    "function_call": "call_id",
    "custom_tool_call": "call_id",
}
"""Content blocks that repeat a call, each with the key of the call's id."""
_RUN_BY_PROVIDERS = frozenset({"server_tool_use", "mcp_tool_use", "server_tool_call", "executable_code"})
"""Content blocks of tools that a provider ran itself; the Responses API's end in `_call`."""
_ENDINGS = (
    "finish_reason",
    "finishReason",
    "native_finish_reason",
    "stop_reason",
    "stopReason",
    "done_reason",
    "completion_reason",
    "status",
)
"""Keys of the response metadata under which providers report why a message ended."""
_UNFINISHED = re.compile(
    r"length|max_?(output_?)?tokens?|incomplete|truncat|cut_?off|context_?window|content_?filter|filtered|safety|recitation|"
    r"blocklist|prohibited|spii|guardrail|refusal|malformed|unexpected_?tool|too_?many_?tool|limit|error|fail|abort|cancel|"
    r"interrupt|time_?out|insufficient|armor|^language$|^other$",
    re.IGNORECASE,
)
"""Matches the providers' names for a premature end: by length, filter or failure."""


def cut_off(message: AIMessage) -> str | None:
    """Return the provider's reason for a truncated message, or None if the model finished it."""
    metadata = message.response_metadata
    details = metadata.get("incomplete_details") or metadata.get("incompleteDetails")
    given = [details.get("reason")] if isinstance(details, Mapping) else []
    # LangChain concatenates the reasons of streamed chunks, as in "STOPSTOP" or "lengthlength"; so search, and do not compare.
    given += [metadata.get(key) for key in _ENDINGS]
    for reason in given:
        text = getattr(reason, "name", reason)
        if isinstance(text, str) and _UNFINISHED.search(text.replace("-", "_")):
            return text[:64]
    return None


def finished(message: AIMessage, texts: Mapping[str, str] | None = None) -> AIMessage:
    """Move the calls that the model did not finish to the invalid calls.

    Args:
        message: The message of the client package; a chunk is converted to a message.
        texts: The raw streamed arguments by call id, if known.
    """
    message, streamed = well_formed(message), dict(texts or {})
    if isinstance(message, AIMessageChunk):
        streamed |= {chunk["id"]: chunk["args"] or "" for chunk in message.tool_call_chunks if chunk["id"]}
        message = cast("AIMessage", message_chunk_to_message(message))
    if not message.tool_calls:
        return message
    reason = cut_off(message)
    whole: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for call in message.tool_calls:
        text = streamed.get(call.get("id") or "")
        error = None
        if reason is not None:
            error = f"{CUT_OFF} ({reason}) before this call was whole"
        elif text is not None and not _is_object(text):
            error = f"{CUT_OFF} before the arguments of this call were whole"
        if error is None:
            whole.append(call)
            continue
        said = text if text is not None else json.dumps(call["args"], default=str)
        broken.append(
            {"type": "invalid_tool_call", "name": call["name"], "args": said, "id": call["id"], "error": error}
        )
    if not broken:
        return message
    kwargs = {name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"}
    invalid = [*message.invalid_tool_calls, *broken]
    return message.model_copy(update={"tool_calls": whole, "invalid_tool_calls": invalid, "additional_kwargs": kwargs})


def well_formed(message: AIMessage) -> AIMessage:
    """Give the message the shape that its class declares. Client packages, proxies and custom models copy messages without validation.

    A call without a name gets the name `unknown`, which every provider accepts. An entry that is not a call becomes an invalid call.
    """
    content: Any = message.content
    calls: Any = message.tool_calls
    invalid: Any = message.invalid_tool_calls
    if (
        isinstance(content, (str, list))
        and _is_list(calls, invalid)
        and all(map(_is_call, calls))
        and all(isinstance(call, Mapping) and call.get("name") and call.get("args") is not None for call in invalid)
    ):
        return message
    whole = [{"args": {}, **_named(call, "tool_call")} for call in _listed(calls) if isinstance(call, Mapping)]
    unread = [call for call in (*_listed(invalid), *_listed(calls)) if not isinstance(call, Mapping)]
    broken = [_named(call, "invalid_tool_call") for call in _listed(invalid) if isinstance(call, Mapping)]
    broken += [_named({"args": repr(call)}, "invalid_tool_call") for call in unread]
    shape = {
        "content": content if isinstance(content, (str, list)) else "" if content is None else str(content),
        "tool_calls": whole,
        "invalid_tool_calls": [{"error": None, **call, "args": call.get("args") or ""} for call in broken],
    }
    return message.model_copy(update=shape)


def _is_call(call: Any) -> bool:
    return isinstance(call, Mapping) and bool(call.get("name")) and {"args", "id", "type"} <= call.keys()


def _is_list(*values: Any) -> bool:
    return all(isinstance(value, list) for value in values)


def _listed(calls: Any) -> list[Any]:
    return [*calls] if isinstance(calls, (list, tuple)) else [] if calls is None else [calls]


def _named(call: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": None, **call, "type": kind, "name": call.get("name") or NAMELESS}


def _is_object(text: str) -> bool:
    """Whether the streamed arguments are a complete JSON object; empty text counts as an empty object."""
    if not text.strip():
        return True
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class Kind(Enum):
    """The role of a message in the order of a conversation."""

    MODEL = auto()
    ANSWER = auto()
    REMOVAL = auto()
    OTHER = auto()


class _Kinds(dict[type, Kind]):
    """Caches the kind of each message class, because `isinstance` on pydantic classes is the most expensive operation here."""

    MOST = 1_000

    def __missing__(self, cls: type) -> Kind:
        kinds = {AIMessage: Kind.MODEL, ToolMessage: Kind.ANSWER, RemoveMessage: Kind.REMOVAL}
        kind = next((kind for one, kind in kinds.items() if issubclass(cls, one)), Kind.OTHER)
        if len(self) < self.MOST:
            self[cls] = kind
        return kind


_kind_of_class = _Kinds().__getitem__


def kinds_of(messages: Sequence[BaseMessage]) -> list[Kind]:
    """The kind of each message."""
    return [*map(_kind_of_class, map(type, messages))]


def turns_of(messages: Sequence[BaseMessage], kinds: Sequence[Kind]) -> list[int]:
    """The indexes of the messages whose order matters: model messages with calls, answers, and removals."""
    said: Sequence[Any] = messages  # each of the class that its kind says
    other, model = Kind.OTHER, Kind.MODEL  # an enum looks its members up each time
    return [
        place
        for place, (message, kind) in enumerate(zip(said, kinds, strict=True))
        if kind is not other and (kind is not model or message.tool_calls or message.invalid_tool_calls)
    ]


def all_calls(message: AIMessage) -> list[ToolCall | InvalidToolCall]:
    """The calls of a message in the order of their proposals: unreadable calls come last."""
    return [*message.tool_calls, *message.invalid_tool_calls]


def repaired(message: AIMessage, message_key: str, known: Sequence[BaseMessage] = ()) -> AIMessage:
    """Make the message's id and the ids of its calls unique in the conversation.

    Args:
        message: The message of the model.
        message_key: The base of new ids; the message keeps it for the idempotency keys of its calls.
        known: The conversation so far.
    """
    if message.id is not None and message.id in map(_id_of, known):
        # LangGraph would replace the earlier message that has the same id.
        message = message.model_copy(update={"id": derive("message", message_key)})
    if not (message.tool_calls or message.invalid_tool_calls):
        return message
    kinds = kinds_of(known)
    taken = {
        str(call["id"])
        for place in turns_of(known, kinds)
        if kinds[place] is Kind.MODEL
        for call in all_calls(cast("AIMessage", known[place]))
    }
    message = with_own_ids(message, taken, lambda number: derive("call", message_key, number))
    return message.model_copy(update={"response_metadata": {**message.response_metadata, MESSAGE_KEY: message_key}})


def with_own_ids(message: AIMessage, taken: Collection[str], mint: Callable[[int], str]) -> AIMessage:
    """Give each call a unique, valid id, also in the places where the message repeats it.

    Args:
        message: A message with calls.
        taken: Ids of other calls.
        mint: Creates the id of the nth call, counted from 1.
    """
    # A separate set, because `taken` may hold the ids of a whole conversation: too much to copy for each message.
    seen: set[str] = set()
    ids: list[str] = []
    for number, call in enumerate(all_calls(message), start=1):
        given: Any = call.get("id")
        ids.append(given if is_usable_id(given) and given not in seen and given not in taken else mint(number))
        seen.add(ids[-1])
    return renamed(message, ids)


def is_usable_id(given: Any) -> bool:
    """Whether every provider accepts this as the id of a call."""
    return isinstance(given, str) and len(given) <= _LONGEST_ID and _USABLE_ID.fullmatch(given) is not None


def are_usable_ids(given: Sequence[Any]) -> bool:
    """Whether every provider accepts each of these as the id of a call; the loops run in C."""
    if not set(map(type, given)) <= {str}:
        return False
    lengths = {*map(len, given)}
    return not lengths or (
        0 not in lengths and max(lengths) <= _LONGEST_ID and _USABLE_ID.fullmatch("".join(given)) is not None
    )


def renamed(message: AIMessage, ids: Sequence[str]) -> AIMessage:
    """Set the ids of the calls, in their order, in every place where the message repeats them."""
    calls = all_calls(message)
    if all(call.get("id") == new for call, new in zip(calls, ids, strict=True)):
        return message
    changed = [{**call, "id": new} for call, new in zip(calls, ids, strict=True)]
    whole = len(message.tool_calls)
    return message.model_copy(
        update={
            "tool_calls": changed[:whole],
            "invalid_tool_calls": changed[whole:],
            "content": _renamed_blocks(message.content, calls, ids),
            "additional_kwargs": _renamed_keys(message.additional_kwargs, calls, ids),
        }
    )


def _renamed_blocks(content: Any, calls: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Any:
    if not isinstance(content, list):
        return content
    matches = dict(block_matches(content, calls))
    return [
        {**block, _BLOCKS[block["type"]]: ids[matches[place]]} if place in matches else block
        for place, block in enumerate(content)
    ]


def block_matches(content: Sequence[Any], calls: Sequence[Mapping[str, Any]]) -> Iterable[tuple[int, int]]:
    """Match the content blocks that repeat a call with the calls; yields the indexes of block and call.

    If several calls share an id or have none, blocks match calls in order.
    """
    left = dict(enumerate(calls))
    for place, block in enumerate(content):
        if not is_call_block(block):
            continue
        given = block.get(_BLOCKS[block["type"]]) or None
        same = [number for number, call in left.items() if (call.get("id") or None) == given]
        if given is None:
            same = [number for number in same if left[number].get("name") == block.get("name")] or same
        if same:
            left.pop(same[0])
            yield place, same[0]


def is_call_block(block: Any) -> bool:
    """Whether a content block repeats a call that the application has to answer."""
    return isinstance(block, Mapping) and block.get("type") in _BLOCKS


def _renamed_keys(kwargs: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> dict[str, Any]:
    """The additional data of the message under the new ids, such as Gemini's signatures; without the raw calls."""
    changed = {}
    for name, value in kwargs.items():
        if name == "tool_calls":
            continue  # the raw calls, which have the old ids
        keyed = (
            [(call.get("id"), new) for call, new in zip(calls, ids, strict=True)] if isinstance(value, Mapping) else []
        )
        found = {new: value[old] for old, new in keyed if old and old in value}
        old_ids = {old for old, _ in keyed}
        changed[name] = {**{key: one for key, one in value.items() if key not in old_ids}, **found} if found else value
    return changed


def problem_of(call: InvalidToolCall) -> str:
    """Explain to the model why a call could not be read."""
    error = call.get("error") or ""
    if error.startswith(CUT_OFF):
        return f"{error}; make it again, whole, and with less in one message"
    return f"the arguments could not be read as JSON: {error or call.get('args')}"[:500]


def used_of_the_providers(message: AIMessage) -> list[dict[str, Any]]:
    """The tools that the provider ran itself for this message: name, and id and input if reported."""
    content: Any = message.content
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    raw = message.additional_kwargs.get("tool_outputs")
    blocks += [block for block in raw if isinstance(block, Mapping)] if isinstance(raw, list) else []
    found = []
    for block in blocks:
        kind = str(block.get("type"))
        if is_call_block(block) or not (kind in _RUN_BY_PROVIDERS or kind.endswith("_call")):
            continue
        name = block.get("name") or kind.removesuffix("_call")
        given = next((block[key] for key in ("input", "args", "action", "arguments", "queries") if key in block), None)
        found.append({"tool": str(name), "id": block.get("id"), "input": given})
    if message.response_metadata.get("grounding_metadata"):
        found.append({"tool": "google_search", "id": None, "input": None})
    return found


def readable(message: AIMessage) -> AIMessage:
    """Merge the invalid calls into the valid ones, each with its text as the only argument, `INVALID_JSON`.

    Client packages and agents drop invalid calls, and then an answer would have no call.
    """
    if not message.invalid_tool_calls:
        return message
    calls = list(message.tool_calls)
    for call in message.invalid_tool_calls:
        arguments = {INVALID_JSON: call.get("args") or ""}
        calls.append({"type": "tool_call", "name": call.get("name") or "", "args": arguments, "id": call.get("id")})
    return message.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []})


__all__ = [
    "CUT_OFF",
    "INVALID_JSON",
    "MESSAGE_KEY",
    "Kind",
    "all_calls",
    "block_matches",
    "cut_off",
    "finished",
    "is_call_block",
    "is_usable_id",
    "kinds_of",
    "problem_of",
    "readable",
    "renamed",
    "repaired",
    "used_of_the_providers",
    "with_own_ids",
]
