"""Locates a value in a tool's output and cuts a short excerpt, so that an approver can recognize the place."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...tools.sinks import line, quoted
from .index import Origin
from .words import number, plain

AROUND = 50
"""The maximum number of characters on each side of the value."""
LONGEST_VALUE = 60
"""The maximum number of characters of the value itself."""
SHORTEST = 3
"""A shorter text occurs in too many places to locate a value."""


class Excerpt(NamedTuple):
    """A place where a value occurs."""

    path: str
    """The path to the place, with item indexes: `0.note`."""
    text: str
    """The surrounding text, cut to one line."""


def excerpt(output: Any, value: Any) -> Excerpt | None:
    """Find a value in a tool's output: as a whole field, else as a whole word in a text.

    Args:
        output: The recorded output, with sensitive values masked.
        value: The value of an argument.
    """
    wanted = plain(value).strip() if isinstance(value, str) else number(value)
    if not wanted:
        return None
    inside = re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w)")
    found: Excerpt | None = None
    for path, leaf, beside in _places(output, (), {}):
        if isinstance(leaf, str):
            if leaf.isascii() and wanted not in leaf:
                continue
            text = plain(leaf)
            if found is None and len(wanted) >= SHORTEST and text != wanted and (there := inside.search(text)):
                found = Excerpt(".".join(path), _cut(text, there[0]))
            is_value = text.strip() == wanted
        else:
            is_value = number(leaf) == wanted
        if is_value:
            around = ", ".join(f"{name}: {one}" for name, one in beside.items() if not isinstance(one, (Mapping, list)))
            return Excerpt(".".join(path), _cut(around or str(leaf), str(leaf)))
    return found


def _places(
    value: Any, path: tuple[str, ...], beside: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], Any, Mapping[str, Any]]]:
    match value:
        case Mapping():
            for name, inner in value.items():
                yield from _places(inner, (*path, str(name)), value)
        case list() | tuple():
            for place, inner in enumerate(value):
                yield from _places(inner, (*path, str(place)), beside)
        case _:
            yield path, value, beside


def _cut(text: str, value: str) -> str:
    at = max(text.find(value), 0)
    end = min(at + len(value), at + LONGEST_VALUE)
    first, last = max(at - AROUND, 0), min(end + AROUND, len(text))
    cut = " ".join(text[first:last].split())
    return f"{'…' if first else ''}{cut}{'…' if last < len(text) else ''}"


def lines_of(shown: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """List the sources in a request: each argument's name with a sentence. Values that the tool's author set are left out.

    Args:
        shown: The request as the approver sees it.
    """
    sources = shown.get("sources")
    for one in sources if isinstance(sources, list) else ():
        if one["origin"] != Origin.APP or not one["accepted"]:
            # Others wrote the excerpt, so its quotation marks must not end the quotation.
            said = f": {quoted(one['excerpt'])}" if one.get("excerpt") else ""
            yield str(one["argument"]), f"{line(one['from'])}{said}"


__all__ = ["Excerpt", "excerpt", "lines_of"]
