"""The form of stored values, and which values are plain data: msgpack checks all of them in C."""

Encoded = tuple[int, str, bytes]
"""Form, the serializer's type (for PLAIN), bytes."""
PLAIN = 0
"""The form of the serializer's output."""
NOTHING: Encoded = (PLAIN, "null", b"")
"""None, as `TypedSerializer` writes it."""
SCALARS = frozenset({bool, int, str})
PLAIN_KINDS = SCALARS | {dict, list}
"""The types of plain data. Containers may hold values that are not plain."""
