"""Whether two readings of a call's arguments are the same arguments."""

import dataclasses
import datetime as dt
from collections import deque
from collections.abc import Mapping, Sequence, Set
from typing import Any

import ormsgpack
from pydantic import BaseModel

from ..canonical import EXACT
from ..wire import camel
from .input import Input
from .shapes import as_written

_DEEPEST = 200
_UTC = frozenset({"UTC", "Etc/UTC", "tzutc()"})
"""The names under which libraries write a fixed offset as a zone."""


def same(one: Any, other: Any, depth: int = _DEEPEST) -> bool:
    """Whether two values are the same, by type and by what they hold.

    Private attributes and cached properties of a model are not compared: they are recreated from its fields whenever they are read.
    """
    if one is other:
        return True
    if as_written(type(one)) is not as_written(type(other)) or depth <= 0:
        return False
    match one:
        case BaseModel():
            fields = type(one).model_fields
            return _same_parts(_fields(one, fields), _fields(other, fields), depth) and same(
                one.__pydantic_extra__, other.__pydantic_extra__, depth - 1
            )
        case _ if dataclasses.is_dataclass(one):
            names = [field.name for field in dataclasses.fields(one)]
            return _same_parts(_fields(one, names), _fields(other, names), depth)
        case Mapping():
            return len(one) == len(other) and _same_parts(one, other, depth)
        case dt.datetime() | dt.time():
            # Equal as moments, they may differ in what comes an hour or a day later: an offset knows nothing of its zone.
            return bool(one == other) and one.fold == other.fold and _same_zone(one.tzinfo, other.tzinfo)
        case str() | bytes() | Set():
            return bool(one == other)
        case deque():
            return one.maxlen == other.maxlen and same(list(one), list(other), depth - 1)
        case Sequence():
            pairs = zip(one, other, strict=False)
            return len(one) == len(other) and all(same(mine, theirs, depth - 1) for mine, theirs in pairs)
        case _ if getattr(type(one), "__eq__", None) is object.__eq__:
            mine, theirs = getattr(one, "__dict__", None), getattr(other, "__dict__", None)
            return mine is not None and same(mine, theirs, depth - 1)
        case _:
            return bool(one == other)


def _same_zone(one: dt.tzinfo | None, other: dt.tzinfo | None) -> bool:
    return one == other or {str(one), str(other)} <= _UTC


def _fields(value: Any, names: Any) -> dict[str, Any]:
    return {name: getattr(value, name, None) for name in names}


def _same_parts(one: Mapping[Any, Any], other: Mapping[Any, Any], depth: int) -> bool:
    return all(key in other and same(item, other[key], depth - 1) for key, item in one.items())


def differing_fields(given: Input, first: Any, again: Any) -> list[str]:
    """Name the arguments that two readings of a call differ in; an empty name where that cannot be said of one.

    Args:
        given: What the tool takes.
        first: What it read.
        again: The value that was read back from the stored form.
    """
    try:
        if same(first, again):
            return []
        before, after = given.values(first), given.values(again)
        return [camel(name) for name, value in before.items() if not same(value, after.get(name))] or [""]
    except Exception:  # a comparison of the values' own class
        return [""]


def packed_data(value: object) -> bytes | None:
    """Plain data as bytes, which are equal where it is the same to the order of keys and the type of each number; None for anything else."""
    try:
        return ormsgpack.packb(value, option=EXACT)
    except (TypeError, ValueError, RecursionError):
        return None
