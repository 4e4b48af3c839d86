"""How one message becomes bytes and a message again, faster than by validating it.

LangChain's own message classes are packed as the dictionary of their fields and rebuilt without validation, which is safe
because exactly these fields came out of a validated message. Everything else (other classes, extra fields, private
attributes, values that msgpack does not know, fields of another langchain-core) goes through the serializer or the class.

The id of a message is next to its bytes. Reducers give ids to messages that were written without one, and what was stored
of such a message stays the same then.
"""

from collections.abc import Callable, Iterable
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
"""The options that LangGraph's serializer packs with: what it made is packed again as it was."""
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
# The slots of pydantic's models, set directly: what `object.__setattr__` would look up for every message.
_set_names: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_extra__"].__set__
UNNAMED = ""
"""What is in the column of the id as long as a message may still be given one (`Message.claimable`)."""
SUPERSEDED = "\n"
"""What is there once the same message was stored again, with its id (`Message.superseded`)."""

_set_private: Callable[[Any, Any], None] = BaseModel.__dict__["__pydantic_private__"].__set__
_message_types: dict[type, bool] = {}


def is_message_type(cls: type) -> bool:
    """Whether objects of a class are messages, and not commands to remove one. Pydantic's own check is slow, so it is made once."""
    known = _message_types.get(cls)
    if known is None:
        known = issubclass(cls, BaseMessage) and not issubclass(cls, RemoveMessage)
        if len(_message_types) < 10_000:
            _message_types[cls] = known
    return known


class Message:
    """A message as it is stored, with what is needed to make any number of copies of it.

    What is in its bytes is checked when it is first compared or loaded again: most messages of an old conversation are loaded once.

    Attributes:
        position: Where it is in its conversation.
        kind: `m` for the fast codec; anything else is the serializer's.
        body: The bytes as they are stored, before encryption.
        message_id: Its id, if it has one.
        role: What it is, for people who read the table.
        claimable: Whether it may still be given an id: it was on its way into a channel, and no channel holds it without one.
        foreign: Whether it was read without an id, so that another process may have given it one since.
        superseded: Whether the same message was stored again, with an id: a memory that read it may not give it one in its place,
            since another may do the same.
        seen: By what a message is recognised whose bytes say nothing, as far as that is known.
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
        """What is in the column of its id."""
        if self.message_id is not None:
            return self.message_id if can_stand_beside(self.message_id) else None
        return SUPERSEDED if self.superseded else UNNAMED if self.claimable else None

    @property
    def cls(self) -> type[BaseMessage] | None:
        """Its class, of the fast codec's."""
        if self._fields is None:
            self._learn()
        return self._cls

    @property
    def fields(self) -> dict[str, Any]:
        """Its fields as they were stored; nobody else's."""
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
        """Look at what is in its bytes. Two threads may do that at once: what is last set is what they go by."""
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
                    break  # something that can be changed in place: every copy is unpacked again
                (dicts if type(value) is dict else lists).append(name)
            else:
                simple = True
        self._cls, self._simple, self._dicts, self._lists = cls, simple, tuple(dicts), tuple(lists)
        self._fields = fields  # last: it says that the others are there
        if cls is not None:
            fields["id"] = self.message_id  # it may have been claimed meanwhile
        return fields

    def claim(self, message_id: str) -> None:
        """The message was given an id since it was stored."""
        self.message_id = message_id
        self.claimable = self.foreign = False
        if self._fields:
            self._fields["id"] = message_id

    def same_as(self, message: BaseMessage) -> bool:
        """Whether this is what is stored of `message`, as it is now: messages can be edited in place."""
        if type(message) is not self.cls:
            return False
        if self.simple:
            # Only strings, None and empty containers: equality is identity of what would be stored.
            return message.__dict__ == self.fields and not message.__pydantic_extra__
        return message.id == self.message_id and fast_body(message) == self.body

    def load(self) -> BaseMessage:
        """A new message, shared with nobody. Only for the kind `m`.

        Raises:
            StoreError: Its bytes cannot be read.
        """
        (message,) = load_all((self,), Message.load)
        return message  # type: ignore[no-any-return]


def load_all(stored: Iterable[Message], otherwise: Callable[[Message], Any]) -> list[Any]:
    """New messages for stored ones, shared with nobody: a long history in one loop, without a call for each.

    Args:
        stored: What is stored of them.
        otherwise: Makes what is not of the kind `m`.

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
            loaded.append(cls(**fields))  # langchain-core has other fields now
            continue
        message = _new(cls)
        _set_fields(message, "__dict__", fields)
        _set_names(message, _ALL_SET[cls])
        _set_extra(message, {})
        _set_private(message, None)
        loaded.append(message)
    return loaded


def fast_body(message: BaseMessage) -> bytes | None:
    """The bytes of a message by the fast codec, without its id, or None where only the serializer will do."""
    tag = KNOWN.get(type(message))
    if tag is None or message.__pydantic_extra__ or message.__pydantic_private__:
        return None
    fields = message.__dict__
    if (message_id := fields.get("id")) is not None:
        if not can_stand_beside(message_id):
            return None
        fields = fields.copy()
        fields["id"] = None
    return fast_fields(tag, fields)


def can_stand_beside(message_id: object) -> bool:
    """Whether an id fits its column in every database. The empty one means something else there."""
    return (
        type(message_id) is str and 0 < len(message_id) <= 255 and "\0" not in message_id and message_id.isprintable()
    )


def fast_fields(tag: str, fields: dict[str, Any]) -> bytes | None:
    """The bytes of a message with these fields, of which the id is None; None where msgpack would alter something."""
    try:
        body = ormsgpack.packb([tag, fields], option=EXACT)
    except (TypeError, ValueError):
        return None
    if (b"\xc4" in body or b"\xc5" in body or b"\xc6" in body) and holds_buffer(fields):
        return None
    return body
