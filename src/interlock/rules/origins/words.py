"""Texts as words, and values as what is compared: exact, so that nothing that only looks alike is taken for a trusted value."""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

_EDGE = ".,;:!?()[]{}<>\"'`*_“”‘’«»"
"""Punctuation that may stand around a word, and is then no part of it."""
_MONEY = "$€£¥%"
_SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_SHORTEST_LABEL = 3
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
_UNSEEN = {False: re.compile("[\x00-\x1f\x7f]"), True: re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")}
"""Control characters of ASCII, by whether line feeds and tabs may be there."""
_DIGITS, _CODE = 5, 8


def is_plain(text: str, *, lines: bool = False) -> bool:
    """Whether a text has nothing hidden and nothing that looks like something else.

    Refused are characters that are not seen (formats, controls, private and unassigned ones), compatibility forms such as full-width
    letters, combining marks that stand alone, and words whose letters are of several scripts.

    Args:
        text: The text.
        lines: Whether line feeds and tabs may be in it.
    """
    if text.isascii():
        return _UNSEEN[lines].search(text) is None
    composed = unicodedata.normalize("NFC", text)
    if unicodedata.normalize("NFKC", composed) != composed:
        return False
    allowed = " \n\t\r" if lines else " "
    for letter in composed:
        kind = unicodedata.category(letter)
        if letter not in allowed and (kind[0] == "C" or kind in {"Mn", "Me", "Zl", "Zp", "Zs"}):
            return False
    return all(len(_scripts(word)) <= 1 for word in composed.split())


def _scripts(word: str) -> set[str]:
    return {unicodedata.name(letter, "?").split(" ", 1)[0] for letter in word if letter.isalpha()}


def plain(text: str) -> str:
    """A text as it is compared: composed, and otherwise exactly as it stands."""
    return unicodedata.normalize("NFC", text)


def words(text: str) -> Iterator[tuple[str, str]]:
    """The words of a text in their order: each as it stands, and without the punctuation around it."""
    for word in plain(text).split():
        yield word, word.strip(_EDGE)


def small(word: str) -> str:
    """A word with small letters where they are ASCII: how people name a record, and not how a value is compared."""
    return word.translate(_SMALL)


def label(text: str) -> list[str]:
    """The words by which people name a record; none for a text that is too short to name anything."""
    found = [small(core) for _, core in words(text) if core] if is_plain(text) else []
    return found if sum(map(len, found)) >= _SHORTEST_LABEL else []


def number(value: Any) -> str | None:
    """A number as it is compared, whatever its type and form: `50`, `50.0` and `5e1` are one; None for what is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    text = str(value).strip().strip(_MONEY).replace(",", "") if isinstance(value, str) else str(value)
    if len(text) > 60 or not text.isascii():
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    if not found.is_finite() or abs(found.adjusted()) > 60:
        return None
    return format(found.normalize() + 0, "f")


def is_address(word: str) -> bool:
    """Whether a word may lead somewhere or name an account: an address, a link, a domain, a long number or a code."""
    if "@" in word or "://" in word or word.startswith("www.") or _DOMAIN.search(word):
        return True
    digits = sum(letter.isdigit() for letter in word)
    return digits >= _DIGITS or (len(word) >= _CODE and 0 < digits < len(word))


__all__ = ["is_address", "is_plain", "label", "number", "plain", "small", "words"]
