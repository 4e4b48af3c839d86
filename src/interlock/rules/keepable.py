"""What a model said, in a form that every database and checkpointer keeps: whatever it is, it can be written down and answered.

Client packages read with Python's JSON, which takes NaN, infinities, halves of surrogate pairs, and numbers and nesting of any size. A
call that holds such a thing is put among the calls that could not be read, where it is denied; its text is kept as far as it can be.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall

from ..tools.canonical import JsonObject
from ..tools.storable import LARGEST_INTEGER, SMALLEST_INTEGER, storable, storable_text, why_not_storable
from .calls import is_call_block

LONGEST_NAME = 64
"""How many characters of a tool's name are kept; no tool has a longer one."""
_DEEPEST = 64
_ANY_LENGTH = 10**12
_CUT = "…"


def keepable(message: AIMessage, *, longest: int, foreign: Callable[[str], bool] | None = None) -> AIMessage:
    """The message in a form that can be kept, with every call that could not be kept as it is among the invalid ones.

    Args:
        message: What the model said.
        longest: How many characters the arguments of one call may have as JSON text, about.
        foreign: Whether a tool is none of the workflow's, which says nothing about how long its arguments may be.
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
        # The raw form of the calls beside them would disagree.
        changed["additional_kwargs"] = {
            name: value for name, value in message.additional_kwargs.items() if name != "tool_calls"
        }
    if whole != message.tool_calls or broken != message.invalid_tool_calls:
        changed |= {"tool_calls": whole, "invalid_tool_calls": broken}
    for part in ("content", "additional_kwargs", "response_metadata", "id", "name"):
        before = changed.get(part, getattr(message, part))
        after = _content(before, longest) if part == "content" else _plain(before)
        if after is not before:
            changed[part] = after
    return message.model_copy(update=changed) if changed else message


def name_of(called: object) -> str:
    """The name that a model called something by, as it is kept. A name that was changed ends with an ellipsis, as no tool's does."""
    name = called if isinstance(called, str) else str(called or "")
    kept = storable_text(name[: 2 * LONGEST_NAME])
    if kept == name and len(name) <= LONGEST_NAME:
        return name
    return kept[: LONGEST_NAME - 1] + _CUT


def said_by(call: InvalidToolCall) -> JsonObject:
    """The arguments of an invalid call as far as they can be told from its text, for the record."""
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
    """The value without text that is not valid UTF-8 and numbers that no database keeps; the same object where there are none."""
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
