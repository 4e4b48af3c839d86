"""The cache of conversations between steps, so that unchanged messages cost nothing.

It is only a cache: positions become permanent when the transaction commits, a failure discards the cache, and the epoch in the
database shows whether another process has erased or removed messages.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from .encoding.lists import StoredList
from .encoding.messages import SUPERSEDED, Message

CACHE_BYTES = 128 * 1024 * 1024
NAMESPACES = 32
"""The number of namespaces per thread whose newest values are cached, because each run of a subgraph has its own namespace."""
# Measured sizes in Python: an empty conversation, a message without its bytes (which exist twice after a comparison), a channel
# without the bytes of its value, a list of messages, and one message in it.
_CONVERSATION, _MESSAGE, _CHANNEL, _LIST, _IN_LIST = 2_000, 1_000, 400, 500, 32


class Conversation:
    """The cached messages of one thread.

    `lock` is held while values are encoded and join the line, so that commits have the order of positions. The positions from
    `stored` to `next` belong to uncommitted messages. `in_line` counts the jobs in progress, `left` the finished ones.
    """

    __slots__ = (
        "_sizes",
        "by_digest",
        "by_id",
        "channels",
        "counted",
        "dead",
        "epoch",
        "erased_ids",
        "id",
        "impatient",
        "in_line",
        "left",
        "line",
        "lists",
        "lock",
        "messages",
        "next",
        "opened",
        "size",
        "stored",
        "thread_id",
    )  # fmt: skip

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        self.lock = threading.RLock()
        self.line: Any = None
        """The line of its thread; None before its first job."""
        self.in_line = 0
        self.left = 0
        self.id: int | None = None
        self.epoch = 0
        self.next = 0
        self.stored = 0
        self.opened = False
        self.dead = False
        self.size = _CONVERSATION
        self.counted = 0
        self.impatient = 0
        self.messages: dict[int, Message] = {}
        self.by_id: dict[str, Message] = {}
        self.by_digest: dict[bytes, Message] = {}
        self.erased_ids: dict[str, Message] = {}
        self.lists: dict[tuple[str, str], StoredList] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self._sizes: dict[str, int] = {}
        """The sizes of the values in `channels`, by namespace."""

    def learn(self, message: Message) -> None:
        """Cache a message that is about to be stored, at a new position."""
        if message.position not in self.messages:
            self.add(message)

    def add(self, message: Message, *, erased: bool = False) -> None:
        """Cache a message that is not cached yet."""
        self.messages[message.position] = message
        if message.message_id is not None:
            self.learn_id(message, message.message_id)
            if erased:
                self.erased_ids[message.message_id] = message
        elif not message.superseded:  # otherwise an equal message has an id, or is a different message
            self.by_digest[digest(message.kind, message.body)] = message
        self.size += 2 * len(message.body) + _MESSAGE

    def add_all(self, messages: Sequence[Message]) -> None:
        """Cache new messages with ids, with few calls per message, for long histories."""
        there, by_id, size = self.messages, self.by_id, 0
        for message in messages:
            there[message.position] = message
            size += len(message.body)
            latest = by_id.setdefault(message.message_id, message)  # type: ignore[arg-type]
            if latest.position < message.position:
                by_id[message.message_id] = message  # type: ignore[index]
        self.size += 2 * size + _MESSAGE * len(messages)

    def hold(
        self,
        namespace: str,
        channels: dict[str, tuple[Any, Any]],
        lists: dict[tuple[str, str], StoredList],
        *,
        length: int,
    ) -> None:
        """Cache the stored values and lists of a namespace's newest checkpoint. Evicts the least recently used namespaces.

        Args:
            namespace: The namespace.
            channels: The version and stored value of each channel.
            lists: The lists of messages.
            length: The length of the checkpoint's body, which holds all of the values.
        """
        before = self.channels.pop(namespace, None)
        if before is not None and before == channels:  # as after a load of an own put: its size is already counted
            channels = before
        else:
            size = len(channels) * _CHANNEL + length
            self.size += size - self._sizes.get(namespace, 0)
            self._sizes[namespace] = size
        self.channels[namespace] = channels  # as the most recently used one
        for slot, stored in lists.items():
            known = self.lists.get(slot)
            self.size += len(stored.messages) * _IN_LIST + _LIST
            if known is not None:
                self.size -= len(known.messages) * _IN_LIST + _LIST
            self.lists[slot] = stored
        while len(self.channels) > NAMESPACES:
            self._evict(next(iter(self.channels)))

    def _evict(self, namespace: str) -> None:
        del self.channels[namespace]
        self.size -= self._sizes.pop(namespace)
        for slot in [slot for slot in self.lists if slot[0] == namespace]:
            self.size -= len(self.lists.pop(slot).messages) * _IN_LIST + _LIST

    def claim(self, message: Message, message_id: str) -> None:
        """Assign an id to a message that was stored without one. Its position in a list identifies it."""
        self._drop_digest(message)
        message.claim(message_id)
        self.learn_id(message, message_id)

    def supersede(self, message: Message) -> None:
        """Mark a message without an id as stored again with one."""
        self._drop_digest(message)
        message.claimable, message.superseded = False, True

    def learn_again(self, message: Message, name: str | None) -> None:
        """Update a message that was read without an id."""
        if name == SUPERSEDED:
            self.supersede(message)
        elif name:
            self.claim(message, name)
        elif name is None:
            message.claimable = False

    def _drop_digest(self, message: Message) -> None:
        key = digest(message.kind, message.body)
        if self.by_digest.get(key) is message:
            del self.by_digest[key]

    def learn_id(self, message: Message, message_id: str) -> None:
        """Cache the latest message with an id."""
        latest = self.by_id.get(message_id)
        if latest is None or latest.position < message.position:
            self.by_id[message_id] = message


def digest(kind: str, body: bytes) -> bytes:
    """The digest that identifies a message without an id."""
    return blake2b(body, digest_size=16, person=_PERSONS.get(kind) or kind[:16].encode()).digest()


_PERSONS = {"m": b"m"}
"""The kind of nearly all messages, encoded."""


class Memory:
    """A least-recently-used cache of conversations, bounded by its estimated size in bytes."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._known: OrderedDict[str, Conversation] = OrderedDict()
        self._total = 0

    @property
    def size(self) -> int:
        """The estimated size in bytes."""
        return self._total

    def of(self, thread_id: str) -> Conversation:
        """The conversation of a thread, created unopened if necessary."""
        with self._guard:
            conversation = self._known.get(thread_id)
            if conversation is None or conversation.dead:
                conversation = Conversation(thread_id)
                self._admit(conversation)
            else:
                self._known.move_to_end(thread_id)
            return conversation

    def known(self, thread_id: str) -> Conversation | None:
        """The cached conversation of a thread, if any, without marking it as used."""
        return self._known.get(thread_id)

    def replace(self, conversation: Conversation) -> None:
        """Replace the conversation of its thread."""
        with self._guard:
            self._admit(conversation)

    def forget(self, conversation: Conversation) -> None:
        """Discard a conversation, so that the next user queries the database."""
        with self._guard:
            conversation.dead = True
            if self._known.get(conversation.thread_id) is conversation:
                self._evict(conversation.thread_id)

    def forget_threads(self, which: Callable[[str], bool]) -> None:
        """Discard the conversations of some threads."""
        with self._guard:
            for thread_id in [known for known in self._known if which(known)]:
                self._evict(thread_id)

    def used(self, conversation: Conversation) -> None:
        """Mark a conversation as used, update its size, and evict others above the limit."""
        with self._guard:
            if self._known.get(conversation.thread_id) is not conversation:
                return
            self._total += conversation.size - conversation.counted
            conversation.counted = conversation.size
            if self._total > self._limit:
                self._trim()

    def trim(self) -> None:
        """Evict the least recently used conversations above the limit, except those with jobs in line."""
        with self._guard:
            for conversation in self._known.values():
                self._total += conversation.size - conversation.counted
                conversation.counted = conversation.size
            self._trim()

    def _trim(self) -> None:
        """Keep the most recently used one, whatever its size, because its next step would read it again."""
        left, going = self._total, []
        latest = next(reversed(self._known), None)
        for thread_id, conversation in self._known.items():
            if left <= self._limit or thread_id == latest:
                break
            if not conversation.in_line:
                going.append(thread_id)
                left -= conversation.counted
        for thread_id in going:
            self._evict(thread_id)

    def _admit(self, conversation: Conversation) -> None:
        if conversation.thread_id in self._known:
            self._evict(conversation.thread_id)
        conversation.counted = conversation.size
        self._total += conversation.counted
        self._known[conversation.thread_id] = conversation

    def _evict(self, thread_id: str) -> None:
        conversation = self._known.pop(thread_id)
        conversation.dead = True
        self._total -= conversation.counted
