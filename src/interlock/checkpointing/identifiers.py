"""Checks identifiers from outside, because some databases would truncate them or treat different ones as equal."""

from typing import Any

from ..tools.errors import InputError

_HOLDS_NUL = "holds a NUL character"


def checked(name: str, value: Any, length: int) -> str:
    """Check an id: a string (numbers are converted) without NUL that fits its column.

    Raises:
        InputError: It cannot be stored, or some database would treat it as equal to another one.
    """
    text = value if type(value) is str else str(value)
    if len(text) <= length and text.isascii() and "\0" not in text and text[-1:] != " ":
        return text
    if len(text) > length:
        raise _unusable(name, f"has {len(text)} characters, and at most {length} can be stored")
    if problem := problem_of(text):
        raise _unusable(name, problem)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _unusable(name, "holds half of a surrogate pair, which is not a character") from None
    return text


def problem_of(text: str) -> str | None:
    """Why some database would not store an identifier unchanged, or None."""
    if "\0" in text:
        return _HOLDS_NUL
    if text.endswith(" "):
        return "ends with a space, which some databases do not see"
    return None


def named(name: str, value: Any, length: int) -> str:
    """As `checked`, for an id that must not be empty.

    Raises:
        InputError: It is empty, or `checked` refuses it.
    """
    if value is None or value == "":
        raise _unusable(name, "is empty")
    return checked(name, value, length)


def unusable_nul(name: str) -> InputError:
    """The error for an id with a NUL character."""
    return _unusable(name, _HOLDS_NUL)


def _unusable(name: str, why: str) -> InputError:
    return InputError(
        f"The {name} {why}. Nothing was read or written. Use a shorter plain identifier, such as a UUID.",
        code="invalid_id",
        details={"name": name},
    )
