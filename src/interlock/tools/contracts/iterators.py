"""Reads the iterators in a tool's return value, up to a limit, because an iterator may be infinite."""

import dataclasses
import io
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, TypeAdapter

from ..storable import LONGEST

_OPEN = frozenset({"any", "generator", "is-instance", "callable", "function-plain", "function-wrap", "function-before", "function-after"})  # fmt: skip
"""The kinds of pydantic's core schema whose values may be or contain an iterator."""


class EndlessError(ValueError):
    """An iterator yields more than can be stored, or is in a place where a list cannot replace it."""


def may_hold_iterators(output: TypeAdapter[Any]) -> bool:
    """Whether the type of an output admits an iterator anywhere; most types do not, and then nothing is searched."""
    known = _known.get(output)
    if known is None:
        known = _known[output] = _is_open(output.core_schema)
    return known


_known: WeakKeyDictionary[TypeAdapter[Any], bool] = WeakKeyDictionary()


def _is_open(schema: Any) -> bool:
    match schema:
        case Mapping():
            return schema.get("type") in _OPEN or any(map(_is_open, schema.values()))
        case list() | tuple():
            return any(map(_is_open, schema))
    return False


def read_out(value: Any, longest: int = LONGEST) -> Any:
    """Replace each iterator in plain data by a list of its items.

    Args:
        value: The value; it is not changed.
        longest: The maximum number of items and characters that all iterators together may yield.

    Returns:
        A copy with lists; the value itself if it contains no iterator.

    Raises:
        EndlessError: The iterators yield more, or one is in a model or dataclass.
    """
    try:
        return _Reading(longest).read(value)
    except RecursionError:  # too deep, or it contains itself: the serializer says so
        return value


class _Reading:
    def __init__(self, longest: int) -> None:
        self._longest = self._left = longest

    def read(self, value: Any) -> Any:
        kind = type(value)
        if kind is str or value is None:
            return value
        if kind is dict:
            read = {key: self.read(item) for key, item in value.items()}
            return value if all(read[key] is item for key, item in value.items()) else read
        if kind is list or kind is tuple:
            items = [self.read(item) for item in value]
            return value if all(one is other for one, other in zip(items, value, strict=True)) else items
        if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
            return [self._counted(item) for item in value]
        if isinstance(value, BaseModel):
            self._check(value, vars(value))
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            self._check(value, {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)})
        return value

    def _counted(self, item: Any) -> Any:
        self._left -= 1 + (len(item) if isinstance(item, (str, bytes, bytearray)) else 0)
        if self._left < 0:
            raise EndlessError(
                f"holds an iterator that gives more than {self._longest:,} items and characters; return a list of fewer"
            )
        return self.read(item)

    def _check(self, holder: Any, fields: Mapping[str, Any]) -> None:
        for name, item in fields.items():
            if self.read(item) is not item:
                raise EndlessError(
                    f"holds an iterator in the field {name!r} of {type(holder).__name__}; give it a list"
                )


__all__ = ["EndlessError", "may_hold_iterators", "read_out"]
