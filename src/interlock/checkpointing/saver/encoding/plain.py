"""The fast path for plain data, which most values are: msgpack checks all of it in C."""

from typing import Any

import ormsgpack

from ....tools.canonical import EXACT
from .msgpack_tree import MESSAGES_KEY, may_hold_messages

Encoded = tuple[int, str, bytes]
"""Form, the serializer's type (for PLAIN), bytes."""
PLAIN = 0
"""The form of the serializer's output."""
_NOTHING: Encoded = (PLAIN, "null", b"")
_KINDS = frozenset({bool, int, str, dict, list})


def plain_data(value: Any, channel: str) -> Encoded | None:
    """The output of `TypedSerializer` for plain data without messages; None for other values."""
    if value is None:
        return _NOTHING
    kind = type(value)
    if kind not in _KINDS or (channel == MESSAGES_KEY and kind is not dict):
        return None
    try:
        data = ormsgpack.packb(value, option=EXACT)
    except (TypeError, ValueError, RecursionError):
        return None  # it contains types unknown to msgpack
    if (kind is dict or kind is list) and (
        b"\xc4" in data or b"\xc5" in data or b"\xc6" in data or may_hold_messages(data)
    ):
        return None  # it contains bytes, which may be a bytearray, or possibly a message
    return PLAIN, "msgpack", data
