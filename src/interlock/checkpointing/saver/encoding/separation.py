"""Encodes values without their messages for the workflow tables, and decodes them.

A leading number distinguishes three forms. PLAIN is the serializer's output. TREE is msgpack of plain data and references, for the
common values: a list of messages, one message, a dictionary with such. CUT is the serializer's msgpack with references in place of
messages.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ormsgpack
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.types import ERROR

from ....tools.canonical import EXACT
from ...serializing import TYPED, TypedSerializer
from ...serializing.langgraph_codes import VALIDATE
from ...serializing.refusals import Refused
from ...serializing.walking import holds_buffer
from ..memory import Conversation, digest
from .lists import StoredList
from .message_forms import as_message
from .messages import (
    CLASSES,
    PACK,
    UNPACK,
    Message,
    fast_body,
    fast_fields,
    fits_id_column,
    is_message_type,
    load_all,
)
from .msgpack_tree import (
    MESSAGE,
    MESSAGES,
    MESSAGES_KEY,
    NAMELESS,
    WITHOUT_ID,
    Node,
    Reference,
    cut,
    in_form,
    may_hold_messages,
    model_bytes,
    paste,
    position_and_form,
    positions,
    ranges_and_nameless,
    ranges_of,
    referenced,
    renumbered,
)
from .opaque import holds_message
from .plain import NOTHING, PLAIN, PLAIN_KINDS, SCALARS, Encoded
from .sealing import Sealing, unreadable

TREE, CUT = 1, 2


RAW_KINDS = {"msgpack": "r", TYPED: "t"}
"""The stored kind of a message that only the serializer can read, by the type of its bytes."""
RAW_TYPES = {kind: typ for typ, kind in RAW_KINDS.items()}


class _Ranges:
    """A list of messages inside a value during packing."""

    __slots__ = ("code", "payload")

    def __init__(self, code: int, payload: bytes) -> None:
        self.code = code
        self.payload = payload


class Encoder:
    """Encodes the values of one put. The caller holds the conversation's lock.

    Attributes:
        new: The messages that are not stored yet.
        claimed: Stored messages that got an id, stay without one, or are stored again.
        refers: Whether anything refers to the conversation.
    """

    __slots__ = ("_aside", "_conversation", "_namespace", "_raw", "_sealing", "_typed", "claimed", "lists", "new",
                 "refers")  # fmt: skip

    def __init__(self, conversation: Conversation, sealing: Sealing, namespace: str) -> None:
        self._conversation = conversation
        self._sealing = sealing
        self._typed = type(sealing.inner) is TypedSerializer
        self._namespace = namespace
        self._aside = False
        self._raw = "r"
        self.new: list[Message] = []
        self.claimed: list[Message] = []
        self.refers = False
        self.lists: dict[tuple[str, str], StoredList] = {}

    def encode(self, value: Any, channel: str, *, aside: bool = False) -> Encoded:
        """The stored form of a value.

        Args:
            value: Any value that the serializer accepts.
            channel: The channel of the value.
            aside: Whether it has not reached its channel yet (input, pending write), so that a reducer may assign ids.
        """
        kind = type(value)
        if self._typed and (kind in PLAIN_KINDS or value is None) and (channel != MESSAGES_KEY or kind is dict):
            # The output of `TypedSerializer` for plain data, which most values are. (A function of its own is a third of its cost.)
            if value is None:
                return NOTHING
            try:
                data = ormsgpack.packb(value, option=EXACT)
            except (TypeError, ValueError, RecursionError):
                pass  # it contains types unknown to msgpack
            else:
                if kind in SCALARS or not (
                    b"\xc4" in data or b"\xc5" in data or b"\xc6" in data or may_hold_messages(data)
                ):
                    return PLAIN, "msgpack", data  # it contains neither bytes, perhaps of a bytearray, nor messages
        self._aside = aside
        self._raw = "r"
        try:
            if self._sealing.opaque:
                return self._opaque(value, channel)
            return self._transparent(value, channel)
        except Refused as refused:
            raise refused.within(channel) from refused.__cause__

    def again(self, encoded: Encoded, messages: Mapping[int, Message], *, aside: bool) -> Encoded:
        """Convert a stored form that was made with another cache of the conversation.

        `messages` are the messages of that cache, by position. The value itself may have changed since.
        """
        form, typ, data = encoded
        if form == PLAIN:
            return encoded
        self._aside = aside

        def place(position: int, nameless: bool) -> int:
            message = messages[position]
            message_id = None if nameless else message.message_id
            self.refers = True
            erased = self._conversation.erased_ids.get(message_id) if message_id is not None else None
            if erased is not None and (message.kind == "m" or erased.kind in RAW_TYPES):
                return erased.position
            if message.seen is not None:  # the serializer's bytes differ each time
                known = self._conversation
                there = known.by_digest.get(message.seen) if message_id is None else known.by_id.get(message_id)
                if there is not None and there.seen == message.seen:
                    return there.position
            same = self._stored(message.kind, message.body, message.role, message_id)
            if message.seen is not None and same.seen is None:
                same.seen = message.seen
                if message_id is None:
                    self._conversation.by_digest[message.seen] = same
            return same.position

        return form, typ, renumbered(data, place)

    def _transparent(self, value: Any, channel: str) -> Encoded:
        """Encode a value if the serializer's bytes are msgpack."""
        kind = type(value)
        if kind is list:
            if value and _all_messages(value):
                return TREE, "", _pack(self._list(value, channel))
        elif kind is dict:
            if (replaced := self._dictionary(value, channel)) is not None:
                try:
                    data = _pack(replaced)
                except (TypeError, ValueError):
                    pass
                else:
                    if may_hold_messages(data):
                        data = cut(data, self._keep) or data
                    return TREE, "", data
        elif is_message_type(kind):
            return TREE, "", _pack(self._one(value))
        elif channel == ERROR and isinstance(value, BaseException):
            value = repr(value)  # the form in which LangGraph's savers store a task's error
        typ, data = self._sealing.inner.dumps_typed(value)
        if typ in RAW_KINDS:
            self._raw = RAW_KINDS[typ]
            if may_hold_messages(data) and (rest := cut(data, self._keep, channel=channel)) is not None:
                return CUT, typ, rest
        elif typ == "pickle" and holds_message(value, channel):
            return self._whole(typ, data)
        return PLAIN, typ, data

    def _opaque(self, value: Any, channel: str) -> Encoded:
        """Encode a value if the serializer's bytes are opaque: it gets every value, and every message separately."""
        kind = type(value)
        if kind is list and value and _all_messages(value):
            return TREE, "", _pack(self._list(value, channel))
        if is_message_type(kind):
            return TREE, "", _pack(self._one(value))
        typ, data = self._sealing.inner.dumps_typed(value)
        return self._whole(typ, data) if holds_message(value, channel) else (PLAIN, typ, data)

    def _whole(self, typ: str, data: bytes) -> Encoded:
        """Store a value whose messages cannot be cut out as a whole in the conversation, the only place for message text."""
        return TREE, "", _pack(self._refer(self._stored("c", ormsgpack.packb((typ, data)), "value", None)))

    def _dictionary(self, value: dict[Any, Any], channel: str) -> dict[Any, Any] | None:
        """Replace the messages directly in a dictionary by references; None if there are none."""
        replaced: dict[Any, Any] | None = None
        for key, item in value.items():
            ref: Any
            if type(item) is list and item and _all_messages(item):
                ref = self._list(item, f"{channel}\0{key}")
            elif is_message_type(type(item)):
                ref = self._one(item)
            else:
                continue
            if replaced is None:
                replaced = dict(value)
            replaced[key] = ref
        return replaced

    def _list(self, values: list[BaseMessage], slot: str) -> Any:
        """The ranges of a list. Messages in the same place as last time are recognized without a lookup."""
        self.refers = True
        if self._aside and (nameless := [at for at, value in enumerate(values) if value.id is None]):
            # A reducer will assign ids, so this list will not occur again, and caching it is useless.
            ranges = ranges_of([self._find(value).position for value in values])
            return _Ranges(NAMELESS, ormsgpack.packb([ranges, ranges_of(nameless)]))
        key = (self._namespace, slot)
        before = self._conversation.lists.get(key)
        if before is not None and before.begins(values):
            rest = values[len(before.messages) :]
            stored = before.followed_by(*self._find_all(rest)) if rest else before
        else:
            stored = StoredList(*self._find_all(values))
        self.lists[key] = stored
        if stored.nameless:
            return _Ranges(NAMELESS, ormsgpack.packb([stored.ranges, ranges_of(stored.nameless)]))
        return _Ranges(MESSAGES, ormsgpack.packb(stored.ranges))

    def _find_all(self, values: list[BaseMessage]) -> tuple[list[Message], list[int]]:
        """The stored messages for a list, and the indexes of those without an id."""
        return [self._find(value) for value in values], [at for at, value in enumerate(values) if value.id is None]

    def _one(self, value: BaseMessage) -> Reference:
        return self._refer(self._find(value), "" if value.id is not None else WITHOUT_ID)

    def _refer(self, message: Message, form: str = "") -> Reference:
        self.refers = True
        if form == WITHOUT_ID and message.kind != "m":
            form = ""
        return Reference(message.position, form)

    def _find(self, value: BaseMessage) -> Message:
        conversation = self._conversation
        message_id = value.id
        if message_id is not None:
            if (erased := conversation.erased_ids.get(message_id)) is not None:
                return erased  # a late write must not restore erased text
            known = conversation.by_id.get(message_id)
            if known is not None and known.same_as(value):
                return known
        body = fast_body(value)
        if self._sealing.opaque:
            return self._found_opaque(value, body)
        if body is not None:
            return self._stored("m", body, value.type, message_id)
        typ, data = self._sealing.inner.dumps_typed(value)
        if typ not in RAW_KINDS:
            return self._stored("c", ormsgpack.packb((typ, data)), value.type, message_id)
        return self._stored(RAW_KINDS[typ], data, value.type, message_id)

    def _found_opaque(self, value: BaseMessage, body: bytes | None) -> Message:
        """Find or store a message with opaque bytes, which may differ each time, so it is compared by content."""
        conversation, message_id = self._conversation, value.id
        seen = None if body is None else digest("=", body)
        known = None
        if message_id is not None:
            known = conversation.by_id.get(message_id)
            if known is not None and known.kind == "c" and known.seen is None and seen is not None:
                known.seen = self._seen(known)
        elif seen is not None:
            known = conversation.by_digest.get(seen)
        if known is not None and seen is not None and known.seen == seen:
            return known
        found = self._stored("c", ormsgpack.packb(self._sealing.inner.dumps_typed(value)), value.type, message_id)
        found.seen = seen
        if message_id is None and seen is not None:
            conversation.by_digest[seen] = found
        return found

    def _seen(self, stored: Message) -> bytes:
        try:
            body = fast_body(self._sealing.loads(*ormsgpack.unpackb(stored.body)))
        except Exception:
            return b""
        return b"" if body is None else digest("=", body)

    def _keep(self, content: Any, role: str, data: bytes) -> Reference:
        """Store a message that was found in msgpack. A message of a known class is stored as in a list."""
        if type(content) is Node:
            fields = content.content[2]
            message_id = fields.get("id")
            cls = CLASSES.get(role)
            known = cls is not None and [*content.content[:2], content.content[3:]] == [
                cls.__module__, cls.__name__, [VALIDATE]
            ]  # fmt: skip
            if known and (message_id is None or fits_id_column(message_id)):
                body = fast_fields(role, {**fields, "id": None})
                if body is not None:
                    if message_id is not None and (erased := self._conversation.erased_ids.get(message_id)) is not None:
                        return self._refer(erased)
                    form = "" if message_id is not None else WITHOUT_ID
                    return self._refer(self._stored("m", body, role, message_id), form)
        elif (like := as_message(content, role)) is not None:
            message, form = like
            return self._refer(self._stored("m", fast_body(message) or b"", message.type, None), form)
        else:
            message_id = content.get("id") if type(content) is dict else None
        if type(message_id) is not str:
            message_id = None
        elif (erased := self._conversation.erased_ids.get(message_id)) is not None and erased.kind in RAW_TYPES:
            return self._refer(erased)
        return self._refer(self._stored(self._raw, data, role, message_id))

    def _stored(self, kind: str, body: bytes, role: str, message_id: str | None) -> Message:
        """The stored message for these bytes; creates it if necessary."""
        conversation = self._conversation
        if message_id is None:
            known = conversation.by_digest.get(digest(kind, body))
            if known is not None and known.message_id is None:
                if known.claimable and not self._aside:
                    known.claimable = False  # a channel holds it without an id, so it stays a separate message
                    self.claimed.append(known)
                return known
        else:
            known = conversation.by_id.get(message_id)
            if known is not None and known.kind == kind and known.body == body:
                return known
            if kind == "m":
                nameless = conversation.by_digest.get(digest(kind, body))
                if nameless is not None and nameless.claimable:
                    self.claimed.append(nameless)
                    if not nameless.foreign:
                        conversation.claim(nameless, message_id)
                        return nameless
                    conversation.supersede(nameless)
        message = Message(conversation.next, kind, body, role, message_id)
        message.claimable = self._aside and kind == "m" and message_id is None
        conversation.next += 1
        conversation.learn(message)
        self.new.append(message)
        return message


class Decoder:
    """Decodes stored values. All referenced messages must be loaded."""

    __slots__ = ("_messages", "_sealing", "last_list")

    def __init__(self, messages: Callable[[int], Message], sealing: Sealing) -> None:
        self._messages = messages
        self._sealing = sealing
        self.last_list: list[Message] | None = None

    def decode(self, encoded: Encoded) -> Any:
        """The value."""
        form, typ, data = encoded
        if form == PLAIN:
            return self._sealing.loads(typ, data)
        self.last_list = None
        try:
            if form == TREE:
                return ormsgpack.unpackb(data, ext_hook=self._resolve, option=UNPACK)
            whole = paste(data, self._original)
        except (ormsgpack.MsgpackDecodeError, TypeError, ValueError) as error:
            raise unreadable(typ or "msgpack", error) from error
        return self._sealing.loads(typ, whole)

    def message(self, stored: Message) -> Any:
        """A new object for a stored message."""
        if stored.kind == "m":
            return stored.load()
        if stored.kind in RAW_TYPES:
            return self._sealing.loads(RAW_TYPES[stored.kind], stored.body)
        typ, data = ormsgpack.unpackb(stored.body)
        return self._sealing.loads(typ, data)

    def _resolve(self, code: int, payload: bytes) -> Any:
        if code == MESSAGE:
            position, form = position_and_form(payload)
            message = self.message(self._messages(position))
            if form == WITHOUT_ID:
                message.id = None
            return in_form(form, message.content) if form and form != WITHOUT_ID else message
        if code == MESSAGES:
            stored = [*map(self._messages, positions(ormsgpack.unpackb(payload)))]
            self.last_list = stored
            return load_all(stored, self.message)
        if code == NAMELESS:
            ranges, nameless = ranges_and_nameless(payload)
            stored = [self._messages(position) for position in ranges]
            self.last_list = stored
            loaded = load_all(stored, self.message)
            for at in nameless:
                loaded[at].__dict__["id"] = None
            return loaded
        raise ValueError(f"the extension {code} does not occur in stored values")

    def _original(self, position: int, form: str) -> bytes:
        stored = self._messages(position)
        if stored.kind in RAW_TYPES:
            return stored.body
        if stored.kind == "m":
            tag, fields = ormsgpack.unpackb(stored.body, option=UNPACK)
            if form and form != WITHOUT_ID:
                return ormsgpack.packb(in_form(form, fields["content"]), option=PACK)
            cls = CLASSES[tag]
            fields["id"] = None if form else stored.message_id
            return model_bytes(cls.__module__, cls.__name__, fields)
        raise ValueError("the value of another serializer cannot stand inside msgpack")


def needed(values: Iterable[Encoded]) -> list[int]:
    """The ranges of positions that stored values refer to, as start and count."""
    ranges: list[int] = []
    for form, _, data in values:
        if form != PLAIN:
            referenced(data, ranges)
    return ranges


def _all_messages(values: list[Any]) -> bool:
    return all(map(is_message_type, set(map(type, values))))


def _to_msgpack(value: Any) -> ormsgpack.Ext:
    if type(value) is _Ranges:
        return ormsgpack.Ext(value.code, value.payload)
    if type(value) is Reference:
        return ormsgpack.Ext(MESSAGE, value.pack())
    raise TypeError(f"{type(value).__name__} is for the serializer")


def _pack(value: Any) -> bytes:
    """Pack plain data and references; other types, and values that msgpack would change, need the serializer."""
    data = ormsgpack.packb(value, default=_to_msgpack, option=EXACT)
    if (b"\xc4" in data or b"\xc5" in data or b"\xc6" in data) and holds_buffer(value):
        raise TypeError("bytearray is for the serializer")
    return data
