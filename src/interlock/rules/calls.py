"""The tool calls of a model's message: each with its own id, and none that the model did not finish.

Providers leave ids empty, number them again in each message, and repeat them in content their own blocks. Some send a call
whose message was cut off, with arguments that a client package has completed by guessing.
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
"""The one argument of a call that could not be read, with its text; so Anthropic's documentation asks for it to be sent back."""
MESSAGE_KEY = "interlock"
"""In the response metadata of a message with calls: what their idempotency keys are derived from."""
NAMELESS = "unknown"
"""The name of a call that has none, in what a provider is sent back."""
CUT_OFF = "the message was cut off"
"""How the error of a call begins whose message the model did not finish."""

_id_of: Callable[[Any], Any] = attrgetter("id")
_LONGEST_ID = 64
_USABLE_ID = re.compile(r"[!-~]+")
_BLOCKS: Mapping[str, str] = {
    # Anthropic's and Bedrock's, LangChain's own (and of chunks), the Responses API's.
    "tool_use": "id",
    "tool_call": "id",
    "tool_call_chunk": "id",
    "invalid_tool_call": "id",
    "function_call": "call_id",
    "custom_tool_call": "call_id",
}
"""Content blocks that repeat a call, and where each has the call's id."""
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
"""Where providers say in the response metadata why a message ended."""
_UNFINISHED = re.compile(
    r"length|max_?(output_?)?tokens?|incomplete|truncat|cut_?off|context_?window|content_?filter|filtered|safety|recitation|"
    r"blocklist|prohibited|spii|guardrail|refusal|malformed|unexpected_?tool|too_?many_?tool|limit|error|fail|abort|cancel|"
    r"interrupt|time_?out|insufficient|armor|^language$|^other$",
    re.IGNORECASE,
)
"""Parts of the names that providers have for an end that came before the model's own: by length, filter, or failure."""


def cut_off(message: AIMessage) -> str | None:
    """Say why a message ended before the model was done with it, in the provider's word; None where it was done."""
    metadata = message.response_metadata
    details = metadata.get("incomplete_details") or metadata.get("incompleteDetails")
    given = [details.get("reason")] if isinstance(details, Mapping) else []
    # Where a message was streamed, LangChain joins the words of its chunks: "STOPSTOP", "lengthlength".
    given += [metadata.get(key) for key in _ENDINGS]
    for reason in given:
        text = getattr(reason, "name", reason)
        if isinstance(text, str) and _UNFINISHED.search(text.replace("-", "_")):
            return text[:64]
    return None


def finished(message: AIMessage, texts: Mapping[str, str] | None = None) -> AIMessage:
    """The message with every call among the invalid ones that the model did not finish.

    Args:
        message: As the client package gave it; of a chunk a message is made.
        texts: The arguments of its calls as the provider streamed them, by the call's id, where they are known.
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
    """The message with the shape that its class says: client packages, proxies and models of one's own copy messages past its checks.

    A call without a name is called `unknown`, which every provider takes back; what is no call at all is one that could not be read.
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
    """Whether the streamed arguments are a whole object; nothing at all stands for an empty one."""
    if not text.strip():
        return True
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class Kind(Enum):
    """What a message is to whoever puts a conversation in order."""

    MODEL = auto()
    ANSWER = auto()
    REMOVAL = auto()
    OTHER = auto()


class _Kinds(dict[type, Kind]):
    """The kind of each class of messages: asking pydantic's classes whether something is one of them costs more than all else here."""

    MOST = 1_000

    def __missing__(self, cls: type) -> Kind:
        kinds = {AIMessage: Kind.MODEL, ToolMessage: Kind.ANSWER, RemoveMessage: Kind.REMOVAL}
        kind = next((kind for one, kind in kinds.items() if issubclass(cls, one)), Kind.OTHER)
        if len(self) < self.MOST:
            self[cls] = kind
        return kind


_kind_of_class = _Kinds().__getitem__


def kinds_of(messages: Sequence[BaseMessage]) -> list[Kind]:
    """What each of these messages is."""
    return [*map(_kind_of_class, map(type, messages))]


def turns_of(messages: Sequence[BaseMessage], kinds: Sequence[Kind]) -> list[int]:
    """The places of all that an order is about: a model's messages with calls, answers, and removals. The rest is only said."""
    return [
        place
        for place, (message, kind) in enumerate(zip(cast("Sequence[Any]", messages), kinds, strict=True))
        if kind is not Kind.OTHER and (kind is not Kind.MODEL or message.tool_calls or message.invalid_tool_calls)
    ]


def all_calls(message: AIMessage) -> list[ToolCall | InvalidToolCall]:
    """The calls of a message in the order in which they are proposed: those that could not be read come last."""
    return [*message.tool_calls, *message.invalid_tool_calls]


def repaired(message: AIMessage, message_key: str, known: Sequence[BaseMessage] = ()) -> AIMessage:
    """The message with ids that nothing else in its conversation has: its own, and one for each of its calls.

    Args:
        message: What the model said.
        message_key: Makes new ids, and is kept in the message for the idempotency keys of its calls.
        known: The conversation so far.
    """
    if message.id is not None and message.id in map(_id_of, known):
        # LangGraph would take it for a new version of the other one.
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
    """The message with its own usable id for each call, wherever the message repeats it.

    Args:
        message: A message with calls.
        taken: Ids that others have.
        mint: Makes the id of the call of that number, from 1.
    """
    seen: set[str] = (
        set()
    )  # those that are taken may be those of a whole conversation, which is not copied for each message
    ids: list[str] = []
    for number, call in enumerate(all_calls(message), start=1):
        given: Any = call.get("id")
        ids.append(given if is_usable_id(given) and given not in seen and given not in taken else mint(number))
        seen.add(ids[-1])
    return renamed(message, ids)


def is_usable_id(given: Any) -> bool:
    """Whether every provider takes this as the id of a call."""
    return isinstance(given, str) and len(given) <= _LONGEST_ID and _USABLE_ID.fullmatch(given) is not None


def renamed(message: AIMessage, ids: Sequence[str]) -> AIMessage:
    """The message with these ids of its calls, in their order, and in all places where the message repeats them."""
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
    """The places of content blocks that repeat a call, each with the place of its call.

    Of several calls with one id, or without one, the first block stands for the first call.
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
    """Whether a content block repeats a call that the application is to answer."""
    return isinstance(block, Mapping) and block.get("type") in _BLOCKS


def _renamed_keys(kwargs: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> dict[str, Any]:
    """What came beside the message, such as Gemini's signatures by the call's id; without the raw form of the calls."""
    changed = {}
    for name, value in kwargs.items():
        if name == "tool_calls":
            continue  # the raw form in which the calls came, with the ids that they had
        keyed = (
            [(call.get("id"), new) for call, new in zip(calls, ids, strict=True)] if isinstance(value, Mapping) else []
        )
        found = {new: value[old] for old, new in keyed if old and old in value}
        old_ids = {old for old, _ in keyed}
        changed[name] = {**{key: one for key, one in value.items() if key not in old_ids}, **found} if found else value
    return changed


def problem_of(call: InvalidToolCall) -> str:
    """What is wrong with a call that could not be read, for the model."""
    error = call.get("error") or ""
    if error.startswith(CUT_OFF):
        return f"{error}; make it again, whole, and with less in one message"
    return f"the arguments could not be read as JSON: {error or call.get('args')}"[:500]


def used_of_the_providers(message: AIMessage) -> list[dict[str, Any]]:
    """What tools of its own the provider ran for this message: each with its name, and its id and input where they are told."""
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
    """The message with its invalid calls among the others, each with its text as the one argument `INVALID_JSON`.

    Client packages and agents leave invalid calls out where they should not, and then an answer has no call.
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
