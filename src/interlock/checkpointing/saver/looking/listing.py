"""Lists checkpoints in pages; a page costs a fixed number of statements, whatever its size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from sqlalchemy.engine import Connection

from ....tools.errors import StoreError, StoreUnavailable
from ...tables.checkpoints import channel_values, checkpoints, threads, writes
from ...tables.conversations import conversations, messages
from ..damage import parsed
from ..encoding.messages import Message
from ..encoding.msgpack_tree import positions
from ..encoding.sealing import Sealing
from ..encoding.separation import needed
from ..keys import Place, place_of
from ..reading import MISSING_MESSAGES, MISSING_VALUE, Row, Stored, build, is_there, open_row, outside_ids
from ..rows import read_message
from ..storage import Storage
from . import indexes
from .filters import filter_for

PAGE = 50


class _Line(NamedTuple):
    """A row of a page, and its position."""

    place: Place
    row: Row


class _Known(NamedTuple):
    """The messages of a thread that a listing has read."""

    conversation: int
    epoch: int
    messages: dict[int, Message]


def list_tuples(  # noqa: PLR0917 -- in LangGraph's order
    storage: Storage,
    sealing: Sealing,
    config: RunnableConfig | None,
    metadata_filter: dict[str, Any] | None,
    before: RunnableConfig | None,
    limit: int | None,
) -> Iterator[CheckpointTuple]:
    """List checkpoints, newest first, page by page, without holding a connection between pages."""
    storage.ready()
    pages = _Pages(storage, sealing, _query(config, before), metadata_filter or {})
    while limit is None or limit > 0:
        for found in pages.next(limit):
            yield found
            if limit is not None:
                limit -= 1
                if limit <= 0:
                    return
        if pages.done:
            return


class _Pages:
    """The pages of one listing."""

    def __init__(self, storage: Storage, sealing: Sealing, query: sa.Select[Any], wanted: dict[str, Any]) -> None:
        self._storage = storage
        self._sealing = sealing
        self._query = query
        self._known: dict[str, _Known] = {}
        self._after: tuple[str, int] | None = None
        self._conditions: list[sa.ColumnElement[bool]] = []
        self._holds: Callable[[dict[str, Any]], bool] | None = None
        self.done = False
        if wanted:
            dialect = storage.database.dialect
            found = filter_for(dialect, wanted)
            self._in_python = found.holds
            if found.condition is not None:
                self._conditions = [*indexes.narrowed(dialect, storage.indexed, wanted), found.condition]
            self._holds = None if found.exact else found.holds

    def next(self, limit: int | None) -> Iterator[CheckpointTuple]:
        """The checkpoints of the next page.

        Args:
            limit: The number of checkpoints still requested.
        """
        size = PAGE if limit is None or self._holds is not None else min(PAGE, limit)
        try:
            rows, opened = self._read(size)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if not self._conditions or "threadId" in error.details:
                raise
            # Metadata that the database's JSON functions reject.
            self._conditions, self._holds = [], self._in_python
            rows, opened = self._read(PAGE)
        if not self._storage.together:
            with self._storage.conversation_database.read() as connection:
                _learn(connection, opened, self._known, self._sealing)
        self.done = len(rows) < size
        if rows:
            self._after = rows[-1].row.checkpoint_id, rows[-1].row.thread
        for line, stored in opened:
            found = _built(self._storage, self._sealing, line, stored, self._known)
            if found is not None:
                yield found

    def _read(self, size: int) -> "tuple[list[_Line], list[tuple[_Line, Stored | StoreError]]]":
        c = checkpoints.c
        page = self._query.where(*self._conditions).limit(size)
        if self._after is not None:
            last, thread = self._after
            page = page.where(sa.or_(c.checkpoint_id < last, sa.and_(c.checkpoint_id == last, c.thread < thread)))
        with self._storage.database.read() as connection:
            rows = [_Line(Place(row[0], row[1], row[3]), Row(*row[2:])) for row in connection.execute(page)]
            opened = _open(connection, rows if self._holds is None else self._filtered(rows), self._sealing)
            if self._storage.together:
                _learn(connection, opened, self._known, self._sealing)
        return rows, opened

    def _filtered(self, lines: Sequence[_Line]) -> list[_Line]:
        holds = self._holds
        return [
            line
            for line in lines
            if holds is None or holds(parsed(line.row.metadata, "metadata", line.place, line.row.checkpoint_id))
        ]


def _query(config: RunnableConfig | None, before: RunnableConfig | None) -> sa.Select[Any]:
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
    return query.order_by(c.checkpoint_id.desc(), c.thread.desc())


def _open(connection: Connection, lines: Sequence[_Line], sealing: Sealing) -> list[tuple[_Line, Stored | StoreError]]:
    """Each row with its pending writes and large values, or its error, which is raised when the row is reached."""
    if not lines:
        return []
    by_thread: dict[int, list[str]] = {}
    values: dict[int, list[int]] = {}
    opened: list[tuple[_Line, Stored | StoreError]] = []
    asked: dict[tuple[int, str], list[int] | StoreError] = {}
    for place, row in lines:
        by_thread.setdefault(row.thread, []).append(row.checkpoint_id)
        try:
            ids = asked[row.thread, row.checkpoint_id] = outside_ids(row, place)
            values.setdefault(row.thread, []).extend(ids)
        except StoreError as error:
            asked[row.thread, row.checkpoint_id] = error
    w, v = writes.c, channel_values.c
    pending: dict[tuple[int, str], list[Any]] = {}
    of_page = sa.or_(*(sa.and_(w.thread == one, w.checkpoint_id.in_(ids)) for one, ids in by_thread.items()))
    query = sa.select(w.thread, w.checkpoint_id, w.task_id, w.part, w.task_path, w.kind, w.body).where(of_page)
    for thread, checkpoint_id, *rest in connection.execute(query):
        pending.setdefault((thread, checkpoint_id), []).append(rest)
    there: dict[tuple[int, int], Any] = {}
    if any(values.values()):
        of_rows = sa.or_(*(sa.and_(v.thread == one, v.value_id.in_(set(ids))) for one, ids in values.items() if ids))
        for thread, *rest in connection.execute(sa.select(v.thread, v.value_id, v.kind, v.body).where(of_rows)):
            there[thread, rest[0]] = rest
    for line in lines:
        key = line.row.thread, line.row.checkpoint_id
        found = asked[key]
        if isinstance(found, StoreError):
            opened.append((line, found))
            continue
        outside = [there.get((line.row.thread, value_id), value_id) for value_id in found]
        try:
            opened.append((line, open_row(line.row, pending.get(key, ()), outside, line.place, sealing)))
        except StoreError as error:
            opened.append((line, error))
    return opened


def _learn(
    connection: Connection,
    opened: Iterable[tuple[_Line, Stored | StoreError]],
    known: dict[str, _Known],
    sealing: Sealing,
) -> None:
    """Read the messages that are new on a page, for all its threads at once."""
    ranges: dict[str, list[int]] = {}
    for line, stored in opened:
        if isinstance(stored, Stored) and (some := needed(stored.encoded())):
            ranges.setdefault(line.place.thread_id, []).extend(some)
    for thread_id in known.keys() - ranges.keys():
        del known[thread_id]
    if not ranges:
        return
    query = sa.select(conversations.c.id, conversations.c.thread_id, conversations.c.epoch)
    wanted: dict[int, tuple[str, list[int]]] = {}
    there = set()
    for number, thread_id, epoch in connection.execute(query.where(conversations.c.thread_id.in_(ranges))):
        there.add(thread_id)
        before = known.get(thread_id)
        if before is None or before[:2] != (number, epoch):  # erased or deleted since the previous page
            before = known[thread_id] = _Known(number, epoch, {})
        # Read messages without an id again, because another process may assign one.
        missing = {
            at for at in positions(ranges[thread_id]) if at not in before.messages or before.messages[at].foreign
        }
        if missing:
            wanted[number] = thread_id, sorted(missing)
    for thread_id in ranges.keys() - there:
        known.pop(thread_id, None)
    if not wanted:
        return
    m = messages.c
    of_page = sa.or_(
        *(sa.and_(m.conversation == number, m.position.between(at[0], at[-1])) for number, (_, at) in wanted.items())
    )
    columns = sa.select(m.conversation, m.position, m.kind, m.body, m.role, m.message_id, m.erased_at)
    for number, *row in connection.execute(columns.where(of_page)):
        thread_id = wanted[number][0]
        known[thread_id].messages[row[0]] = read_message(thread_id, row, sealing)


def _built(
    storage: Storage, sealing: Sealing, line: _Line, stored: Stored | StoreError, known: dict[str, _Known]
) -> CheckpointTuple | None:
    """Build a checkpoint of a page; None if it was deleted while the page was read."""
    try:
        if isinstance(stored, StoreError):
            raise stored
        of_thread = known.get(line.place.thread_id)
        return build(sealing, line.place, stored, {} if of_thread is None else of_thread.messages)[0]
    except StoreError as error:
        if error.code in (MISSING_MESSAGES, MISSING_VALUE) and not is_there(storage, line.place):
            return None
        raise


__all__ = ["list_tuples"]
