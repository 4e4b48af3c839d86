"""The slow way through a value: replaces parts that msgpack would change or refuse by extensions, or reports them."""

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
    """Whether plain lists and dictionaries contain a bytearray or a memoryview."""
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
    """Replace parts that are not plain data by extensions.

    Raises:
        InputError: A part has no stored form.
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
