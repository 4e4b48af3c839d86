"""Makes a model's message storable by every database and checkpointer, whatever it holds, so that it can be recorded and answered.

Client packages parse with Python's JSON, which accepts NaN, infinities, lone surrogates, and numbers and nesting of any size. A
call with such a value becomes an invalid call, which is denied; its text is kept as far as possible.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall

from ..tools.canonical import JsonObject
from ..tools.storable import LARGEST_INTEGER, SMALLEST_INTEGER, storable, storable_text, why_not_storable
from .calls import is_call_block

LONGEST_NAME = 64
"""The maximum length of a stored tool name; no tool has a longer name."""
_DEEPEST = 64
_ANY_LENGTH = 10**12
_CUT = "…"


def keepable(message: AIMessage, *, longest: int, foreign: Callable[[str], bool] | None = None) -> AIMessage:
    """Make the message storable; calls that cannot be stored unchanged become invalid calls.

    Args:
        message: The message of the model.
        longest: The approximate maximum length of one call's arguments as JSON text, in characters.
        foreign: Whether a tool is not part of the workflow, which then sets no limit for its arguments.
    """
    whole: list[ToolCall] = []
    broken: list[InvalidToolCall] = [_kept(call) for call in message.invalid_tool_calls]
    for call in message.tool_calls:
        named = name_of(call["name"])
        most = _ANY_LENGTH if foreign is not None and foreign(named) else longest
        problem = why_not_storable(call["args"], longest=most)
        if problem is None:
            whole.append(call if named == call["name"] else {**call, "name": named})
            continue
        broken.append(
            {
                "type": "invalid_tool_call",
                "name": named,
                "args": _text_of(call["args"]),
                "id": call.get("id"),
                "error": problem,
            }
        )
    changed: dict[str, Any] = {}
    if len(whole) < len(message.tool_calls):
        # The raw calls in the additional data would contradict the changed ones.
        changed["additional_kwargs"] = {
            name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"
        }
    if whole != message.tool_calls or broken != message.invalid_tool_calls:
        changed |= {"tool_calls": whole, "invalid_tool_calls": broken}
    for part in ("content", "additional_kwargs", "response_metadata", "id", "name"):
        before = changed.get(part, getattr(message, part))
        if not before:
            continue  # nothing, or an empty text, list or dict
        after = _content(before, longest) if part == "content" else _plain(before)
        if after is not before:
            changed[part] = after
    return message.model_copy(update=changed) if changed else message


def name_of(called: object) -> str:
    """The storable form of a called name. A changed name ends with an ellipsis, so that it cannot match a tool."""
    name = called if isinstance(called, str) else str(called or "")
    kept = storable_text(name[: 2 * LONGEST_NAME])
    if kept == name and len(name) <= LONGEST_NAME:
        return name
    return kept[: LONGEST_NAME - 1] + _CUT


def said_by(call: InvalidToolCall) -> JsonObject:
    """The arguments of an invalid call, as far as its text can be parsed, for the record."""
    try:
        arguments = json.loads(call.get("args") or "")
    except (ValueError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) and why_not_storable(arguments) is None else {}


def _kept(call: InvalidToolCall) -> InvalidToolCall:
    changed: dict[str, Any] = {}
    for part in ("name", "args", "error"):
        text = call.get(part)
        if text is not None and (part == "name" or why_not_storable(text) is not None):
            changed[part] = name_of(text) if part == "name" else storable_text(text)
    return (
        cast("InvalidToolCall", {**call, **changed})
        if any(call.get(part) != changed[part] for part in changed)
        else call
    )


def _text_of(arguments: object) -> str:
    return storable_text(json.dumps(storable(arguments)))


def _content(content: Any, longest: int) -> Any:
    if not isinstance(content, list):
        return _plain(content)
    kept = [_block(block, longest) for block in content]
    return content if all(map(_is, kept, content)) else kept


def _block(block: Any, longest: int) -> Any:
    if is_call_block(block) and why_not_storable(block, longest=longest + 1_000) is not None:
        return storable(block)
    return _plain(block)


def _plain(value: Any, depth: int = 0) -> Any:
    """Remove invalid UTF-8 and numbers that no database stores; returns the same object if there are none."""
    if depth > _DEEPEST:
        return storable_text(value)
    match value:
        case str():
            return value if value.isascii() or _is_text(value) else value.encode("utf-8", "backslashreplace").decode()
        case bool() | None:
            return value
        case int():
            return value if SMALLEST_INTEGER <= value <= LARGEST_INTEGER else storable_text(value)
        case Mapping() if type(value) is dict:
            pairs = {_plain(key, depth + 1): _plain(item, depth + 1) for key, item in value.items()}
            same = all(map(_is, pairs, value)) and all(map(_is, pairs.values(), value.values()))
            return value if same and len(pairs) == len(value) else pairs
        case Sequence() if type(value) is list:
            items = [_plain(item, depth + 1) for item in value]
            return value if all(map(_is, items, value)) else items
        case _:
            return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is(one: object, other: object) -> bool:
    return one is other


__all__ = ["keepable", "name_of", "said_by"]
