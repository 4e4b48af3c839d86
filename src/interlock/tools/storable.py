"""Values that every database stores unchanged: one predicate for values to store, one total function for records.

Python's JSON parser accepts NaN, infinities, lone surrogates and integers of any length; databases do not, and they
differ in their handling of NUL, depth and size. So values are checked before they are stored, and values that are
only recorded are converted to a storable form.
"""

import contextlib
import math
from collections.abc import Mapping
from typing import Any, cast

from .canonical import JSON, to_json
from .errors import NotJson

LARGEST_INTEGER = 2**63 - 1
SMALLEST_INTEGER = -(2**63)
DEEPEST = 64
"""The maximum nesting depth; the strictest database allows 100, including our own levels."""
LONGEST = 1_000_000
"""The approximate maximum length of a value as JSON text, in characters."""
LONGEST_KEY = 1_000
"""The maximum length of a field's name, in characters."""
_RECORDED_TEXT = 2_000
_RECORDED_ITEMS = 200
_RECORDED_NODES = 2_000
_RECORDED_DEPTH = 32
_CUT = "…"


def why_not_storable(value: object, *, longest: int = LONGEST) -> str | None:
    """Say why a value cannot be kept and read back as it is, or give None where it can.

    Args:
        value: Anything; what `to_json` takes is checked as the JSON that it becomes.
        longest: The approximate limit of its length, in characters of JSON text.

    Returns:
        What is wrong and where, as the end of a sentence that begins with the value's name.
    """
    try:
        return _Check(longest).problem(to_json(value))
    except NotJson as error:
        return error.message
    except Exception as error:  # to_json calls methods of the value, which may raise anything
        return f"the value cannot be read ({type_name(error)})"


def storable(value: object) -> JSON:
    """Convert anything to JSON that every database stores unchanged, for records of refused values.

    A storable value is returned unchanged. In others, parts without a JSON form become text, and long or deep parts
    are truncated. It never raises.
    """
    if why_not_storable(value) is None:
        with contextlib.suppress(Exception):  # the code below does not use the value's own methods
            return to_json(value)
    return _Recording().form(value, _RECORDED_DEPTH)


def storable_text(text: object) -> str:
    """Convert anything to text that every database stores unchanged, truncated if it is long."""
    kind = type(text)  # isinstance() would ask the value's own __class__
    if issubclass(kind, Exception):
        with contextlib.suppress(Exception):  # an exception's own __str__ may raise
            return _text(str(text)) or type_name(text)
    return _text(str.__str__(cast("str", text)) if issubclass(kind, str) else _repr_text(text))


def described(error: BaseException) -> str:
    """Return the type and the text of any exception in a storable form, to quote it; what its own methods raise is left out."""
    name, text = type_name(error), storable_text(error)
    return name if text in {name, f"a {name}"} else f"{name}: {text}"


class _Check:
    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.length = 0

    def problem(self, value: JSON) -> str | None:
        # An explicit stack, because the depth itself is checked.
        waiting: list[tuple[JSON, tuple[object, ...]]] = [(value, ())]
        while waiting:
            item, path = waiting.pop()
            if (problem := self._problem_of(item, path)) is not None:
                place = ".".join(map(str, path))[:200]
                return f"the value at {place!r} {problem}" if place else f"the value {problem}"
            if type(item) is dict:  # plain JSON has no subclasses
                waiting += [(inner, (*path, key)) for key, inner in item.items()]
            elif type(item) is list:
                waiting += [(inner, (*path, index)) for index, inner in enumerate(item)]
        return None

    def _problem_of(self, item: JSON, path: tuple[object, ...]) -> str | None:
        self.length += 2
        match item:
            case str():
                self.length += len(item)
                if "\0" in item:
                    return "holds the character NUL, which not every database keeps"
            case bool() | None:
                pass
            case int():
                if not SMALLEST_INTEGER <= item <= LARGEST_INTEGER:
                    return "is an integer of more than 64 bits; give it as a string"
            case float():
                self.length += 16
            case dict() | list():
                if len(path) >= DEEPEST:
                    return f"is nested more than {DEEPEST} levels deep"
                self.length += 2 * len(item)
                if isinstance(item, dict) and (problem := self._keys(item)) is not None:
                    return problem
        if self.length > self.longest:
            return f"makes the whole longer than {self.longest:,} characters; give less at once"
        return None

    def _keys(self, item: Mapping[str, JSON]) -> str | None:
        for key in item:
            self.length += len(key)
            if "\0" in key:
                return "has a key with the character NUL, which not every database keeps"
            if len(key) > LONGEST_KEY:
                return f"has a key of more than {LONGEST_KEY:,} characters"
        return None


class _Recording:
    def __init__(self) -> None:
        self.nodes = 0

    def form(self, value: object, depth: int) -> JSON:
        self.nodes += 1
        if self.nodes > _RECORDED_NODES:
            return _CUT
        kind = type(value)
        if value is None or kind is bool:
            return value  # type: ignore[return-value]  # a bool
        if kind is str:
            return _text(value)  # type: ignore[arg-type]
        if kind is int:
            return value if SMALLEST_INTEGER <= value <= LARGEST_INTEGER else _repr_text(value)  # type: ignore[operator,return-value]
        if kind is float:
            return value if math.isfinite(value) else str(value)  # type: ignore[arg-type,return-value]
        if kind is dict:
            return self._object(value, depth)  # type: ignore[arg-type]
        if kind in {list, tuple, set, frozenset}:
            return self._list(value, depth)
        return self._other(value, depth)

    def _object(self, value: Mapping[Any, object], depth: int) -> JSON:
        if depth <= 0:
            return _CUT
        made: dict[str, JSON] = {}
        for number, (key, item) in enumerate(value.items()):
            if number >= _RECORDED_ITEMS or self.nodes > _RECORDED_NODES:
                made[_CUT] = f"{len(value) - number} more"
                break
            made[_text(key if isinstance(key, str) else _repr_text(key), LONGEST_KEY)] = self.form(item, depth - 1)
        return made

    def _list(self, value: Any, depth: int) -> JSON:
        if depth <= 0:
            return _CUT
        made: list[JSON] = []
        for number, item in enumerate(value):
            if number >= _RECORDED_ITEMS or self.nodes > _RECORDED_NODES:
                made.append(f"{_CUT} {len(value) - number} more")
                break
            made.append(self.form(item, depth - 1))
        return made

    def _other(self, value: object, depth: int) -> JSON:
        try:
            plain = to_json(value)
        except Exception:  # an object without a JSON form, or whose methods raise
            return _repr_text(value)
        return self.form(plain, depth)


def _repr_text(value: object) -> str:
    if issubclass(type(value), int) and (bits := int.bit_length(cast("int", value))) > _LONGEST_WRITTEN:
        return f"an integer of {bits} bits"
    try:
        return _text(repr(value))
    except Exception:  # a __repr__ of the value's own
        return f"a {type_name(value)}"


def type_name(value: object) -> str:
    """Return the name of the type of any value; runs none of the value's own code, nor of its metaclass."""
    return str(_NAME.__get__(type(value)))


_NAME: Any = type.__dict__["__name__"]
_LONGEST_WRITTEN = 4_096


def _text(text: str, longest: int = _RECORDED_TEXT) -> str:
    if len(text) > longest:
        text = f"{text[: longest - 40]}{_CUT} ({len(text) - longest + 40} more characters)"
    # A subclass of str may have its own methods, so keep the plain text.
    return str.encode(text, "utf-8", "backslashreplace").decode().replace("\0", "\\x00")


__all__ = [
    "DEEPEST",
    "LARGEST_INTEGER",
    "LONGEST",
    "SMALLEST_INTEGER",
    "described",
    "storable",
    "storable_text",
    "type_name",
    "why_not_storable",
]
