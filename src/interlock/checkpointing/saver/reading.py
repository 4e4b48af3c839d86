"""Reads checkpoints for LangGraph: rows, messages, and the values built from both."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, PendingWrite, writes_sort_key

from ...tools.errors import StoreError, StoreUnavailable
from .damage import damaged, damaged_at, parsed
from .encoding import body
from .encoding.lists import StoredList
from .encoding.messages import Message
from .encoding.msgpack_tree import positions
from .encoding.plain import Encoded
from .encoding.sealing import Sealing, checkpoint_place, value_place, writes_place
from .encoding.separation import Decoder, needed
from .keys import Place
from .loading import load
from .memory import Conversation
from .storage import Storage

LOOKING = "__interlock_looking"
"""Key of a config for readers that will not continue from the checkpoint, so that the fence is unchanged."""

ATTEMPTS = 3
MISSING_MESSAGES, MISSING_VALUE = "missing_messages", "missing_value"
_is_foreign = attrgetter("foreign")
Found = tuple[int, int, int] | None
"""The id, epoch and next position of a conversation, read together with a checkpoint."""


class Row(NamedTuple):
    """A row of `workflow_checkpoints`."""

    thread: int
    checkpoint_id: str
    parent_id: str | None
    kind: str
    body: bytes
    metadata: str
    outside: str | None


class Stored(NamedTuple):
    """A stored checkpoint, unsealed, without messages."""

    row: Row
    header: dict[str, Any]
    values: dict[str, Encoded | int]
    extras: dict[str, Any]
    outside: dict[int, Encoded]
    writes: list[tuple[str, str, Encoded]]

    def encoded(self) -> list[Encoded]:
        """Everything that may refer to messages."""
        return [
            *[value for value in self.values.values() if not isinstance(value, int)],
            *[encoded(value) for value in self.extras.values() if is_encoded(value)],
            *self.outside.values(),
            *[value for _, _, value in self.writes],
        ]


def is_encoded(extra: Any) -> bool:
    """Whether an extra is an encoded value; the others are empty."""
    return bool(extra)


def encoded(extra: Any) -> Encoded:
    """Convert an extra back to a tuple, because msgpack unpacks tuples as lists."""
    form, typ, data = extra
    return form, typ, data


def get_tuple(
    storage: Storage, place: Place, sealing: Sealing, config: RunnableConfig, *, behind: bool = False
) -> CheckpointTuple | None:
    """Read the checkpoint at a place, or the newest one; with `behind`, after this process's jobs in line."""
    storage.ready()
    if behind:
        storage.finish(place.thread_id)
    if place.checkpoint_id is not None and not config.get("configurable", {}).get(LOOKING):
        storage.asked_for(place)
    for attempt in range(1, ATTEMPTS + 1):
        found = _read(storage, place, sealing)
        if found is None:
            return None
        stored, conversation = found
        remember = place.checkpoint_id is None
        try:
            return _build(storage, place, sealing, stored, remember=remember, config=config, found=conversation)
        except StoreError as error:
            # The messages are read after the checkpoint, so the thread may have been deleted or recreated in between.
            if error.code != MISSING_MESSAGES or attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _read(storage: Storage, place: Place, sealing: Sealing) -> "tuple[Stored, Found] | None":
    if storage.loads_at_once:
        try:
            return _in_one_statement(storage, place, sealing)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if "threadId" in error.details:
                raise
            # The database could not parse a column in the statement; reading row by row identifies the row.
    return _in_several(storage, place, sealing)


def is_there(storage: Storage, place: Place) -> bool:
    """Whether a checkpoint exists at a place."""
    with storage.database.raw_query() as cursor:
        cursor.execute(storage.statements.exactly, (place.thread_id, place.namespace_key, place.checkpoint_id))
        return cursor.fetchone() is not None


def _in_several(storage: Storage, place: Place, sealing: Sealing) -> tuple[Stored, Found] | None:
    statements = storage.statements
    with storage.database.raw_read() as cursor:
        if place.checkpoint_id is None:
            cursor.execute(statements.latest, (place.thread_id, place.namespace_key))
        else:
            cursor.execute(statements.exactly, (place.thread_id, place.namespace_key, place.checkpoint_id))
        row = cursor.fetchone()
        if row is None:
            return None
        stored = _open(storage, cursor, Row(*row), place, sealing)
        if not storage.together:
            return stored, None
        cursor.execute(storage.conversation_statements.find_conversation, (place.thread_id,))
        return stored, cursor.fetchone()


def _in_one_statement(storage: Storage, place: Place, sealing: Sealing) -> tuple[Stored, Found] | None:
    row, write_rows, outside, conversation = load(storage, place)
    if row is None:
        return None
    checkpoint = Row(*row)
    there = {value_id for value_id, *_ in outside}
    for value_id in outside_ids(checkpoint, place):
        if value_id not in there:
            raise _gone(value_id, place, checkpoint.checkpoint_id)
    return open_row(checkpoint, write_rows, outside, place, sealing), conversation


def _open(storage: Storage, cursor: Any, row: Row, place: Place, sealing: Sealing) -> Stored:
    cursor.execute(storage.statements.writes_of, (row.thread, row.checkpoint_id))
    write_rows = cursor.fetchall()
    outside = []
    for value_id in outside_ids(row, place):
        cursor.execute(storage.statements.value, (row.thread, value_id))
        found = cursor.fetchone()
        outside.append(value_id if found is None else (value_id, *found))
    return open_row(row, write_rows, outside, place, sealing)


def outside_ids(row: Row, place: Place) -> list[int]:
    """The ids of the large values of a checkpoint."""
    if not row.outside:
        return []
    ids: list[int] = parsed(row.outside, "list of large values", place, row.checkpoint_id, list)
    return ids


def open_row(row: Row, write_rows: Iterable[Any], outside: Iterable[Any], place: Place, sealing: Sealing) -> Stored:
    """Unseal a checkpoint with its pending writes and large values.

    Args:
        row: The checkpoint.
        write_rows: Its pending writes, as returned by `writes_of`.
        outside: Its large values as id, kind and body; only the id if the row is missing.
        place: Its place.
        sealing: Reads it.

    Raises:
        StoreError: One of the rows cannot be read; the error names it.
    """
    thread_id, namespace_key = place.thread_id, place.namespace_key
    try:
        where = checkpoint_place(thread_id, namespace_key, row.checkpoint_id)
        header, values, extras = body.unpack(sealing.unseal(row.kind, row.body, where), row.checkpoint_id)
    except Exception as error:
        here = place._replace(checkpoint_id=row.checkpoint_id)
        raise damaged_at(error, "body of a checkpoint", here) from error
    large: dict[int, Encoded] = {}
    for found in outside:
        if isinstance(found, int):
            raise _gone(found, place, row.checkpoint_id)
        value_id, kind, data = found
        try:
            opened = sealing.unseal(kind, data, value_place(thread_id, namespace_key, value_id))
            large[value_id] = body.unpack_value(opened)
        except Exception as error:
            channel = next((name for name, value in values.items() if value == value_id), None)
            here = place._replace(checkpoint_id=row.checkpoint_id)
            raise damaged_at(error, "value of a channel", here, valueId=value_id, channel=channel) from error
    return Stored(row, header, values, extras, large, open_writes(write_rows, place, row.checkpoint_id, sealing))


def open_writes(
    rows: Iterable[Any], place: Place, checkpoint_id: str, sealing: Sealing
) -> list[tuple[str, str, Encoded]]:
    """Pending writes as (task_id, channel, value), in LangGraph's order, from rows of `writes_of`."""
    found = []
    for task_id, part, task_path, kind, data in rows:
        where = writes_place(place.thread_id, place.namespace_key, checkpoint_id, task_id, part)
        try:
            for index, (channel, encoded) in body.unpack_part(sealing.unseal(kind, data, where)).items():
                found.append((writes_sort_key(task_path, task_id, index), task_id, channel, encoded))
        except Exception as error:
            here = place._replace(checkpoint_id=checkpoint_id)
            raise damaged_at(error, "pending writes of a task", here, taskId=task_id, part=part) from error
    found.sort(key=lambda write: write[0])
    return [write[1:] for write in found]


def messages_for(
    storage: Storage, thread_id: str, values: Iterable[Encoded], sealing: Sealing, found: Found = None
) -> tuple[Conversation | None, dict[int, Message]]:
    """The current messages that stored values refer to.

    Args:
        storage: The databases.
        thread_id: The thread.
        values: The values that refer to messages.
        sealing: Reads the messages.
        found: The current row of the conversation, if known; otherwise it is queried, because messages may have been erased.
    """
    ranges = needed(values)
    if not ranges:
        return None, {}
    wanted = positions(ranges)
    statements = storage.conversation_statements
    if found is None:
        with storage.conversation_database.raw_query() as cursor:
            cursor.execute(statements.find_conversation, (thread_id,))
            found = cursor.fetchone()
    if found is None:
        raise _lost(thread_id)
    while True:
        conversation = storage.memory.of(thread_id)
        with conversation.lock:
            if conversation.dead:
                continue
            if not conversation.opened:
                storage.open_conversation(conversation, sealing, whole=False, found=found)
            elif conversation.id is None or found[:2] > (conversation.id, conversation.epoch):
                # Messages were erased; if the cached epoch is the higher one, the cache is newer than the read.
                storage.memory.forget(conversation)
                continue
            if found[2] > conversation.stored:
                if conversation.next > conversation.stored:
                    # Another process took positions that this process assigned to uncommitted messages.
                    storage.memory.forget(conversation)
                    continue
                conversation.next = conversation.stored = found[2]
            known = conversation.messages
            if (all_of_them := _known(known, wanted)) is not None and not any(map(_is_foreign, all_of_them.values())):
                return conversation, all_of_them
            missing = [position for position in wanted if position not in known or known[position].foreign]
            with storage.conversation_database.raw_query() as cursor:
                cursor.execute(statements.messages_between, (conversation.id, min(missing), max(missing)))
                storage.learn(conversation, cursor.fetchall(), sealing)
            if (all_of_them := _known(known, wanted)) is None:
                storage.memory.forget(conversation)
                raise _lost(thread_id)
            return conversation, all_of_them


def _known(messages: Mapping[int, Message], wanted: list[int]) -> dict[int, Message] | None:
    """The cached messages at positions, or None if one is missing; one loop in C for long histories."""
    try:
        return dict(zip(wanted, map(messages.__getitem__, wanted), strict=True))
    except KeyError:
        return None


def _build(
    storage: Storage,
    place: Place,
    sealing: Sealing,
    stored: Stored,
    *,
    remember: bool,
    config: RunnableConfig | None = None,
    found: Found = None,
) -> CheckpointTuple:
    try:
        conversation, known = messages_for(storage, place.thread_id, stored.encoded(), sealing, found)
    except StoreError:
        raise
    except Exception as error:
        here = place._replace(checkpoint_id=stored.row.checkpoint_id)
        raise damaged_at(error, "body of a checkpoint", here) from error
    built, lists = build(sealing, place, stored, known, config)
    if remember and conversation is not None and not conversation.dead:
        with conversation.lock:
            versions = stored.header["channel_versions"]
            known_lists = conversation.lists
            conversation.hold(
                place.namespace,
                {
                    channel: (versions[channel], value)
                    for channel, value in stored.values.items()
                    if channel in versions
                },
                {
                    slot: StoredList.loaded(messages)
                    for slot, messages in lists.items()
                    if slot not in known_lists or known_lists[slot].messages != messages
                },
                length=len(stored.row.body),
            )
    if conversation is not None and conversation.size != conversation.counted:
        storage.memory.used(conversation)
    return built


def build(
    sealing: Sealing, place: Place, stored: Stored, known: Mapping[int, Message], config: RunnableConfig | None = None
) -> tuple[CheckpointTuple, dict[tuple[str, str], list[Message]]]:
    """Build a checkpoint for LangGraph, and the lists of messages in it.

    Raises:
        StoreError: Some part cannot be read, or messages are missing; the error names it.
    """
    decoder = Decoder(known.__getitem__, sealing)
    row = stored.row

    def unreadable(error: Exception, value: Encoded, what: str, **where: Any) -> StoreError:
        missing = _unreadable_message(value, known, decoder, place.thread_id)
        here = place._replace(checkpoint_id=row.checkpoint_id)
        return damaged_at(error, what, here, **where) if missing is None else missing

    values: dict[str, Any] = {}
    lists = {}
    for channel, value in stored.values.items():
        whole = stored.outside.get(value) if isinstance(value, int) else value
        if whole is None:
            raise _gone(value, place, row.checkpoint_id)
        try:
            values[channel] = decoder.decode(whole)
        except Exception as error:
            raise unreadable(error, whole, "value of a channel", channel=channel) from error
        if decoder.last_list is not None:
            lists[place.namespace, channel] = decoder.last_list
            decoder.last_list = None
    checkpoint = {**stored.header, "channel_values": values}
    for name, extra in stored.extras.items():
        try:
            checkpoint[name] = decoder.decode(encoded(extra)) if is_encoded(extra) else extra
        except Exception as error:
            raise unreadable(error, encoded(extra), name) from error
    pending: list[PendingWrite] = []
    for task_id, channel, value in stored.writes:
        try:
            pending.append((task_id, channel, decoder.decode(value)))
        except Exception as error:
            raise unreadable(error, value, "pending write of a task", taskId=task_id, channel=channel) from error
    built = CheckpointTuple(
        config if config is not None and place.checkpoint_id is not None else place.config(row.checkpoint_id),
        checkpoint,  # type: ignore[arg-type]
        parsed(row.metadata, "metadata", place, row.checkpoint_id),
        place.config(row.parent_id) if row.parent_id else None,
        pending,
    )
    return built, lists


def _unreadable_message(
    value: Encoded, known: Mapping[int, Message], decoder: Decoder, thread_id: str
) -> StoreError | None:
    """The error of a value that cannot be built because of a referenced message."""
    try:
        at = positions(needed([value]))
    except Exception:
        return None
    for position in at:
        if position not in known:
            return _lost(thread_id)
        try:
            decoder.message(known[position])
        except Exception as error:
            return damaged(error, "message", thread_id, position=position)
    return None


def _gone(value_id: Any, place: Place, checkpoint_id: str) -> StoreError:
    return StoreError(
        f"The channel value {value_id} that the checkpoint {checkpoint_id} of the thread {place.thread_id!r} refers to is not in the "
        "database. Nothing was loaded. Restore the database from a backup, or continue from an older checkpoint of the thread.",
        code=MISSING_VALUE,
        details={"threadId": place.thread_id, "checkpointId": checkpoint_id, "valueId": value_id},
    )


def _lost(thread_id: str) -> StoreError:
    return StoreError(
        f"Messages that a checkpoint of the thread {thread_id!r} refers to are not in the conversation tables. Nothing was "
        "loaded. Was the thread deleted a moment ago, or is this another conversation database than the one that was written?",
        code=MISSING_MESSAGES,
        details={"threadId": thread_id},
    )
