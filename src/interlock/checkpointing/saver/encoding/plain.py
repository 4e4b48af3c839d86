"""Plain data, as most values are: msgpack looks at all of it in C, and nothing else has to."""

from typing import Any

import ormsgpack

from ....tools.canonical import EXACT
from .msgpack_tree import MESSAGES_KEY, may_hold_messages

Encoded = tuple[int, str, bytes]
"""Form, type by the serializer (for PLAIN), bytes."""
PLAIN = 0
"""The form of what the serializer made."""
_NOTHING: Encoded = (PLAIN, "null", b"")
_KINDS = frozenset({bool, int, str, dict, list})


def plain_data(value: Any, channel: str) -> Encoded | None:
    """What `TypedSerializer` makes of plain data without messages in it; None for everything else."""
    if value is None:
        return _NOTHING
    kind = type(value)
    if kind not in _KINDS or (channel == MESSAGES_KEY and kind is not dict):
        return None
    try:
        data = ormsgpack.packb(value, option=EXACT)
    except (TypeError, ValueError, RecursionError):
        return None  # there is more in it than msgpack knows
    if (kind is dict or kind is list) and (
        b"\xc4" in data or b"\xc5" in data or b"\xc6" in data or may_hold_messages(data)
    ):
        return None  # bytes, which may be a bytearray, or what may be a message
    return PLAIN, "msgpack", data
