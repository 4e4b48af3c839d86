"""Characters that a place obeys, or that nobody sees, and how they are shown: as the escape that Python and JSON write for them."""

import contextlib
import re
import unicodedata
from collections.abc import Callable

_LIVE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Controls, formats (among them those that turn the direction of text, and what has no width), halves of pairs, private use, separators."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks that are drawn as nothing."""
_MARKS_IN_A_ROW = 4
"""How many combining marks may follow each other: the scripts that use most of them need three. More climb over other lines."""
_ORDINARY = re.compile(
    r"[\n\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u23ff]*"
)
"""Most text is made of these alone: they are shown by every place as they are."""


def visible(value: object, *, lines: bool = True, write: Callable[[str], str] | None = None) -> str:
    r"""Give the text of anything with whatever a place would obey, or nobody would see, written as an escape such as ``\u202e``.

    It is total (an object whose `__str__` raises is told by its type), and doing it twice changes nothing more.

    Args:
        value: What is shown.
        lines: Whether line feeds stay; else each is written as ``\n``.
        write: How an escape is written where it is not as Python does.
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
        # A mark at the beginning would sit on whatever of ours stands before it.
        too_many = marks > _MARKS_IN_A_ROW or (marks and not before)
        shown.append((write or escaped)(letter) if too_many or is_live(letter, before, category) else letter)
        before = letter
    return "".join(shown)


def is_live(letter: str, before: str = "", category: str | None = None) -> bool:
    """Whether a place would obey a character, or show nothing for it. Line feeds are not live: anyone who has none of them says so.

    Args:
        letter: The character.
        before: The one before it: a selector that says how an emoji is drawn is at home behind one.
        category: Its category in Unicode, where it is known already.
    """
    if letter == "\n":
        return False
    if (category or unicodedata.category(letter)) in _LIVE_CATEGORIES or letter in _BLANK:
        return True
    number = ord(letter)
    if 0xFE00 <= number <= 0xFE0F or 0xE0100 <= number <= 0xE01EF:
        return not (number >= 0xFE0E and number <= 0xFE0F and before and unicodedata.category(before) in {"So", "Sm"})
    return number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF  # no characters at all, and forbidden in XML


def escaped(letter: str) -> str:
    """A character as Python writes it in an escape."""
    number = ord(letter)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def text_of(value: object) -> str:
    """The text of anything, whatever its methods do."""
    if type(value) is str:
        return value
    with contextlib.suppress(Exception):
        return str.__str__(value) if isinstance(value, str) else "".join(str(value))
    return f"<{type(value).__name__}>"


__all__ = ["escaped", "is_live", "text_of", "visible"]
