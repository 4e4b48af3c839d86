"""Finds control and invisible characters, and shows them as the escapes of Python and JSON."""

import contextlib
import re
import unicodedata
from collections.abc import Callable

_LIVE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Controls, formats (including bidirectional and zero-width characters), surrogates, private use, separators."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks without a visible glyph."""
_MARKS_IN_A_ROW = 4
"""The maximum number of consecutive combining marks: no script needs more than three, and more would overlap other lines."""
_ORDINARY = re.compile(
    r"[\n\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u23ff]*"
)
"""Most text has only these characters, which every place shows unchanged."""


def visible(value: object, *, lines: bool = True, write: Callable[[str], str] | None = None) -> str:
    r"""Convert anything to text in which control and invisible characters are escapes such as ``\u202e``.

    It is total (an object whose `__str__` raises becomes the name of its type) and idempotent.

    Args:
        value: The value to show.
        lines: Whether line feeds stay; else each becomes ``\n``.
        write: Writes an escape; by default as Python does.
    """
    text = text_of(value)
    if not lines and "\n" in text:
        text = text.replace("\n", "\\n")
    if _ORDINARY.fullmatch(text) is not None:
        return text
    shown: list[str] = []
    marks, before = 0, ""
    for letter in text:
        category = "Po" if letter < "\x7f" and letter >= " " else unicodedata.category(letter)
        marks = marks + 1 if category[0] == "M" else 0
        # A combining mark at the beginning would combine with our own text before it.
        too_many = marks > _MARKS_IN_A_ROW or (marks and not before)
        shown.append((write or escaped)(letter) if too_many or is_live(letter, before, category) else letter)
        before = letter
    return "".join(shown)


def is_live(letter: str, before: str = "", category: str | None = None) -> bool:
    """Whether a place would interpret a character or show nothing for it. Line feeds do not count; `visible` handles them.

    Args:
        letter: The character.
        before: The previous character: a variation selector is allowed after an emoji.
        category: Its Unicode category, if known.
    """
    if letter == "\n":
        return False
    if (category or unicodedata.category(letter)) in _LIVE_CATEGORIES or letter in _BLANK:
        return True
    number = ord(letter)
    if 0xFE00 <= number <= 0xFE0F or 0xE0100 <= number <= 0xE01EF:
        return not (number >= 0xFE0E and number <= 0xFE0F and before and unicodedata.category(before) in {"So", "Sm"})
    return number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF  # noncharacters, which XML forbids


def escaped(letter: str) -> str:
    """The Python escape of a character."""
    number = ord(letter)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def text_of(value: object) -> str:
    """The text of any value, even if its methods raise."""
    if type(value) is str:
        return value
    with contextlib.suppress(Exception):
        return str.__str__(value) if isinstance(value, str) else "".join(str(value))
    return f"<{type(value).__name__}>"


__all__ = ["escaped", "is_live", "text_of", "visible"]
