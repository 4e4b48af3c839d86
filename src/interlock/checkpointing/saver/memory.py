"""What is remembered of a conversation between two steps, so that unchanged messages cost nothing.

It is only ever a memory: positions are taken for good when the transaction commits, whoever fails forgets, and the epoch
in the database says whether somebody else erased or removed something since.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from .encoding.lists import StoredList
from .encoding.messages import Message

CACHE_BYTES = 128 * 1024 * 1024


class Conversation:
    """The messages of one thread that are known here.

    `lock` is held while values are encoded and stand in line: the order of positions is the order of commits. The positions from
    `stored` up to `next` are of messages that are on their way. `in_line` counts its jobs that are under way.
    """

    __slots__ = (
        "by_digest",
        "by_id",
        "channels",
        "dead",
        "epoch",
        "erased_ids",
        "id",
        "impatient",
        "in_line",
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
        """The line of its thread; None until something of it waits."""
        self.in_line = 0
        self.id: int | None = None
        self.epoch = 0
        self.next = 0
        self.stored = 0
        self.opened = False
        self.dead = False
        self.size = 0
        self.impatient = 0
        self.messages: dict[int, Message] = {}
        self.by_id: dict[str, Message] = {}
        self.by_digest: dict[bytes, Message] = {}
        self.erased_ids: dict[str, Message] = {}
        self.lists: dict[tuple[str, str], StoredList] = {}
        self.channels: dict[str, dict[str, Any]] = {}

    def learn(self, message: Message, *, erased: bool = False) -> Message:
        """Remember a message that is stored, or about to be."""
        known = self.messages.get(message.position)
        if known is not None:
            return known
        self.messages[message.position] = message
        if message.message_id is None:
            self.by_digest[digest(message.kind, message.body)] = message
        else:
            self.learn_id(message, message.message_id)
            if erased:
                self.erased_ids[message.message_id] = message
        self.size += len(message.body) + 400
        return message

    def claim(self, message: Message, message_id: str) -> None:
        """A message that was stored without an id has one now, where it stands in a list: nobody else without one is the same."""
        key = digest(message.kind, message.body)
        if self.by_digest.get(key) is message:
            del self.by_digest[key]
        message.claim(message_id)
        self.learn_id(message, message_id)

    def learn_id(self, message: Message, message_id: str) -> None:
        """Remember the latest message with an id."""
        latest = self.by_id.get(message_id)
        if latest is None or latest.position < message.position:
            self.by_id[message_id] = message


def digest(kind: str, body: bytes) -> bytes:
    """What a message without an id is recognised by."""
    return blake2b(body, digest_size=16, person=kind[:16].encode()).digest()


class Memory:
    """The conversations that are remembered, the latest used last, bounded by bytes."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._known: OrderedDict[str, Conversation] = OrderedDict()
        self._used = 0

    def of(self, thread_id: str) -> Conversation:
        """The conversation of a thread, perhaps not opened yet."""
        with self._guard:
            conversation = self._known.get(thread_id)
            if conversation is None or conversation.dead:
                conversation = self._known[thread_id] = Conversation(thread_id)
            else:
                self._known.move_to_end(thread_id)
            return conversation

    def replace(self, conversation: Conversation) -> None:
        """From now on this is what is known of its thread."""
        with self._guard:
            known = self._known.pop(conversation.thread_id, None)
            if known is not None:
                known.dead = True
            self._known[conversation.thread_id] = conversation

    def forget(self, conversation: Conversation) -> None:
        """Believe nothing of it any more; whoever comes next asks the database."""
        with self._guard:
            conversation.dead = True
            if self._known.get(conversation.thread_id) is conversation:
                del self._known[conversation.thread_id]

    def forget_threads(self, which: Callable[[str], bool]) -> None:
        """Forget every conversation whose thread is meant."""
        with self._guard:
            for thread_id in [known for known in self._known if which(known)]:
                self._known.pop(thread_id).dead = True

    def used(self) -> None:
        """Something was stored: from time to time, see that there is not too much."""
        self._used += 1
        if self._used >= max(64, len(self._known) // 8):  # it costs as much as there are conversations
            self._used = 0
            self.trim()

    def trim(self) -> None:
        """Forget the conversations that were not used for longest, as long as there is too much; not those of which something is in line."""
        with self._guard:
            total = sum(conversation.size for conversation in self._known.values())
            if total <= self._limit:
                return
            for thread_id, conversation in list(self._known.items())[:-1]:
                if total <= self._limit:
                    return
                if not conversation.in_line:
                    del self._known[thread_id]
                    conversation.dead = True
                    total -= conversation.size
