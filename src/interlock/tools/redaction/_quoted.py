"""Masks fields inside a text: truncated, embedded or nested JSON, `repr`, and similar forms.

The search takes one pass for any text: each part is read a bounded number of times.
"""

import re
from collections.abc import Callable
from typing import Any

MASK = "***"
"""The text that replaces a redacted value."""

_FIELD = re.compile(
    r"(?<![\w.-])(?P<slashes>\\{0,8})(?P<mark>[\"']?)(?P<name>[A-Za-z_][\w.-]{0,63})(?P=slashes)(?P=mark)\s{0,20}(?P<sign>[:=])\s{0,20}"
)
_BARE = re.compile(r"[^\s,;&)\]}\"'<]+(?: [0-9]+)*")
_OPENING, _CLOSING = "{[(", "}])"


def hide_fields(text: str, is_hidden: Callable[[str], bool], found: list[Any] | None = None) -> str:
    """Mask the values of hidden fields in a text, up to the end of the value, or of a truncated text.

    Args:
        text: Any text.
        is_hidden: Whether a field of this name is hidden.
        found: Collects the masked values.
    """
    if ":" not in text and "=" not in text:
        return text
    parts: list[str] = []
    at = 0
    field = _FIELD.search(text)
    while field is not None:
        begins = field.end()
        if begins < at or not is_hidden(field["name"]):
            field = _FIELD.search(text, field.end())
            continue
        ends, value = _value(text, begins)
        if value and value != MASK:
            if found is not None:
                found.append(value)
            parts += [text[at:begins], MASK]
            at = ends
        field = _FIELD.search(text, max(ends, field.end()))
    return "".join([*parts, text[at:]])


def _value(text: str, begins: int) -> tuple[int, str]:
    """The end of a value, and its content."""
    inner = begins
    while inner < len(text) and text[inner] == "\\" and inner - begins < 8:
        inner += 1
    if text[inner : inner + 1] in {'"', "'"}:
        mark = text[begins : inner + 1]
        ends = _quote_ends(text, inner + 1, mark)
        inside = text[inner + 1 : ends]
        return (min(ends + len(mark), len(text)), inside)
    if text[begins : begins + 1] and text[begins] in _OPENING:
        ends = _balanced(text, begins)
        return ends, text[begins:ends]
    bare = _BARE.match(text, begins)
    return (begins, "") if bare is None else (bare.end(), bare[0])


def _quote_ends(text: str, begins: int, mark: str) -> int:
    """The end of a quoted text; quotation marks inside it have more backslashes."""
    at = text.find(mark, begins)
    while at != -1:
        slashes = 0
        while at - slashes > begins and text[at - slashes - 1] == "\\":
            slashes += 1
        if slashes % 2 == 0:
            return at
        at = text.find(mark, at + 1)
    return len(text)


def _balanced(text: str, begins: int) -> int:
    depth = 0
    for at in range(begins, len(text)):
        if text[at] in _OPENING:
            depth += 1
        elif text[at] in _CLOSING:
            depth -= 1
            if depth == 0:
                return at + 1
    return len(text)


__all__ = ["MASK", "hide_fields"]
