"""The slow way through a value: what msgpack would alter or refuse is replaced by an extension, or named."""

from collections.abc import Callable
from typing import Any

import ormsgpack

from . import values
from .codes import VALUE
from .refusals import too_deep

DEEPEST = 200
_FEWEST, _MOST = -(2**63), 2**64 - 1
_PLAIN_KEYS = frozenset({str, int, float, bool, type(None), bytes})


def holds_buffer(value: Any) -> bool:
    """Whether there is a byte array or a view of memory in plain lists and dictionaries."""
    todo = [value]
    while todo:
        item = todo.pop()
        kind = type(item)
        if kind is list:
            todo += item
        elif kind is dict:
            todo += item.values()
        elif kind is bytearray or kind is memoryview:
            return True
    return False


def unusual(value: Any, extension: Callable[[Any], ormsgpack.Ext], depth: int = 0) -> Any:
    """The value with extensions for whatever is not plain.

    Raises:
        InputError: Something in it has no stored form.
    """
    if depth > DEEPEST:
        raise too_deep(type(value))
    kind = type(value)
    if kind is list:
        return [unusual(item, extension, depth + 1) for item in value]
    if kind is dict:
        if all(map(_is_plain_key, value)):
            return {key: unusual(item, extension, depth + 1) for key, item in value.items()}
        parts = ["dict", list(value), list(value.values())]
        return ormsgpack.Ext(VALUE, _packed(parts, extension, depth))
    if kind is int:
        if _FEWEST <= value <= _MOST:
            return value
        return ormsgpack.Ext(VALUE, ormsgpack.packb(values.wide_int(value)))
    if kind is str:
        if _is_whole(value):
            return value
        return ormsgpack.Ext(VALUE, ormsgpack.packb(values.torn_text(value)))
    if value is None or kind in (bool, float, bytes, ormsgpack.Ext):
        return value
    return extension(value)


def _packed(parts: list[Any], extension: Callable[[Any], ormsgpack.Ext], depth: int) -> bytes:
    return ormsgpack.packb(unusual(parts, extension, depth + 1), default=extension, option=ormsgpack.OPT_NON_STR_KEYS)


def _is_plain_key(key: Any) -> bool:
    kind = type(key)
    if kind is str:
        return _is_whole(key)
    if kind is int:
        return bool(_FEWEST <= key <= _MOST)
    return kind in _PLAIN_KEYS


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
