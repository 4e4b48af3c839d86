"""Splits texts into words and normalizes values for comparison, exactly, so that no lookalike passes for a trusted value."""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

_EDGE = ".,;:!?()[]{}<>\"'`*_“”‘’«»"
"""Punctuation that is not part of a word when it surrounds one."""
_MONEY = "$€£¥%"
_SMALL = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_SHORTEST_LABEL = 3
_DOMAIN = re.compile(r"[\w-]\.[^\W\d_]{2}")
"""A dot between a letter or digit and two letters, of any script; one pass even over long words."""
_IDEOGRAPHIC_DOT = str.maketrans("。", ".")
"""Browsers treat these as dots in a host name."""
_SCHEME = re.compile(r"(?:tel|sms|mailto|sip|callto|data|file|javascript|https?|ftp):\S", re.IGNORECASE)
_HOST_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
"""A number with commas between groups of three digits; a comma elsewhere means something else in each country."""
_UNSEEN = {False: re.compile("[\x00-\x1f\x7f]"), True: re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")}
"""ASCII control characters, by whether line feeds and tabs are allowed."""
_DIGITS, _CODE, _MIXED = 5, 8, 16


def is_plain(text: str, *, lines: bool = False) -> bool:
    """Whether a text has no hidden and no lookalike characters.

    Refused are invisible characters (format, control, private-use and unassigned ones), compatibility forms such as full-width
    letters, alternative code points for a letter such as the kelvin sign, isolated combining marks, and words of mixed scripts.

    Args:
        text: The text.
        lines: Whether line feeds and tabs are allowed.
    """
    if text.isascii():
        return _UNSEEN[lines].search(text) is None
    composed = unicodedata.normalize("NFC", text)
    if unicodedata.normalize("NFKC", composed) != composed:
        return False
    if text not in {composed, unicodedata.normalize("NFD", composed)}:
        return False  # composed and decomposed forms are equal; a sign that differs from both forms is a lookalike
    allowed = " \n\t\r" if lines else " "
    for letter in composed:
        kind = unicodedata.category(letter)
        if letter not in allowed and (kind[0] == "C" or kind in {"Mn", "Me", "Zl", "Zp", "Zs"}):
            return False
    return all(len(_scripts(word)) <= 1 for word in composed.split())


def _scripts(word: str) -> set[str]:
    return {unicodedata.name(letter, "?").split(" ", 1)[0] for letter in word if letter.isalpha()}


def plain(text: str) -> str:
    """Normalize a text for comparison: NFC, and otherwise unchanged."""
    return unicodedata.normalize("NFC", text)


def words(text: str) -> Iterator[tuple[str, str]]:
    """The words of a text in order: each unchanged, and without surrounding punctuation."""
    for word in plain(text).split():
        yield word, word.strip(_EDGE)


def small(word: str) -> str:
    """A word with its ASCII letters in lower case; for names of records only, never to compare values."""
    return word.translate(_SMALL)


def label(text: str) -> list[str]:
    """The words of a record's label; empty if the text is too short to be a name."""
    found = [small(core) for _, core in words(text) if core] if is_plain(text) else []
    return found if sum(map(len, found)) >= _SHORTEST_LABEL else []


def number(value: Any) -> str | None:
    """Normalize a number for comparison, whatever its type and form: `50`, `50.0` and `5e1` are equal. None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    text = str(value).strip().strip(_MONEY) if isinstance(value, str) else str(value)
    if len(text) > 60 or not text.isascii() or "_" in text:
        return None
    if "," in text:
        if _GROUPED.fullmatch(text) is None:
            return None
        text = text.replace(",", "")
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    if not found.is_finite() or abs(found.adjusted()) > 60:
        return None
    return format(found.normalize() + 0, "f")


def is_address(word: str) -> bool:
    """Whether a word may be a destination or an account: an address, a link, a domain, a long number or a code."""
    word = word.translate(_IDEOGRAPHIC_DOT)
    if "@" in word or "://" in word or word.startswith("www.") or _DOMAIN.search(word):
        return True
    if _SCHEME.match(word) or _HOST_NUMBER.search(word):
        return True
    digits = sum(letter.isdigit() for letter in word)
    if digits >= _DIGITS or (len(word) >= _CODE and 0 < digits < len(word)):
        return True
    inner = word[1:]
    return len(word) >= _MIXED and inner.isalnum() and inner != inner.lower() and inner != inner.upper()


def addresses(text: str) -> Iterator[list[str]]:
    """Find the possible destinations and accounts in a text: single words, and numbers in groups such as `4111 1111 1111 1111`.

    Returns:
        The words of each, without surrounding punctuation.
    """
    group: list[str] = []
    for word, core in words(text):
        if is_address(word):
            yield [core]
        if any(letter.isdigit() for letter in core):
            group.append(core)
        elif core and any(letter.isalnum() for letter in core):
            yield from _grouped(group)
            group = []
    yield from _grouped(group)


def _grouped(group: list[str]) -> Iterator[list[str]]:
    if len(group) > 1 and sum(letter.isdigit() for word in group for letter in word) >= _DIGITS:
        yield group


__all__ = ["addresses", "is_address", "is_plain", "label", "number", "plain", "small", "words"]
