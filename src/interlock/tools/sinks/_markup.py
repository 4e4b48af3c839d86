"""Places that have a markup: SVG, HTML, Mermaid and rich's own."""

import re
from html import escape

from ._visible import visible

_MERMAID_PLAIN = frozenset(" _.,()[]'/+=!?\u00b7→≤≥…")
_RICH_TAG = re.compile(r"(?<!\\)(\\*)(\[[a-z#/@][^\[]*?\])")
"""As rich looks for its tags; a backslash before one makes it text, and two are one backslash."""
_MERMAID_NAMED = {'"': "#quot;", "<": "#lt;", ">": "#gt;"}


def svg(value: object) -> str:
    """Text for an element or an attribute of an SVG document: one line, as an SVG text has but one."""
    return escape(visible(value, lines=False))


def html(value: object) -> str:
    """Text for an element or an attribute in quotation marks of an HTML document."""
    return escape(visible(value))


def mermaid(value: object) -> str:
    """Text for a label of a Mermaid diagram: whatever is not a letter, a digit or harmless stands as an entity.

    So no directive (``%%{init}%%``), comment, arrow, keyword's end or line of its own can begin in it.
    """
    text = visible(value, lines=False)
    shown = []
    for number, letter in enumerate(text):
        beside_dash = letter == "-" and "-" not in (text[number - 1 : number], text[number + 1 : number + 2])
        plain = letter.isalnum() or letter in _MERMAID_PLAIN or beside_dash or not letter.isascii()
        shown.append(letter if plain else _MERMAID_NAMED.get(letter, f"#{ord(letter)};"))
    return "".join(shown)


def markup(value: object) -> str:
    """Text inside rich's markup, where it is shown as it stands: brackets begin no style and no link."""
    text = visible(value)
    # Behind it stands, as a rule, a tag of ours, which a backslash at its end would turn into text.
    whole = text.rstrip("\\")
    return _RICH_TAG.sub(r"\1\1\\\2", whole) + r"\u005c" * (len(text) - len(whole))


__all__ = ["html", "markup", "mermaid", "svg"]
