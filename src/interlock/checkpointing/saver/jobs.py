"""The jobs of `put` and `put_writes`: encode the values, then run the statements in the given transaction."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    EXCLUDED_METADATA_KEYS,
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
)
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from ...tools.canonical import json_writer
from ...tools.errors import ConflictError, InputError
from ...tools.storable import storable_text
from .encoding import body
from .encoding.messages import Message
from .encoding.plain import Encoded
from .encoding.sealing import Sealing, checkpoint_place, message_place, value_place, writes_place
from .encoding.separation import Encoder
from .keys import Place
from .looking.indexes import check_indexable
from .memory import Conversation
from .protocols import Home, Waiter

INLINE_BYTES = 256
"""Values up to this size are copied into each checkpoint; larger ones have a separate row, stored once."""
FEW = 10
"""Up to this number, messages are inserted one by one, because psycopg logs a warning when one of `executemany` fails."""
INPUT = "__start__"
_ENDS = frozenset({ERROR, INTERRUPT})
ORDINARY = 0
"""The part with the ordinary writes of a task."""


Versioned = tuple[Any, Encoded | int]
"""The version of a channel, and its stored value or the id of the value's row."""


class PositionsTaken(Exception):  # noqa: N818 -- never leaves the checkpointer
    """The cache of the conversation is stale: another process wrote, erased or removed messages."""


class Job:
    """One write. If `execute` raises `PositionsTaken`, `prepare` runs again with a fresh cache."""

    conversation: Conversation
    joined_with: Conversation
    """The conversation with which it joined the line; it may be prepared again with a newer one."""
    waiter: Waiter
    new: list[Message]
    claimed: list[Message]
    """Stored messages whose name changes: they got an id, stay without one, or are stored again."""
    refers: bool
    may_wait = False
    """Whether the job may wait briefly for another job, to share its commit."""
    urgent: bool
    """Whether it has to be committed now."""

    def __init__(self, storage: Home, place: Place, sealing: Sealing) -> None:
        self.storage = storage
        self.place = place
        self.thread_id = place.thread_id
        self.key = place.thread_id, place.namespace_key
        """The keys of the thread and namespace in their row."""
        self.sealing = sealing
        self.urgent = False
        self.error: BaseException | None = None
        self._taken: tuple[Conversation, dict[Any, Encoded]] | None = None

    def mark_stored(self) -> None:
        """Record the commit: the cached messages are now in the database."""
        if self.new:
            self.conversation.stored = self.new[-1].position + 1

    def is_ready(self, conversation: Conversation) -> bool:  # noqa: ARG002 -- for those that do
        """Whether `prepare` needs no query. The caller holds the conversation's lock."""
        return True

    def take(self) -> None:
        """Encode the values before any wait, because the caller may change them afterwards.

        LangGraph continues while its input is being stored, and reducers assign ids to its messages. The stored form is that of the put.
        """
        if self._taken is None:
            conversation = Conversation(self.place.thread_id)
            encoder = Encoder(conversation, self.sealing, self.place.namespace)
            values = {key: encoder.encode(value, name, aside=aside) for key, name, value, aside in self.new_values()}
            self._taken = conversation, values

    def new_values(self) -> Iterator[tuple[Any, str, Any, bool]]:
        """The values to encode: key, channel, value, and whether the value has not reached its channel yet."""
        raise NotImplementedError

    def encoded(self, encoder: Encoder, key: Any, channel: str, value: Any, *, aside: bool) -> Encoded:
        """The stored form of a value at the time of the put."""
        if self._taken is not None and key in self._taken[1]:
            conversation, values = self._taken
            return encoder.again(values[key], conversation.messages, aside=aside)
        return encoder.encode(value, channel, aside=aside)

    def prepare(self, conversation: Conversation) -> None:
        """Encode the values. The caller holds the conversation's lock."""
        raise NotImplementedError

    def execute(self, cursor: Any) -> None:
        """Run the statements for the workflow tables, in the caller's transaction."""
        raise NotImplementedError

    def message_rows(self) -> list[tuple[Any, ...]]:
        """The rows of the new messages: position, message_id, role, kind, body."""
        rows, sealing = [], self.sealing
        for message in self.new:
            kind, data = message.kind, message.body
            if not sealing.plain:
                sealed, data = sealing.seal(data, message_place(self.thread_id, message.position))
                kind = kind if sealed == "bytes" else f"{kind}|{sealed}"
            rows.append((message.position, message.name, message.role[:32].replace("\0", ""), kind, data))
        return rows

    def store_messages(self, cursor: Any) -> None:
        """Run the statements for the conversation tables.

        Raises:
            PositionsTaken: Prepare again.
        """
        if not self.refers:
            return
        conversation, statements = self.conversation, self.storage.conversation_statements
        if conversation.dead:
            raise PositionsTaken
        if conversation.id is None:
            cursor.execute(statements.add_conversation, (conversation.thread_id, 0, microseconds()))
            cursor.execute(statements.find_conversation, (conversation.thread_id,))
            found, epoch, following = cursor.fetchone()
            if (epoch, following) != (conversation.epoch, 0):
                raise PositionsTaken
            conversation.id = found
        else:
            cursor.execute(statements.epoch, (conversation.id,))
            found = cursor.fetchone()
            if found is None or found[0] != conversation.epoch:
                raise PositionsTaken
        for message in self.claimed:
            cursor.execute(statements.name_message, (message.name, conversation.id, message.position, message.name))
        if self.new:
            now = microseconds()
            rows = [(conversation.id, *row, now) for row in self.message_rows()]
            try:
                if len(rows) > FEW:
                    cursor.executemany(statements.add_message, rows)
                else:
                    for row in rows:
                        cursor.execute(statements.add_message, row)
            except self.storage.conversation_integrity_error as error:
                raise PositionsTaken from error


class PutJob(Job):
    """One checkpoint."""

    def __init__(  # noqa: PLR0917 -- in LangGraph's order
        self,
        storage: Home,
        place: Place,
        sealing: Sealing,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        *,
        fenced: bool,
    ) -> None:
        super().__init__(storage, place, sealing)
        self._checkpoint = checkpoint
        self.checkpoint_id: str = checkpoint["id"]
        self._new_versions = new_versions
        described = describe(config, metadata)
        try:
            self._metadata = _to_json(described)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"The metadata of a checkpoint cannot be stored as JSON: {storable_text(error)}. Nothing was written. "
                "Put strings, numbers, booleans, lists and dictionaries into the metadata of the config, and nothing else."
            ) from error
        if storage.metadata_keys:
            check_indexable(described)
        run_id = described.get("run_id")
        self._run_id = run_id if isinstance(run_id, str) and len(run_id) <= 255 else None
        # Manual updates and forks may branch, and so may inputs of subgraphs during a replay of the parent. Without a parent
        # checkpoint, only step -1 certainly is the start of a thread.
        source, root = metadata.get("source"), not place.namespace
        follows = place.checkpoint_id is not None and (source == "loop" or (source == "input" and root))
        self.fenced = fenced and (follows or (place.checkpoint_id is None and metadata.get("step") == -1 and root))

    def is_ready(self, conversation: Conversation) -> bool:
        """Whether the stored forms of all unchanged values are cached."""
        known = conversation.channels.get(self.place.namespace, {})
        versions, values = self._checkpoint["channel_versions"], self._checkpoint["channel_values"]
        return all(
            _of_version(known, channel, version) is not None
            for channel, version in versions.items()
            if channel in values and channel not in self._new_versions
        )

    def new_values(self) -> Iterator[tuple[Any, str, Any, bool]]:
        """The channels that changed."""
        values = self._checkpoint["channel_values"]
        for channel in self._checkpoint["channel_versions"]:
            if channel in values and channel in self._new_versions:
                yield channel, channel, values[channel], channel == INPUT

    def prepare(self, conversation: Conversation) -> None:
        """Encode the new values and the header."""
        self.conversation = conversation
        made: dict[Any, Encoded] = {}
        encoder = Encoder(conversation, self.sealing, self.place.namespace)
        checkpoint = self._checkpoint
        versions, values = checkpoint["channel_versions"], checkpoint["channel_values"]
        known = conversation.channels.get(self.place.namespace, {})
        parent: Mapping[str, Versioned] | None = None
        is_first = self._taken is None
        stored: dict[str, Versioned] = {}
        self._outside: list[tuple[int, str, Any, Encoded]] = []
        for channel, version in versions.items():
            if channel not in values:
                continue
            if channel not in self._new_versions:
                before = known.get(channel)
                if before is None or before[0] != version:
                    # Use the parent's stored form instead of encoding again: one of its messages may have been erased meanwhile.
                    if parent is None:
                        parent = self.storage.stored_values(self.place, self.sealing)
                    before = _of_version(parent, channel, version)
                if before is not None:
                    stored[channel] = before
                    continue
            if is_first:
                encoded = encoder.encode(values[channel], channel, aside=channel == INPUT)
            else:
                encoded = self.encoded(encoder, channel, channel, values[channel], aside=channel == INPUT)
            made[channel] = encoded
            if len(encoded[2]) <= INLINE_BYTES:
                stored[channel] = (version, encoded)
            else:
                value_id = _value_id(channel, version)
                stored[channel] = (version, value_id)
                self._outside.append((value_id, channel, version, encoded))
        forms = {channel: value for channel, (_, value) in stored.items()}
        self._body = body.pack(checkpoint, forms, encoder.encode)
        ids = [value for value in forms.values() if type(value) is int]
        self.refers = encoder.refers or (
            conversation.id is not None
            and (bool(ids) or any(form[0] for form in forms.values() if type(form) is tuple))
        )
        self.new, self.claimed = encoder.new, encoder.claimed
        self._outside_ids = _to_json(ids) if ids else None
        self._taken = conversation, made
        conversation.hold(self.place.namespace, stored, encoder.lists, length=len(self._body))

    def value_rows(self) -> list[tuple[Any, ...]]:
        """The rows of the new large values: value_id, channel, version, kind, body."""
        rows = []
        for value_id, channel, version, encoded in self._outside:
            place = value_place(*self.key, value_id)
            rows.append((value_id, channel, str(version), *self.sealing.seal(body.pack_value(encoded), place)))
        return rows

    def checkpoint_row(self) -> tuple[Any, ...]:
        """The row of the checkpoint, without its first column, the thread's number."""
        kind, data = "bytes", self._body
        if not self.sealing.plain:
            kind, data = self.sealing.seal(data, checkpoint_place(*self.key, self.checkpoint_id))
        return (
            self.checkpoint_id,
            self.place.checkpoint_id,
            kind,
            data,
            self._metadata,
            self._run_id,
            self._outside_ids,
        )

    def execute(self, cursor: Any) -> None:
        """Move the head, then write the checkpoint and its large values."""
        statements = self.storage.statements
        thread = self.storage.advance(cursor, self.place, self.checkpoint_id, fenced=self.fenced)
        for row in self.value_rows():
            cursor.execute(statements.put_value, (thread, *row))
        cursor.execute(statements.put_checkpoint, (thread, *self.checkpoint_row()))


class WritesJob(Job):
    """The writes of one task."""

    may_wait = True

    def __init__(  # noqa: PLR0917 -- in LangGraph's order
        self,
        storage: Home,
        place: Place,
        sealing: Sealing,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> None:
        super().__init__(storage, place, sealing)
        self._writes = writes
        if not _ENDS.isdisjoint([channel for channel, _ in writes]):
            self.may_wait = False  # no checkpoint follows whose commit it could share
        self._task_id = task_id
        self._task_path = task_path

    def new_values(self) -> Iterator[tuple[Any, str, Any, bool]]:
        """Every write."""
        for index, (channel, value) in enumerate(self._writes):
            yield index, channel, value, True

    def prepare(self, conversation: Conversation) -> None:
        """Encode every write, the ordinary ones into one part."""
        self.conversation = conversation
        encoder = Encoder(conversation, self.sealing, self.place.namespace)
        self.replaces = True
        parts: dict[int, dict[int, tuple[str, Encoded]]] = {}
        made: dict[Any, Encoded] = {}
        is_first = self._taken is None
        for index, (channel, value) in enumerate(self._writes):
            number = WRITES_IDX_MAP.get(channel)
            if number is None:
                self.replaces, number, at = False, index, ORDINARY
            else:
                at = min(number, ORDINARY)
            encoded = made[index] = (
                encoder.encode(value, channel, aside=True)
                if is_first
                else self.encoded(encoder, index, channel, value, aside=True)
            )
            if at in parts:
                parts[at][number] = channel, encoded
            else:
                parts[at] = {number: (channel, encoded)}
        self._parts = parts
        self._taken = conversation, made
        self.refers = encoder.refers
        self.new, self.claimed = encoder.new, encoder.claimed

    @property
    def has_one_part(self) -> bool:
        """Whether it is only an ordinary part, the usual case; special channels have several parts, or replace stored ones."""
        return not self.replaces and len(self._parts) == 1

    @property
    def is_one_row(self) -> bool:
        """Whether it is one part: ordinary writes, or special ones that replace stored ones."""
        return len(self._parts) == 1

    def part_rows(self) -> list[tuple[Any, ...]]:
        """The rows of the parts, without the thread's number: checkpoint_id, task_id, part, task_path, kind, body."""
        return [
            (self.place.checkpoint_id, self._task_id, part, self._task_path, *self._sealed(part, content))
            for part, content in self._parts.items()
        ]

    def _sealed(self, part: int, content: Mapping[int, tuple[str, Encoded]]) -> tuple[str, bytes]:
        data = body.pack_part(content)
        return ("bytes", data) if self.sealing.plain else self.sealing.seal(data, self._place_of(part))

    def _place_of(self, part: int) -> tuple[Any, ...]:
        return writes_place(*self.key, self.place.checkpoint_id or "", self._task_id, part)

    def execute(self, cursor: Any) -> None:
        """Insert missing parts, and replace those that LangGraph replaces."""
        statements = self.storage.statements
        thread = self.storage.thread_for_writes(cursor, self.place)
        statement = statements.put_writes if self.replaces else statements.add_writes
        for row in self.part_rows():
            cursor.execute(statement, (thread, *row))
            if row[2] == ORDINARY and cursor.rowcount == 0:
                self._merge(cursor, (thread, *row), self._parts[ORDINARY])

    def _merge(self, cursor: Any, row: tuple[Any, ...], content: Mapping[int, tuple[str, Encoded]]) -> None:
        """Add the missing writes of a task that has written before; stored ones stay."""
        cursor.execute(self.storage.statements.one_part, row[:4])
        kind, data = cursor.fetchone()
        there = body.unpack_part(self.sealing.unseal(kind, data, self._place_of(ORDINARY)))
        if missing := {index: write for index, write in content.items() if index not in there}:
            kind, data = self._sealed(ORDINARY, {**there, **missing})
            cursor.execute(self.storage.statements.put_writes, (*row[:5], kind, data))


def describe(config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
    """The metadata of a checkpoint with what the config adds: LangGraph's `get_serializable_checkpoint_metadata`, faster."""
    described: dict[str, Any] = {**metadata}
    for key, value in described.items():
        if type(value) is not int and isinstance(value, str) and "\0" in value:
            described[key] = value.replace("\0", "")
    for more in (config.get("metadata"), config.get("configurable")):
        if more is None:
            continue
        for key in more:
            if key[:2] == "__" or key in EXCLUDED_METADATA_KEYS or key in described:
                continue
            value = more[key]
            if isinstance(value, str):
                described[key] = value.replace("\0", "") if "\0" in value else value
            elif isinstance(value, (int, float)):
                described[key] = value
    described.pop("writes", None)
    return described


def microseconds() -> int:
    """Now."""
    return time.time_ns() // 1000


_to_json = json_writer(separators=(",", ":"))


def late(place: Place) -> ConflictError:
    """The error for a write to a deleted thread."""
    return ConflictError(
        f"The thread {place.thread_id!r} was deleted during this run. Nothing of this step was written, so the "
        "thread stays deleted. Start a new run on it, or stop this one.",
        code="thread_deleted",
        retryable=False,
        details={"threadId": place.thread_id},
    )


def _of_version(values: Mapping[str, Versioned], channel: str, version: Any) -> Versioned | None:
    """The stored value of a channel, if it has this version."""
    found = values.get(channel)
    return found if found is not None and found[0] == version else None


def _value_id(channel: str, version: Any) -> int:
    digest = hashlib.blake2b(f"{channel}\0{version!r}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
