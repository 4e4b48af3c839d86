"""Escapes text for plain text: terminals, CSV, JSON, and quotations in our own sentences."""

import json
import re
from typing import Any

from ._visible import escaped, text_of, visible

_SHORT = 200
_FORMULA = re.compile(r"[\s'\"]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def terminal(value: object) -> str:
    """Text for a terminal; line feeds are kept."""
    return visible(value)


def line(value: object) -> str:
    """The whole text for a place with one line: a line feed becomes a visible escape."""
    return visible(value, lines=False)


def short(value: object, longest: int = _SHORT) -> str:
    """Text on one line with a maximum length; each run of white space becomes one blank."""
    text = " ".join(visible(text_of(value)[: 4 * longest + 4]).split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def csv_cell(value: object) -> str:
    """A cell of a CSV file; an apostrophe precedes a text that a spreadsheet would run as a formula."""
    text = line(value)
    if _FORMULA.match(text) is None or (_NUMBER.fullmatch(text) is not None and not text.startswith("+")):
        return text
    return f"'{text}"


def json_text(value: object) -> str:
    """A value as JSON for a terminal or a log, on one line; live characters become JSON escapes, which parse back unchanged.

    A value without a JSON form becomes its text.
    """
    try:
        written = json.dumps(value, ensure_ascii=False, default=text_of)
    except (TypeError, ValueError, RecursionError):
        written = json.dumps(visible(value), ensure_ascii=False)
    return json_line(written)


def json_line(written: object) -> str:
    """Replace the live characters of a JSON text by JSON escapes; it parses to the same value."""
    return visible(written, lines=False, write=_in_json)


def quoted(value: object) -> str:
    """Quote untrusted text inside our sentence: in quotation marks and on one line, so that it cannot pass for our text."""
    text = visible(value, lines=False)
    return '"' + text.replace('"', '\\"') + '"'


def quoted_json(value: Any) -> str:
    """Quote any JSON value inside our sentence: a text as `quoted`, data as indented JSON, whose texts are quoted."""
    if isinstance(value, str):
        return quoted(value)
    try:
        written = json.dumps(value, ensure_ascii=False, indent=2, default=text_of)
    except (TypeError, ValueError, RecursionError):
        return quoted(value)
    return "\n".join(map(json_line, written.split("\n")))


def _in_json(letter: str) -> str:
    number = ord(letter)
    if number <= 0xFFFF:
        return escaped(letter)
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


__all__ = ["csv_cell", "json_line", "json_text", "line", "quoted", "quoted_json", "short", "terminal"]
