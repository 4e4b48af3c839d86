"""Places that hold plain text: terminals, CSV, JSON, and our own sentences that quote somebody."""

import json
import re
from typing import Any

from ._visible import escaped, text_of, visible

_SHORT = 200
_FORMULA = re.compile(r"[\s'\"]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def terminal(value: object) -> str:
    """Text for a terminal; its lines stay lines."""
    return visible(value)


def line(value: object) -> str:
    """Text for a place that has one line, whole: a line feed in it is shown, and begins none of its own."""
    return visible(value, lines=False)


def short(value: object, longest: int = _SHORT) -> str:
    """Text on one line and not endless; white space is told as one blank."""
    text = " ".join(visible(text_of(value)[: 4 * longest + 4]).split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def csv_cell(value: object) -> str:
    """A cell of a CSV file: one that a spreadsheet would run as a formula is led by an apostrophe."""
    text = line(value)
    if _FORMULA.match(text) is None or (_NUMBER.fullmatch(text) is not None and not text.startswith("+")):
        return text
    return f"'{text}"


def json_text(value: object) -> str:
    """A value as JSON for a terminal or a log, on one line: what is live is in escapes that JSON reads back as what it was.

    What has no JSON form is told by its text.
    """
    try:
        written = json.dumps(value, ensure_ascii=False, default=text_of)
    except (TypeError, ValueError, RecursionError):
        written = json.dumps(visible(value), ensure_ascii=False)
    return json_line(written)


def json_line(written: object) -> str:
    """JSON that was written already, with what is live in it in escapes of JSON's own: it is read as the same value."""
    return visible(written, lines=False, write=_in_json)


def quoted(value: object) -> str:
    """A text of somebody else's inside a sentence of ours: in quotation marks, on one line, so that it cannot continue as ours."""
    text = visible(value, lines=False)
    return '"' + text.replace('"', '\\"') + '"'


def quoted_json(value: Any) -> str:
    """Any JSON value inside a sentence of ours: a text as `quoted`, and data as indented JSON, whose texts are in quotation marks."""
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
