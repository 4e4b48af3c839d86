"""What is remembered of a conversation between two steps, so that unchanged messages cost nothing.

It is only ever a memory: positions are taken permanently when the transaction commits, whoever fails forgets, and the epoch
in the database says whether somebody else erased or removed something since.
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
"""Of so many namespaces of a thread it is remembered what their newest checkpoints have: each run of a subgraph has one of its own."""
# What Python needs for each, measured: an empty conversation, a message beside its bytes (which are there twice once it was compared),
# a channel beside the bytes of its value, a list of messages, and one message in it.
_CONVERSATION, _MESSAGE, _CHANNEL, _LIST, _IN_LIST = 2_000, 1_000, 400, 500, 32


class Conversation:
    """The messages of one thread that are known here.

    `lock` is held while values are encoded and are in line: the order of positions is the order of commits. The positions from
    `stored` up to `next` are of messages that are on their way. `in_line` counts its jobs that are in progress, `left` those that were.
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
        """The line of its thread; None until something of it waits."""
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
        """What the values in `channels` count for, by namespace."""

    def learn(self, message: Message) -> None:
        """Remember a message that is about to be stored, where nothing is known of its position."""
        if message.position not in self.messages:
            self.add(message)

    def add(self, message: Message, *, erased: bool = False) -> None:
        """Remember a message of which nothing is known yet."""
        self.messages[message.position] = message
        if message.message_id is not None:
            self.learn_id(message, message.message_id)
            if erased:
                self.erased_ids[message.message_id] = message
        elif not message.superseded:  # else whatever is the same has an id, or is another message
            self.by_digest[digest(message.kind, message.body)] = message
        self.size += 2 * len(message.body) + _MESSAGE

    def add_all(self, messages: Sequence[Message]) -> None:
        """Remember messages with ids, of which nothing is known yet: those of a long history with few calls for each."""
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
    ) -> None:
        """Remember the stored values of a namespace's newest checkpoint, and its lists. Namespaces that were not used for longest go."""
        before = self.channels.pop(namespace, None)
        if before is not None and before == channels:  # as after a load of what was put here: it is counted already
            channels = before
        else:
            size = _size_of(channels)
            self.size += size - self._sizes.get(namespace, 0)
            self._sizes[namespace] = size
        self.channels[namespace] = channels  # as the last of them
        for slot, stored in lists.items():
            known = self.lists.get(slot)
            self.size += len(stored.messages) * _IN_LIST + _LIST
            if known is not None:
                self.size -= len(known.messages) * _IN_LIST + _LIST
            self.lists[slot] = stored
        while len(self.channels) > NAMESPACES:
            self._let_go(next(iter(self.channels)))

    def _let_go(self, namespace: str) -> None:
        del self.channels[namespace]
        self.size -= self._sizes.pop(namespace)
        for slot in [slot for slot in self.lists if slot[0] == namespace]:
            self.size -= len(self.lists.pop(slot).messages) * _IN_LIST + _LIST

    def claim(self, message: Message, message_id: str) -> None:
        """A message that was stored without an id has one now. Its position in a list tells which it is: nobody else without one is the same."""
        self._no_longer_nameless(message)
        message.claim(message_id)
        self.learn_id(message, message_id)

    def supersede(self, message: Message) -> None:
        """A message that was stored without an id is stored again with one."""
        self._no_longer_nameless(message)
        message.claimable, message.superseded = False, True

    def learn_again(self, message: Message, name: str | None) -> None:
        """What became of a message that was read without an id."""
        if name == SUPERSEDED:
            self.supersede(message)
        elif name:
            self.claim(message, name)
        elif name is None:
            message.claimable = False

    def _no_longer_nameless(self, message: Message) -> None:
        key = digest(message.kind, message.body)
        if self.by_digest.get(key) is message:
            del self.by_digest[key]

    def learn_id(self, message: Message, message_id: str) -> None:
        """Remember the latest message with an id."""
        latest = self.by_id.get(message_id)
        if latest is None or latest.position < message.position:
            self.by_id[message_id] = message


def _size_of(channels: dict[str, tuple[Any, Any]]) -> int:
    size = len(channels) * _CHANNEL
    for _, value in channels.values():
        if type(value) is not int:
            size += len(value[2])
    return size


def digest(kind: str, body: bytes) -> bytes:
    """What a message without an id is recognised by."""
    return blake2b(body, digest_size=16, person=kind[:16].encode()).digest()


class Memory:
    """The conversations that are remembered, the latest used last, bounded by the bytes of all that is remembered of them."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._known: OrderedDict[str, Conversation] = OrderedDict()
        self._total = 0

    @property
    def size(self) -> int:
        """The bytes that are remembered, as they are counted."""
        return self._total

    def of(self, thread_id: str) -> Conversation:
        """The conversation of a thread, perhaps not opened yet."""
        with self._guard:
            conversation = self._known.get(thread_id)
            if conversation is None or conversation.dead:
                conversation = Conversation(thread_id)
                self._let_in(conversation)
            else:
                self._known.move_to_end(thread_id)
            return conversation

    def known(self, thread_id: str) -> Conversation | None:
        """What is remembered of a thread, if anything; that it was asked for counts for nothing."""
        return self._known.get(thread_id)

    def replace(self, conversation: Conversation) -> None:
        """From now on this is what is known of its thread."""
        with self._guard:
            self._let_in(conversation)

    def forget(self, conversation: Conversation) -> None:
        """Believe nothing of it any more; whoever comes next asks the database."""
        with self._guard:
            conversation.dead = True
            if self._known.get(conversation.thread_id) is conversation:
                self._let_go(conversation.thread_id)

    def forget_threads(self, which: Callable[[str], bool]) -> None:
        """Forget every conversation whose thread is meant."""
        with self._guard:
            for thread_id in [known for known in self._known if which(known)]:
                self._let_go(thread_id)

    def used(self, conversation: Conversation) -> None:
        """Something of it was read or stored: count what it has now, and see that there is not too much of all together."""
        with self._guard:
            if self._known.get(conversation.thread_id) is not conversation:
                return
            self._total += conversation.size - conversation.counted
            conversation.counted = conversation.size
            if self._total > self._limit:
                self._trim()

    def trim(self) -> None:
        """Forget the conversations that were not used for longest, as long as there is too much; not those of which something is in line."""
        with self._guard:
            for conversation in self._known.values():
                self._total += conversation.size - conversation.counted
                conversation.counted = conversation.size
            self._trim()

    def _trim(self) -> None:
        """The latest stays, however large it is: it would be read again at its next step."""
        left, going = self._total, []
        latest = next(reversed(self._known), None)
        for thread_id, conversation in self._known.items():
            if left <= self._limit or thread_id == latest:
                break
            if not conversation.in_line:
                going.append(thread_id)
                left -= conversation.counted
        for thread_id in going:
            self._let_go(thread_id)

    def _let_in(self, conversation: Conversation) -> None:
        if conversation.thread_id in self._known:
            self._let_go(conversation.thread_id)
        conversation.counted = conversation.size
        self._total += conversation.counted
        self._known[conversation.thread_id] = conversation

    def _let_go(self, thread_id: str) -> None:
        conversation = self._known.pop(thread_id)
        conversation.dead = True
        self._total -= conversation.counted
