"""Checkpoints as LangGraph gets them: rows, their messages, and the values built from both."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, PendingWrite, writes_sort_key

from ...tools.errors import StoreError
from ..tables.checkpoints import checkpoints, threads
from .encoding import body
from .encoding.lists import StoredList
from .encoding.messages import Message
from .encoding.msgpack_tree import positions
from .encoding.sealing import Sealing, checkpoint_place, value_place, writes_place
from .encoding.separation import Decoder, Encoded, needed
from .jobs import unpack_part
from .keys import Place, place_of
from .loading import load
from .memory import Conversation
from .storage import Storage

LOOKING = "__interlock_looking"
"""Set in a config by who only looks at a checkpoint, and will not go on from it: the fence stays as it is."""

PAGE = 50
ATTEMPTS = 3
_MISSING_MESSAGES, _MISSING_VALUE = "missing_messages", "missing_value"
Found = tuple[int, int, int] | None
"""The id, epoch and next position of a conversation, as they were read together with a checkpoint."""


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
    """A checkpoint as it is stored, opened, but without messages."""

    row: Row
    header: dict[str, Any]
    values: dict[str, Encoded | int]
    extras: dict[str, Any]
    outside: dict[int, Encoded]
    writes: list[tuple[str, str, Encoded]]

    def encoded(self) -> Iterator[Encoded]:
        """Everything in it that may refer to messages."""
        yield from (value for value in self.values.values() if not isinstance(value, int))
        yield from (encoded(value) for value in self.extras.values() if is_encoded(value))
        yield from self.outside.values()
        yield from (value for _, _, value in self.writes)


def is_encoded(extra: Any) -> bool:
    """Whether an extra is a value as `Encoder` made it; the others are empty."""
    return bool(extra)


def encoded(extra: Any) -> Encoded:
    """An extra as it was encoded: msgpack makes lists of tuples."""
    form, typ, data = extra
    return form, typ, data


def get_tuple(storage: Storage, place: Place, sealing: Sealing, config: RunnableConfig) -> CheckpointTuple | None:
    """The checkpoint at a place, or the newest there."""
    storage.ready()
    if place.checkpoint_id is not None and not config.get("configurable", {}).get(LOOKING):
        storage.asked_for(place)
    for attempt in range(1, ATTEMPTS + 1):
        found = (_in_one_statement if storage.loads_at_once else _in_several)(storage, place, sealing)
        if found is None:
            return None
        stored, conversation = found
        remember = place.checkpoint_id is None
        try:
            return _build(storage, place, sealing, stored, remember=remember, config=config, found=conversation)
        except StoreError as error:
            # The messages are read after the checkpoint: the thread may have been deleted, or begun anew, in between.
            if error.code != _MISSING_MESSAGES or attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _is_there(storage: Storage, place: Place) -> bool:
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
    for value_id in json.loads(checkpoint.outside) if checkpoint.outside else ():
        if value_id not in there:
            _gone("channel value", value_id)
    return open_row(checkpoint, write_rows, outside, place, sealing), conversation


def list_tuples(  # noqa: PLR0917 -- in LangGraph's order
    storage: Storage,
    sealing: Sealing,
    config: RunnableConfig | None,
    metadata_filter: dict[str, Any] | None,
    before: RunnableConfig | None,
    limit: int | None,
) -> Iterator[CheckpointTuple]:
    """Checkpoints, newest first, page by page: between pages no connection is held."""
    storage.ready()
    c, t = checkpoints.c, threads.c
    query = sa.select(
        t.thread_id, sa.func.coalesce(t.long_namespace, t.namespace_key), c.thread, c.checkpoint_id, c.parent_id, c.kind,
        c.body, c.metadata, c.outside,
    ).join_from(checkpoints, threads, t.id == c.thread)  # fmt: skip
    if config is not None:
        place = place_of(config)
        query = query.where(t.thread_id == place.thread_id)
        if config["configurable"].get("checkpoint_ns") is not None:
            query = query.where(t.namespace_key == place.namespace_key)
        if place.checkpoint_id is not None:
            query = query.where(c.checkpoint_id == place.checkpoint_id)
    if before is not None and (bound := (before.get("configurable") or {}).get("checkpoint_id")):
        query = query.where(c.checkpoint_id < str(bound))
    query = query.order_by(c.checkpoint_id.desc(), c.thread.desc()).limit(PAGE)
    after: tuple[str, int] | None = None
    while limit is None or limit > 0:
        page = query
        if after is not None:
            page = query.where(
                sa.or_(c.checkpoint_id < after[0], sa.and_(c.checkpoint_id == after[0], c.thread < after[1]))
            )
        with storage.database.read() as connection:
            rows = connection.execute(page).all()
        for thread_id, namespace, *rest in rows:
            row = Row(*rest)
            if metadata_filter and not _matches(json.loads(row.metadata), metadata_filter):
                continue
            found = _listed(storage, Place(thread_id, namespace, row.checkpoint_id), sealing, row)
            if found is None:
                continue
            yield found
            if limit is not None:
                limit -= 1
                if limit <= 0:
                    return
        if len(rows) < PAGE:
            return
        after = (rows[-1].checkpoint_id, rows[-1].thread)


def _listed(storage: Storage, place: Place, sealing: Sealing, row: Row) -> CheckpointTuple | None:
    """A checkpoint of a page; None when it was deleted since the page was read."""
    try:
        with storage.database.raw_read() as cursor:
            stored = _open(storage, cursor, row, place, sealing)
        return _build(storage, place, sealing, stored, remember=False)
    except StoreError as error:
        if error.code in (_MISSING_MESSAGES, _MISSING_VALUE) and not _is_there(storage, place):
            return None
        raise


def _matches(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(metadata.get(key) == value for key, value in wanted.items())


def _open(storage: Storage, cursor: Any, row: Row, place: Place, sealing: Sealing) -> Stored:
    cursor.execute(storage.statements.writes_of, (row.thread, row.checkpoint_id))
    write_rows = cursor.fetchall()
    outside = []
    for value_id in json.loads(row.outside) if row.outside else ():
        cursor.execute(storage.statements.value, (row.thread, value_id))
        outside.append((value_id, *(cursor.fetchone() or _gone("channel value", value_id))))
    return open_row(row, write_rows, outside, place, sealing)


def open_row(row: Row, write_rows: Iterable[Any], outside: Iterable[Any], place: Place, sealing: Sealing) -> Stored:
    """Unseal a checkpoint and what belongs to it."""
    thread_id, namespace_key = place.thread_id, place.namespace_key
    where = checkpoint_place(thread_id, namespace_key, row.checkpoint_id)
    header, values, extras = body.unpack(sealing.unseal(row.kind, row.body, where), row.checkpoint_id)
    return Stored(
        row,
        header,
        values,
        extras,
        {
            value_id: body.unpack_value(sealing.unseal(kind, data, value_place(thread_id, namespace_key, value_id)))
            for value_id, kind, data in outside
        },
        open_writes(write_rows, place, row.checkpoint_id, sealing),
    )


def open_writes(
    rows: Iterable[Any], place: Place, checkpoint_id: str, sealing: Sealing
) -> list[tuple[str, str, Encoded]]:
    """Pending writes as (task_id, channel, value), in LangGraph's order, from rows of `writes_of`."""
    found = []
    for task_id, part, task_path, kind, data in rows:
        where = writes_place(place.thread_id, place.namespace_key, checkpoint_id, task_id, part)
        for index, (channel, encoded) in unpack_part(sealing.unseal(kind, data, where)).items():
            found.append((writes_sort_key(task_path, task_id, index), task_id, channel, encoded))
    found.sort(key=lambda write: write[0])
    return [write[1:] for write in found]


def messages_for(
    storage: Storage, thread_id: str, values: Iterable[Encoded], sealing: Sealing, found: Found = None
) -> tuple[Conversation | None, dict[int, Message]]:
    """The messages that stored values refer to, as they are now.

    Args:
        storage: Where they are.
        thread_id: The thread.
        values: What refers to them.
        sealing: Reads them.
        found: What is known of the conversation; otherwise the database is asked, for somebody may have erased meanwhile.
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
                storage.memory.forget(
                    conversation
                )  # somebody erased; the other way round, memory is newer than what was read
                continue
            if found[2] > conversation.stored:
                if conversation.next > conversation.stored:
                    # Somebody else took positions that were given here to messages which are on their way.
                    storage.memory.forget(conversation)
                    continue
                conversation.next = conversation.stored = found[2]
            known = conversation.messages
            missing = [position for position in wanted if position not in known or known[position].foreign]
            if missing:
                with storage.conversation_database.raw_query() as cursor:
                    cursor.execute(statements.messages_between, (conversation.id, min(missing), max(missing)))
                    storage.learn(conversation, cursor.fetchall(), sealing)
            try:
                return conversation, {position: conversation.messages[position] for position in wanted}
            except KeyError:
                storage.memory.forget(conversation)
                raise _lost(thread_id) from None


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
    conversation, known = messages_for(storage, place.thread_id, stored.encoded(), sealing, found)
    decoder = Decoder(known.__getitem__, sealing)
    row = stored.row
    values: dict[str, Any] = {}
    lists = {}
    for channel, value in stored.values.items():
        values[channel] = decoder.decode(stored.outside[value] if isinstance(value, int) else value)
        if decoder.last_list is not None:
            lists[place.namespace, channel] = decoder.last_list
            decoder.last_list = None
    if remember and conversation is not None and not conversation.dead:
        with conversation.lock:
            versions = stored.header["channel_versions"]
            for slot, messages in lists.items():
                before = conversation.lists.get(slot)
                if before is None or before.messages != messages:
                    conversation.lists[slot] = StoredList.loaded(messages)
            conversation.channels[place.namespace] = {
                channel: (versions[channel], value) for channel, value in stored.values.items() if channel in versions
            }
    checkpoint = {**stored.header, "channel_values": values}
    for name, extra in stored.extras.items():
        checkpoint[name] = decoder.decode(encoded(extra)) if is_encoded(extra) else extra
    pending: list[PendingWrite] = [
        (task_id, channel, decoder.decode(value)) for task_id, channel, value in stored.writes
    ]
    return CheckpointTuple(
        config if config is not None and place.checkpoint_id is not None else place.config(row.checkpoint_id),
        checkpoint,  # type: ignore[arg-type]
        json.loads(row.metadata),
        place.config(row.parent_id) if row.parent_id else None,
        pending,
    )


def _gone(what: str, name: Any) -> Any:
    raise StoreError(
        f"The {what} {name} that a checkpoint refers to is not in the database. Nothing was loaded. "
        "Restore the database from a backup, or go on from an older checkpoint of the thread.",
        code=_MISSING_VALUE,
    )


def _lost(thread_id: str) -> StoreError:
    return StoreError(
        f"Messages that a checkpoint of the thread {thread_id!r} refers to are not in the conversation tables. Nothing was "
        "loaded. Was the thread deleted a moment ago, or is this another conversation database than the one that was written?",
        code=_MISSING_MESSAGES,
        details={"threadId": thread_id},
    )
