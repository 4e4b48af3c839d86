"""Escapes text for markup: SVG, HTML, Mermaid and rich."""

import re
from html import escape

from ._visible import visible

_MERMAID_PLAIN = frozenset(" _.,()[]'/+=!?\u00b7→≤≥…")
_RICH_TAG = re.compile(r"(?<!\\)(\\*)(\[[a-z#/@][^\[]*?\])")
"""Rich's own pattern of tags; a backslash escapes a tag, and two backslashes are one."""
_MERMAID_NAMED = {'"': "#quot;", "<": "#lt;", ">": "#gt;"}


def svg(value: object) -> str:
    """Text for an element or an attribute of an SVG document, on one line, because SVG text has only one."""
    return escape(visible(value, lines=False))


def html(value: object) -> str:
    """Text for an element or a quoted attribute of an HTML document."""
    return escape(visible(value))


def mermaid(value: object) -> str:
    """Text for a label of a Mermaid diagram: every character except letters, digits and harmless ones becomes an entity.

    So the text cannot start a directive (``%%{init}%%``), a comment, an arrow or a line, or end a keyword.
    """
    text = visible(value, lines=False)
    shown = []
    for number, letter in enumerate(text):
        beside_dash = letter == "-" and "-" not in (text[number - 1 : number], text[number + 1 : number + 2])
        plain = letter.isalnum() or letter in _MERMAID_PLAIN or beside_dash or not letter.isascii()
        shown.append(letter if plain else _MERMAID_NAMED.get(letter, f"#{ord(letter)};"))
    return "".join(shown)


def markup(value: object) -> str:
    """Text inside rich's markup, shown literally: brackets start no style and no link."""
    text = visible(value)
    # One of our own tags usually follows, and a backslash at the end of the text would escape it.
    whole = text.rstrip("\\")
    return _RICH_TAG.sub(r"\1\1\\\2", whole) + r"\u005c" * (len(text) - len(whole))


__all__ = ["html", "markup", "mermaid", "svg"]
