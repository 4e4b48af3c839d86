"""Operations on whole threads: delete, copy, prune, and delete by run."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from ...tools.errors import InputError, StoreUnavailable
from ..connecting.engines import Dialect
from ..database import Database
from ..faults import is_deadlock
from ..identifiers import checked
from ..tables import inputs as waiting
from ..tables.checkpoints import THREAD_ID_LENGTH, channel_values, checkpoints, threads, writes
from ..tables.conversations import conversations, messages
from .encoding.sealing import Sealing
from .keeping.ancestors import chain, needed_by
from .resealing import copy_sealed
from .storage import ATTEMPTS, Storage

T = TypeVar("T")

_IN = 500
"""The number of ids per statement."""


def delete_thread(storage: Storage, thread_id: str, *, unless_newer_than: str | None = None) -> bool:
    """Delete everything of a thread except its row, which serves to refuse late writes.

    Args:
        storage: The databases.
        thread_id: The thread.
        unless_newer_than: The newest known checkpoint; if there is a newer one, the thread is in use and stays.

    Returns:
        Whether it was deleted.
    """
    storage.ready()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if not _delete(storage, thread_id, unless_newer_than):
                return False
            break
        except StoreUnavailable as error:
            if attempt == ATTEMPTS or not is_deadlock(error):
                raise
    if not storage.together:
        with storage.conversation_database.write() as connection:
            _delete_conversation(connection, thread_id)
    storage.forget_thread(thread_id)
    if storage.conversation_database.dialect is Dialect.SQLITE:
        empty_the_log(storage.conversation_database)
    return True


def _delete(storage: Storage, thread_id: str, unless_newer_than: str | None) -> bool:
    mine = threads.c.thread_id == thread_id
    with storage.database.write() as connection:
        if storage.database.dialect is Dialect.SQLITE:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")  # overwrite the text, and not only unlink its pages
        if storage.in_one_statement:
            _lock_conversation(connection, thread_id)  # in the lock order of a put in one statement
        numbers = locked(connection, mine)
        if unless_newer_than is not None:
            newest = connection.scalar(sa.select(sa.func.max(threads.c.head)).where(mine))
            if newest is None or newest > unless_newer_than:
                return False
        _delete_checkpoints(connection, numbers)
        waiting.erase(connection, waiting.inputs.c.thread_id == thread_id)
        if storage.together:
            _delete_conversation(connection, thread_id)
            # Namespaces inserted before the conversation was locked may refer to messages that are deleted now.
            _delete_checkpoints(connection, locked(connection, sa.and_(mine, threads.c.id.not_in(numbers))))
    return True


def _delete_checkpoints(connection: sa.Connection, numbers: Iterable[int]) -> None:
    for number in numbers:
        newest = sa.select(sa.func.max(checkpoints.c.checkpoint_id)).where(checkpoints.c.thread == number)
        last = max(
            (found for found in (connection.scalar(newest), connection.scalar(
                sa.select(sa.func.max(writes.c.checkpoint_id)).where(writes.c.thread == number)
            )) if found is not None),
            default=None,
        )  # fmt: skip
        for table in (checkpoints, channel_values, writes):
            connection.execute(sa.delete(table).where(table.c.thread == number))
        if last is not None:
            connection.execute(sa.update(threads).values(head=None, deleted_up_to=last).where(threads.c.id == number))


def locked(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[int]:
    """Lock the rows of a thread's namespaces until the transaction ends, which blocks puts; returns their numbers.

    Otherwise a concurrent checkpoint would outlive the messages and large values that it refers to.
    """
    mine = sa.select(threads.c.id).where(which).order_by(threads.c.id).with_for_update()
    return list(connection.scalars(mine))


def _lock_conversation(connection: sa.Connection, thread_id: str) -> int | None:
    """Lock a conversation before its messages, in the order of an erasure; returns its number."""
    mine = sa.select(conversations.c.id).where(conversations.c.thread_id == thread_id).with_for_update()
    number: int | None = connection.scalar(mine)
    return number


def _delete_conversation(connection: sa.Connection, thread_id: str) -> None:
    number = _lock_conversation(connection, thread_id)
    if number is not None:
        connection.execute(sa.delete(messages).where(messages.c.conversation == number))
        connection.execute(sa.delete(conversations).where(conversations.c.id == number))


def empty_the_log(database: Database) -> None:
    """Checkpoint SQLite's write-ahead log, which still contains the old text. Readers may delay this until the next call."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def revive(storage: Storage, thread_id: str) -> None:
    """Allow a deleted thread to be written again with its old checkpoints, for an import."""
    storage.ready()
    deleted = sa.and_(threads.c.thread_id == thread_id, threads.c.deleted_up_to.is_not(None))
    with storage.database.read() as connection:
        if connection.execute(sa.select(threads.c.id).where(deleted).limit(1)).first() is None:
            return
    with storage.database.write() as connection:
        connection.execute(sa.update(threads).values(deleted_up_to=None).where(deleted))


def delete_for_runs(storage: Storage, run_ids: Sequence[str], sealing: Sealing) -> None:
    """Delete the checkpoints of runs with their pending writes, except those from which checkpoints of other runs are rebuilt."""
    storage.ready()
    for some in slices([str(run_id) for run_id in run_ids]):
        c = checkpoints.c
        with storage.database.read() as connection:
            found = list(connection.scalars(sa.select(c.thread).where(c.run_id.in_(some)).distinct()))
        with storage.database.write() as connection:
            for thread in locked(connection, threads.c.id.in_(found)):
                # Read under the lock, so that no checkpoint is added on top of them meanwhile.
                mine = sa.select(c.checkpoint_id).where(c.thread == thread, c.run_id.in_(some))
                going = set(connection.scalars(mine))
                links = chain(connection, thread, owner_of(connection, thread), sealing)
                kept = needed_by(links, links.keys() - going)
                drop(connection, thread, sorted(going - kept))
                _renew_head(connection, thread)


def copy_thread(storage: Storage, source: str, target: str, sealing: Sealing) -> None:
    """Copy every checkpoint, value, write and message. The target must not have any checkpoints.

    Raises:
        InputError: The target has checkpoints, or is the source.
    """
    storage.ready()
    target = checked("thread_id", target, THREAD_ID_LENGTH)
    with storage.database.write() as connection:
        rows = connection.execute(sa.select(threads).where(threads.c.thread_id == source)).all()
        taken = sa.select(checkpoints.c.thread).join_from(checkpoints, threads, threads.c.id == checkpoints.c.thread)
        if source == target or connection.execute(taken.where(threads.c.thread_id == target).limit(1)).first():
            raise InputError(
                f"The thread {target!r} has checkpoints already. Nothing was copied. Name a new thread, or delete that one first.",
                code="thread_exists",
            )
        for row in rows:
            connection.execute(
                sa.delete(threads).where(threads.c.thread_id == target, threads.c.namespace_key == row.namespace_key)
            )
            copy = sa.insert(threads).values(
                thread_id=target, namespace_key=row.namespace_key, long_namespace=row.long_namespace, head=row.head
            )
            number = connection.execute(copy).inserted_primary_key[0]  # type: ignore[index]
            for table in (checkpoints, channel_values, writes):
                if sealing.plain:
                    _copy_rows(connection, table, table.c.thread, row.id, number)
                else:
                    key = row.namespace_key
                    copy_sealed(connection, table, sealing, row.id, (source, key), number, (target, key))
        if storage.together:
            _copy_conversation(connection, source, target, sealing)
    if not storage.together:
        with storage.conversation_database.write() as connection:
            _copy_conversation(connection, source, target, sealing)
    storage.forget_thread(target)


def _copy_conversation(connection: sa.Connection, source: str, target: str, sealing: Sealing) -> None:
    row = connection.execute(sa.select(conversations).where(conversations.c.thread_id == source)).first()
    _delete_conversation(connection, target)
    if row is None:
        return
    copy = sa.insert(conversations).values(
        thread_id=target, epoch=row.epoch, created_at=row.created_at, erased_at=row.erased_at
    )
    number = connection.execute(copy).inserted_primary_key[0]  # type: ignore[index]
    if sealing.plain:
        _copy_rows(connection, messages, messages.c.conversation, row.id, number)
    else:
        copy_sealed(connection, messages, sealing, row.id, (source,), number, (target,))


def _copy_rows(connection: sa.Connection, table: sa.Table, owner: sa.Column[Any], source: int, target: int) -> None:
    """Copy the rows within the database, without reading them."""
    columns = [column.name for column in table.columns]
    selected = [sa.literal(target) if name == owner.name else table.c[name] for name in columns]
    connection.execute(sa.insert(table).from_select(columns, sa.select(*selected).where(owner == source)))


def prune(storage: Storage, thread_ids: Sequence[str], strategy: str, sealing: Sealing) -> None:
    """Keep only the newest checkpoint of each namespace, or none.

    Raises:
        InputError: The strategy is not known.
    """
    if strategy == "delete":
        for thread_id in thread_ids:
            delete_thread(storage, str(thread_id))
        return
    if strategy not in ("keep_latest", "keep_last"):
        raise InputError(
            f"The pruning strategy {strategy!r} is not known. Nothing was deleted. Use 'keep_latest' or 'delete'."
        )
    storage.ready()
    for thread_id in thread_ids:
        with storage.database.write() as connection:
            for number in locked(connection, threads.c.thread_id == str(thread_id)):
                _keep_latest(connection, number, sealing)


def _keep_latest(connection: sa.Connection, thread: int, sealing: Sealing) -> None:
    links = chain(connection, thread, owner_of(connection, thread), sealing)
    if links:
        drop(connection, thread, sorted(links.keys() - needed_by(links, [max(links)])))


def owner_of(connection: sa.Connection, thread: int) -> tuple[str, str]:
    """The thread id and namespace key of a thread number."""
    t = threads.c
    thread_id, namespace_key = connection.execute(sa.select(t.thread_id, t.namespace_key).where(t.id == thread)).one()
    return thread_id, namespace_key


def drop(connection: sa.Connection, thread: int, checkpoint_ids: Sequence[str]) -> None:
    """Delete checkpoints, their writes, and the large values that no other checkpoint of the thread refers to."""
    for some in slices(checkpoint_ids):
        for table in (checkpoints, writes):
            connection.execute(sa.delete(table).where(table.c.thread == thread, table.c.checkpoint_id.in_(some)))
    left = sa.select(checkpoints.c.outside).where(checkpoints.c.thread == thread, checkpoints.c.outside.is_not(None))
    used = {value_id for outside in connection.scalars(left) for value_id in json.loads(outside)}
    there = sa.select(channel_values.c.value_id).where(channel_values.c.thread == thread)
    unused = [value_id for value_id in connection.scalars(there) if value_id not in used]
    for some in slices(unused):
        connection.execute(
            sa.delete(channel_values).where(channel_values.c.thread == thread, channel_values.c.value_id.in_(some))
        )


def _renew_head(connection: sa.Connection, thread: int) -> None:
    newest = sa.select(sa.func.max(checkpoints.c.checkpoint_id)).where(checkpoints.c.thread == thread)
    connection.execute(sa.update(threads).values(head=connection.scalar(newest)).where(threads.c.id == thread))


def slices(items: Sequence[T]) -> Iterable[Sequence[T]]:
    """Split ids into groups for one statement each."""
    for start in range(0, len(items), _IN):
        yield items[start : start + _IN]
