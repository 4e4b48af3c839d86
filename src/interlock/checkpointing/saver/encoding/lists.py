"""The last stored list of messages, cached to compare the next list with it quickly."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from langchain_core.messages import BaseMessage

from .messages import Message, are_stored

_fields_of: Callable[[Any], dict[str, Any]] = attrgetter("__dict__")
_extra_of: Callable[[Any], Any] = attrgetter("__pydantic_extra__")
_id_of: Callable[[Message], str | None] = attrgetter("message_id")


class StoredList:
    """A stored list of messages.

    Attributes:
        messages: The messages.
        ranges: Their positions as start and count.
        nameless: The indexes of messages that have no id in this list.
    """

    __slots__ = ("_classes", "_fields", "_odd", "messages", "nameless", "ranges")

    def __init__(self, messages: list[Message], nameless: list[int]) -> None:
        self.messages: list[Message] = []
        self.ranges: list[int] = []
        self.nameless = nameless
        self._classes: list[Any] = []
        self._fields: list[dict[str, Any]] = []
        self._odd: list[int] = []
        self._append(messages)

    @classmethod
    def loaded(cls, messages: list[Message]) -> "StoredList":
        """Make a list from loaded messages."""
        if None not in map(_id_of, messages):
            return cls(messages, [])
        return cls(messages, [at for at, message in enumerate(messages) if message.message_id is None])

    def followed_by(self, messages: list[Message], nameless: list[int]) -> "StoredList":
        """This list with further messages, and the indexes of those without an id."""
        longer = StoredList.__new__(StoredList)
        length = len(self.messages)
        longer.nameless = [*self.nameless, *(length + at for at in nameless)] if nameless else self.nameless
        longer.messages, longer.ranges = self.messages.copy(), self.ranges.copy()
        longer._classes, longer._fields, longer._odd = self._classes.copy(), self._fields.copy(), self._odd.copy()
        longer._append(messages)
        return longer

    def begins(self, values: list[BaseMessage]) -> bool:
        """Whether the values start with exactly this list. Compares current contents, because messages can be edited in place."""
        length = len(self.messages)
        if len(values) < length:
            return False
        self._learn()
        first = values if len(values) == length else values[:length]
        # Each of these is one loop in C. Equal fields have equal bytes except in odd messages, where 1 equals True.
        if list(map(type, first)) != self._classes:
            return False
        if list(map(_fields_of, first)) != self._fields or any(map(_extra_of, first)):
            return False
        return are_stored([first[at] for at in self._odd], [self.messages[at] for at in self._odd])

    def _append(self, messages: list[Message]) -> None:
        ranges = self.ranges
        following = ranges[-2] + ranges[-1] if ranges else -1
        self.messages += messages
        for message in messages:
            position = message.position
            if position == following:
                ranges[-1] += 1
            else:
                ranges += (position, 1)
            following = position + 1

    def _learn(self) -> None:
        """Analyse the messages that were not compared before."""
        for at in range(len(self._classes), len(self.messages)):
            message = self.messages[at]
            if not message.simple:
                self._odd.append(at)
            self._classes.append(message.cls)
            self._fields.append(message.fields)
