"""Serializes messages and rebuilds them without validation, for speed.

LangChain's own message classes are packed as the dictionary of their fields and rebuilt without validation, which is safe
because exactly these fields came from a validated message. Everything else (other classes, extra fields, private
attributes, values unknown to msgpack, fields of another langchain-core) goes through the serializer or the class.

The id of a message is stored beside its bytes, so that the bytes stay the same when a reducer assigns an id later.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import ormsgpack
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel

from ....tools.canonical import EXACT
from ...serializing.walking import holds_buffer
from .sealing import unreadable

PACK = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_REPLACE_SURROGATES
)
"""The options of LangGraph's serializer, so that repacking its output changes nothing."""
UNPACK = ormsgpack.OPT_NON_STR_KEYS

KNOWN: dict[type[BaseMessage], str] = {
    HumanMessage: "human",
    AIMessage: "ai",
    AIMessageChunk: "AIMessageChunk",
    SystemMessage: "system",
    ToolMessage: "tool",
    ChatMessage: "chat",
    FunctionMessage: "function",
}
CLASSES = {tag: cls for cls, tag in KNOWN.items()}
_FIELDS = {cls: frozenset(cls.model_fields) for cls in KNOWN}
_ALL_SET = {cls: set(cls.model_fields) for cls in KNOWN}
_new = object.__new__
_set_fields = object.__setattr__
# The slots of pydantic models, set directly, because `object.__setattr__` would look them up for every message.
_set_names: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_extra__"].__set__
UNNAMED = ""
"""The id column of a message that may still get an id (`Message.claimable`)."""
SUPERSEDED = "\n"
"""The id column of a message that was stored again with its id (`Message.superseded`)."""

_private_of: Callable[[Any], Any] = attrgetter("__pydantic_private__")
_set_private: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_private__"].__set__
_message_types: dict[type, bool] = {}


def is_message_type(cls: type) -> bool:
    """Whether a class is a message class, except `RemoveMessage`. Cached, because pydantic's own check is slow."""
    known = _message_types.get(cls)
    if known is None:
        known = issubclass(cls, BaseMessage) and not issubclass(cls, RemoveMessage)
        if len(_message_types) < 10_000:
            _message_types[cls] = known
    return known


class Message:
    """A stored message, which can be copied any number of times.

    Its bytes are parsed at the first comparison or second load, because most messages of an old conversation are loaded only once.

    Attributes:
        position: Its position in the conversation.
        kind: `m` for the fast codec; other values belong to the serializer.
        body: The stored bytes, before encryption.
        message_id: Its id, if it has one.
        role: Its role, for people who read the table.
        claimable: Whether it may still get an id: it was written towards a channel, and no channel holds it without an id.
        foreign: Whether it was read without an id, so that another process may have assigned one since.
        superseded: Whether the same message was stored again with an id: a cache that has read it must not assign an id in place,
            because another process may do the same.
        seen: Identifies a message whose bytes are opaque, if known.
    """

    __slots__ = ("_cls", "_dicts", "_exact", "_fields", "_lists", "_loaded", "_simple", "body", "claimable", "foreign", "kind",
                 "message_id", "position", "role", "seen", "superseded")  # fmt: skip

    def __init__(self, position: int, kind: str, body: bytes, role: str, message_id: str | None) -> None:
        self.position = position
        self.kind = kind
        self.body = body
        self.role = role
        self.message_id = message_id
        self.claimable = False
        self.foreign = False
        self.superseded = False
        self.seen: bytes | None = None
        self._loaded = False
        self._cls: type[BaseMessage] | None = None
        self._fields: dict[str, Any] | None = None

    @property
    def name(self) -> str | None:
        """The value of its id column."""
        if self.message_id is not None:
            return self.message_id if fits_id_column(self.message_id) else None
        return SUPERSEDED if self.superseded else UNNAMED if self.claimable else None

    @property
    def cls(self) -> type[BaseMessage] | None:
        """Its class, one of the fast codec."""
        if self._fields is None:
            self._learn()
        return self._cls

    @property
    def fields(self) -> dict[str, Any]:
        """Its stored fields, not shared with any copy."""
        return self._learn() if self._fields is None else self._fields

    @property
    def simple(self) -> bool:
        """Whether all its fields are strings, None and empty containers."""
        if self._fields is None:
            self._learn()
        return self._simple

    def _unpacked(self) -> tuple[type[BaseMessage], dict[str, Any]]:
        try:
            tag, fields = ormsgpack.unpackb(self.body, option=UNPACK)
            fields["id"] = self.message_id
            return CLASSES[tag], fields
        except (TypeError, ValueError, LookupError) as error:
            raise unreadable(f"message {self.position}", error) from error

    def _learn(self) -> dict[str, Any]:
        """Parse its bytes. Two threads may do this at once, so the attribute that they check is set last."""
        cls: type[BaseMessage] | None = None
        fields: dict[str, Any] = {}
        dicts: list[str] = []
        lists: list[str] = []
        simple = False
        if self.kind == "m":
            cls, fields = self._unpacked()
            self._exact = fields.keys() == _FIELDS[cls]
            for name, value in fields.items():
                if value is None or type(value) is str:
                    continue
                if value or type(value) not in (dict, list):
                    break  # mutable fields: unpack the bytes again for every copy
                (dicts if type(value) is dict else lists).append(name)
            else:
                simple = True
        self._cls, self._simple, self._dicts, self._lists = cls, simple, tuple(dicts), tuple(lists)
        self._fields = fields  # set last, because it marks the other attributes as present
        if cls is not None:
            fields["id"] = self.message_id  # another thread may have claimed it meanwhile
        return fields

    def claim(self, message_id: str) -> None:
        """Record the id that the message got after it was stored."""
        self.message_id = message_id
        self.claimable = self.foreign = False
        if self._fields:
            self._fields["id"] = message_id

    def same_as(self, message: BaseMessage) -> bool:
        """Whether this is the stored form of the current `message`, because messages can be edited in place."""
        if type(message) is not self.cls:
            return False
        if self.simple:
            # Only strings, None and empty containers: equal values have equal bytes.
            return message.__dict__ == self.fields and not message.__pydantic_extra__
        return message.id == self.message_id and _body(message) == self.body

    def load(self) -> BaseMessage:
        """Create a new message. Only for the kind `m`.

        Raises:
            StoreError: Its bytes cannot be read.
        """
        (message,) = load_all((self,), Message.load)
        return message  # type: ignore[no-any-return]


def load_all(stored: Iterable[Message], otherwise: Callable[[Message], Any]) -> list[Any]:
    """Create new messages from stored ones, in one loop without a call per message, for long histories.

    Args:
        stored: The stored messages.
        otherwise: Creates messages of other kinds than `m`.

    Raises:
        StoreError: The bytes of one cannot be read.
    """
    unpack, loaded = ormsgpack.unpackb, []
    cls: Any
    for one in stored:
        if one.kind != "m":
            loaded.append(otherwise(one))
            continue
        known = one._fields
        if known is None and one._loaded:
            known = one._learn()
        if known is not None and one._simple:
            cls, fields, exact = one._cls, known.copy(), one._exact
            for name in one._dicts:
                fields[name] = {}
            for name in one._lists:
                fields[name] = []
        else:
            one._loaded = True
            try:
                tag, fields = unpack(one.body, option=UNPACK)
                fields["id"] = one.message_id
                cls = CLASSES[tag]
            except (TypeError, ValueError, LookupError) as error:
                raise unreadable(f"message {one.position}", error) from error
            exact = fields.keys() == _FIELDS[cls]
        if not exact:
            loaded.append(cls(**fields))  # langchain-core has different fields now
            continue
        message = _new(cls)
        _set_fields(message, "__dict__", fields)
        _set_names(message, _ALL_SET[cls])
        _set_extra(message, {})
        _set_private(message, None)
        loaded.append(message)
    return loaded


def fast_body(message: BaseMessage) -> bytes | None:
    """The bytes of a message by the fast codec, without its id, or None if it needs the serializer."""
    return _body(message) if message.id is None or fits_id_column(message.id) else None


def _body(message: BaseMessage) -> bytes | None:
    """The same, without a look at the id, for a message that has the id of a stored one."""
    tag = KNOWN.get(type(message))
    if tag is None or message.__pydantic_extra__ or message.__pydantic_private__:
        return None
    fields = message.__dict__
    if message.id is not None:
        fields = {**fields, "id": None}
    return fast_fields(tag, fields)


def are_stored(messages: Sequence[BaseMessage], stored: Sequence[Message]) -> bool:
    """As `Message.same_as` for each pair of messages whose classes and ids were compared already, with one call of the codec for all."""
    try:
        packed = ormsgpack.packb([[KNOWN[type(one)], {**one.__dict__, "id": None}] for one in messages], option=EXACT)
    except (TypeError, ValueError, LookupError):
        packed = None
    if packed is None or _may_hold_buffer(packed):
        return all(one.same_as(message) for one, message in zip(stored, messages, strict=True))
    # The bytes of a list are those of its items after a header.
    number = len(messages)
    header = 1 if number < 16 else 3 if number < 65_536 else 5
    return packed[header:] == b"".join([one.body for one in stored]) and not any(map(_private_of, messages))


def _may_hold_buffer(body: bytes) -> bool:
    """Whether the codec's marks of bytes occur, with which it writes bytearrays too; other values may contain them as well."""
    return b"\xc4" in body or b"\xc5" in body or b"\xc6" in body


def fits_id_column(message_id: object) -> bool:
    """Whether an id fits its column in every database. An empty id has another meaning there."""
    return (
        type(message_id) is str and 0 < len(message_id) <= 255 and "\0" not in message_id and message_id.isprintable()
    )


def fast_fields(tag: str, fields: dict[str, Any]) -> bytes | None:
    """The bytes of a message with these fields, whose id is None; None if msgpack would change a value."""
    try:
        body = ormsgpack.packb([tag, fields], option=EXACT)
    except (TypeError, ValueError):
        return None
    if _may_hold_buffer(body) and holds_buffer(fields):
        return None
    return body
