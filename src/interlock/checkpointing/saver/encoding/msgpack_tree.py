"""Cuts messages out of the bytes of LangGraph's msgpack serializer, and pastes them back exactly.

LangGraph's serializer writes a value with messages in unusual places (`Send` arguments, interrupt payloads, dataclasses, models).
In its bytes, every subtree that is a message is replaced by a reference. Loading reverses this, and then the serializer reads its
own bytes, with its allowlist.
"""

import re
from collections.abc import Callable
from typing import Any

import ormsgpack

from ...serializing.codes import DATA, DELTA_SNAPSHOT, LANGGRAPH_MODEL_V1, MODEL, TUPLE, VALUE
from .messages import PACK, UNPACK

MESSAGE = 120
"""The msgpack extension for one message: its position, or position and form."""
MESSAGES = 121
"""The msgpack extension for a list of messages: ranges of positions, each as start and count."""
NAMELESS = 122
"""As `MESSAGES`, for lists with messages without an id: the ranges of positions, and the
ranges of the indexes of messages without an id. The stored message may have an id elsewhere."""

_CONTAINERS = frozenset({0, 1, 2, 3, LANGGRAPH_MODEL_V1, MODEL, DELTA_SNAPSHOT, TUPLE, VALUE, DATA})
"""The extensions whose payload is msgpack."""
_MODELS = frozenset({LANGGRAPH_MODEL_V1, MODEL})
ROLES = frozenset(
    {"human", "user", "ai", "assistant", "system", "developer", "tool", "function", "chat", "placeholder",
     "AIMessageChunk", "HumanMessageChunk", "SystemMessageChunk", "ToolMessageChunk", "ChatMessageChunk",
     "FunctionMessageChunk"}
)  # fmt: skip
MESSAGES_KEY = "messages"
_SIGNS = (b"\xa7content", b"\xa8messages", *(bytes([0x92, 0xA0 + len(r)]) + r.encode() for r in ROLES if len(r) < 32))
may_hold_messages: Callable[[bytes], re.Match[bytes] | None] = re.compile(b"|".join(map(re.escape, _SIGNS))).search
"""A cheap check without false negatives whether bytes may contain messages; None if they do not."""


class Node:
    """An extension of LangGraph's serializer: an unpacked container, or opaque bytes."""

    __slots__ = ("code", "content")

    def __init__(self, code: int, content: Any) -> None:
        self.code = code
        self.content = content


class Reference:
    """A reference in place of a message.

    Attributes:
        position: The position of the stored message.
        form: Its original form, if different from the stored one: one of the constants below.
    """

    __slots__ = ("form", "position")

    def __init__(self, position: int, form: str = "") -> None:
        self.position = position
        self.form = form

    def pack(self) -> bytes:
        """The payload of the extension."""
        return ormsgpack.packb([self.position, self.form] if self.form else self.position)


WITHOUT_ID = "-"
"""The form of a message that had no id in this place, although it has one elsewhere."""
BARE = "s"
"""The form of a message that was only its text."""
PAIR = "p:"
"""The form of a message that was a pair of role and text; the role follows."""
ROLE_FIRST = "r:"
"""The form of a message that was a dictionary with `role` and `content`; the role follows."""
TYPE_FIRST = "t:"
"""As `ROLE_FIRST`, with `type` instead of `role`."""


def in_form(form: str, content: str) -> Any:
    """What was there, from the text of the message."""
    if form == BARE:
        return content
    kind, role = form[:2], form[2:]
    if kind == PAIR:
        return [role, content]
    return {"role" if kind == ROLE_FIRST else "type": role, "content": content}


Keep = Callable[[Any, str, bytes], Reference]
"""Takes a message in its original form, its role and its msgpack; returns a reference to it."""
Original = Callable[[int, str], bytes]
"""Takes a position and a form; returns the original msgpack."""


def cut(data: bytes, keep: Keep, *, channel: str = "") -> bytes | None:
    """Replace every message in msgpack bytes by a reference.

    Args:
        data: The output of LangGraph's serializer for a value.
        keep: Stores a message and returns its reference.
        channel: The channel of the value: a bare string in `messages` is a message too.

    Returns:
        The bytes without messages, or None if they contain none.
    """
    found = 0

    def reference(content: Any, role: str) -> Reference:
        nonlocal found
        found += 1
        return keep(content, role, pack_tree(content))

    def walk(value: Any, among_messages: bool) -> Any:
        kind = type(value)
        if kind is str:
            return reference(value, "text") if among_messages else value
        if kind is Node:
            if value.code in _MODELS and (role := _message_role(value.content)):
                return value if role == "remove" else reference(value, role)
            if value.code == TUPLE:
                items = walk(value.content, among_messages)
                return items if type(items) is Reference else Node(TUPLE, items)
            if value.code == VALUE:
                # The parts after the tag belong to one value: a set of two words is not a pair of role and text.
                return Node(VALUE, [_walk_part(part, walk) for part in value.content])
            if value.code in _CONTAINERS:
                return Node(value.code, walk(value.content, False))
            return value
        if kind is dict:
            if role := _like_role(value):
                return value if role == "remove" else reference(value, role)
            return {key: walk(item, key == MESSAGES_KEY) for key, item in value.items()}
        if kind is list:
            if len(value) == 2 and type(value[0]) is str and value[0] in ROLES and type(value[1]) in (str, list):
                return reference(value, value[0])
            return [walk(item, among_messages) for item in value]
        return value

    tree = walk(unpack_tree(data), channel == MESSAGES_KEY)
    return pack_tree(tree) if found else None


def _walk_part(part: Any, walk: Callable[[Any, bool], Any]) -> Any:
    return [walk(item, False) for item in part] if type(part) is list else walk(part, False)


def paste(data: bytes, original: Original) -> bytes:
    """Put the messages back in: the reverse of `cut`."""

    def restore(code: int, payload: bytes) -> Any:
        if code == MESSAGE:
            return unpack_tree(original(*position_and_form(payload)))
        if code == MESSAGES:
            return [unpack_tree(original(position, "")) for position in positions(ormsgpack.unpackb(payload))]
        if code == NAMELESS:
            ranges, nameless = ranges_and_nameless(payload)
            forms = [WITHOUT_ID if at in nameless else "" for at in range(len(ranges))]
            return [unpack_tree(original(position, form)) for position, form in zip(ranges, forms, strict=True)]
        if code in _CONTAINERS:
            return Node(code, ormsgpack.unpackb(payload, ext_hook=restore, option=UNPACK))
        return Node(code, payload)

    return pack_tree(ormsgpack.unpackb(data, ext_hook=restore, option=UNPACK))


def renumbered(data: bytes, place: Callable[[int, bool], int]) -> bytes:
    """The same bytes with other positions.

    Args:
        data: Bytes with references, as `cut` and the fast encoders make them.
        place: Takes a position and whether its message has no id here; returns the new position.
    """

    def another(code: int, payload: bytes) -> Any:
        if code == MESSAGE:
            position, form = position_and_form(payload)
            return Reference(place(position, bool(form)), form)
        if code == MESSAGES:
            there = [place(position, False) for position in positions(ormsgpack.unpackb(payload))]
            return Node(code, ormsgpack.packb(ranges_of(there)))
        if code == NAMELESS:
            ranges, nameless = ranges_and_nameless(payload)
            there = [place(position, at in nameless) for at, position in enumerate(ranges)]
            return Node(code, ormsgpack.packb([ranges_of(there), ranges_of(sorted(nameless))]))
        if code in _CONTAINERS:
            return Node(code, ormsgpack.unpackb(payload, ext_hook=another, option=UNPACK))
        return Node(code, payload)

    return pack_tree(ormsgpack.unpackb(data, ext_hook=another, option=UNPACK))


def referenced(data: bytes, into: list[int]) -> None:
    """Collect the ranges of positions that bytes with references refer to, as start and count."""

    def look(code: int, payload: bytes) -> None:
        if code == MESSAGE:
            into.extend((position_and_form(payload)[0], 1))
        elif code == MESSAGES:
            into.extend(ormsgpack.unpackb(payload))
        elif code == NAMELESS:
            into.extend(ormsgpack.unpackb(payload)[0])
        elif code in _CONTAINERS:
            ormsgpack.unpackb(payload, ext_hook=look, option=UNPACK)

    ormsgpack.unpackb(data, ext_hook=look, option=UNPACK)


def position_and_form(payload: bytes) -> tuple[int, str]:
    """Parse a reference to one message."""
    content = ormsgpack.unpackb(payload)
    if type(content) is int:
        return content, ""
    position, form = content
    return position, form


def positions(ranges: list[int]) -> list[int]:
    """Every position of ranges of start and count."""
    if len(ranges) == 2:
        return list(range(ranges[0], ranges[0] + ranges[1]))
    pairs = zip(ranges[::2], ranges[1::2], strict=True)
    return [position for start, count in pairs for position in range(start, start + count)]


def ranges_and_nameless(payload: bytes) -> tuple[list[int], frozenset[int]]:
    """Parse a `NAMELESS` payload: every position, and the indexes of messages without an id."""
    ranges, nameless = ormsgpack.unpackb(payload)
    return positions(ranges), frozenset(positions(nameless))


def ranges_of(numbers: list[int]) -> list[int]:
    """Numbers as ranges: start and count."""
    ranges: list[int] = []
    following = -1
    for number in numbers:
        if number == following:
            ranges[-1] += 1
        else:
            ranges += (number, 1)
        following = number + 1
    return ranges


def model_bytes(module: str, name: str, fields: dict[str, Any]) -> bytes:
    """The bytes that LangGraph's serializer writes for a pydantic model with these fields."""
    return pack_tree(Node(5, [module, name, fields, "model_validate_json"]))


def _message_role(content: Any) -> str | None:
    """The role of a serialized model that is a message: any class with a message's fields counts as one."""
    if type(content) is not list or len(content) < 3 or type(content[2]) is not dict:
        return None
    fields = content[2]
    if "content" in fields and "additional_kwargs" in fields and type(fields.get("type")) is str:
        return str(fields["type"])
    return None


def _like_role(value: dict[Any, Any]) -> str | None:
    """The role of a dictionary in the form of a message, as in OpenAI's format or a message's own dump."""
    if "content" not in value:
        return None
    role = value.get("role", value.get("type"))
    if type(role) is not str:
        return None
    if role in ROLES or ("additional_kwargs" in value and "response_metadata" in value):
        return role
    return None


def _keep_nodes(code: int, payload: bytes) -> Node:
    if code in _CONTAINERS:
        return Node(code, unpack_tree(payload))
    return Node(code, payload)


def unpack_tree(data: bytes) -> Any:
    """Unpack msgpack with every extension as a `Node`, so that no object is constructed."""
    return ormsgpack.unpackb(data, ext_hook=_keep_nodes, option=UNPACK)


def _to_msgpack(value: Any) -> ormsgpack.Ext:
    if type(value) is Node:
        return ormsgpack.Ext(value.code, value.content if type(value.content) is bytes else pack_tree(value.content))
    if type(value) is Reference:
        return ormsgpack.Ext(MESSAGE, value.pack())
    raise TypeError(f"{type(value).__name__} does not occur in serialized values")


def pack_tree(value: Any) -> bytes:
    """The reverse of `unpack_tree`."""
    return ormsgpack.packb(value, default=_to_msgpack, option=PACK)
