"""Applies a retention policy thread by thread, each in its own transaction, so that a run can be stopped and repeated at any time.

Each deletion is decided twice: from a read, and again under the lock that every step of a worker takes. So a thread in use stays, and a
step after its thread's deletion is refused as after any deletion.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tables.checkpoints import checkpoints, threads
from ..encoding import body
from ..encoding.sealing import Sealing, checkpoint_place
from ..storage import Storage
from ..threads import delete_thread, drop, locked
from .ancestors import chain, needed_by
from .policy import Progress, Retention, RetentionReport, seconds

_PAGE = 200
_GREGORIAN = 0x01B21DD213814000
"""From the epoch of UUID times to 1970, in steps of 100 ns."""


class _Namespace(NamedTuple):
    number: int
    namespace_key: str
    name: str


def retain(
    storage: Storage,
    sealing: Sealing,
    policy: Retention,
    erase: Callable[[str], object],
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    after: str | None = None,
) -> RetentionReport:
    """Delete what a retention does not keep.

    Args:
        storage: Where.
        sealing: Reads the bodies of checkpoints, where that is needed.
        policy: What is kept.
        erase: Erases the instances of a thread that goes.
        dry_run: Only report what would be deleted.
        progress: Called for each thread.
        after: Begin after this thread, in the order of the IDs.
    """
    storage.ready()
    with storage.database.read() as connection:
        now = storage.database.now(connection)
        of_all = sa.select(sa.func.count(threads.c.thread_id.distinct())).where(threads.c.head.is_not(None))
        total = connection.scalar(of_all if after is None else of_all.where(threads.c.thread_id > after)) or 0
        last = _last_that_stays(connection, policy.last_threads)
    age = seconds("threads_newer_than", policy.threads_newer_than)
    oldest = None if age is None else now - int(age * 1e6)
    seen = gone = dropped = 0
    for thread_id, newest in _threads(storage, after):
        is_beyond = last is not None and (newest, thread_id) < last
        if is_beyond or (oldest is not None and _is_older(storage, sealing, thread_id, newest, oldest)):
            if dry_run or delete_thread(storage, thread_id, unless_newer_than=newest):
                gone += 1
                if policy.instances and not dry_run:
                    erase(thread_id)
        elif not policy.keeps_checkpoints:
            dropped += _prune(storage, sealing, thread_id, policy, now, dry_run=dry_run)
        seen += 1
        if progress is not None:
            progress(seen, max(total, seen), thread_id)
    return RetentionReport(seen, gone, dropped, dry_run)


def delete_unused(storage: Storage, sealing: Sealing, thread_id: str, since: int, *, dry_run: bool = False) -> bool:
    """Delete a thread unless it was used since a moment.

    Args:
        storage: The databases.
        sealing: Reads the body of its newest checkpoint, if its id contains no time.
        thread_id: The thread.
        since: Microseconds since 1970 UTC.
        dry_run: Only report whether it would be deleted.

    Returns:
        Whether it was deleted, or did not exist.
    """
    storage.ready()
    with storage.database.read() as connection:
        newest = connection.scalar(sa.select(sa.func.max(threads.c.head)).where(threads.c.thread_id == thread_id))
    if newest is None:
        return True
    if not _is_older(storage, sealing, thread_id, newest, since):
        return False
    return dry_run or delete_thread(storage, thread_id, unless_newer_than=newest)


def _threads(storage: Storage, after: str | None) -> Iterator[tuple[str, str]]:
    """Every thread with checkpoints, and its newest one, in the order of their ids."""
    t = threads.c
    query = sa.select(t.thread_id, sa.func.max(t.head)).where(t.head.is_not(None)).group_by(t.thread_id)
    query = query.order_by(t.thread_id).limit(_PAGE)
    while True:
        with storage.database.read() as connection:
            rows = connection.execute(query if after is None else query.where(t.thread_id > after)).all()
        yield from ((thread_id, newest) for thread_id, newest in rows)
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]


def _last_that_stays(connection: Connection, count: int | None) -> tuple[str, str] | None:
    """The newest checkpoint and the id of the last thread that is kept by count; None if all are kept."""
    if count is None:
        return None
    t = threads.c
    newest = sa.func.max(t.head)
    query = sa.select(newest, t.thread_id).where(t.head.is_not(None)).group_by(t.thread_id)
    row = connection.execute(query.order_by(newest.desc(), t.thread_id.desc()).offset(count - 1).limit(1)).first()
    return None if row is None else (row[0], row[1])


def _is_older(storage: Storage, sealing: Sealing, thread_id: str, newest: str, oldest: int) -> bool:
    when = _time_in(newest)
    if when is None:
        c, t = checkpoints.c, threads.c
        query = (
            sa.select(t.namespace_key, c.kind, c.body)
            .join_from(checkpoints, threads, t.id == c.thread)
            .where(t.thread_id == thread_id, c.checkpoint_id == newest)
        )
        with storage.database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        if row is not None:
            when = _time_of(sealing, (thread_id, row.namespace_key), newest, row)
    return when is not None and when < oldest


def _prune(storage: Storage, sealing: Sealing, thread_id: str, policy: Retention, now: int, *, dry_run: bool) -> int:
    with storage.database.read() as connection:
        plan = _plan(connection, sealing, thread_id, policy, now)
    if dry_run or not any(plan.values()):
        return sum(map(len, plan.values()))
    with storage.database.write() as connection:
        locked(connection, threads.c.thread_id == thread_id)
        plan = _plan(connection, sealing, thread_id, policy, now)
        for number, going in plan.items():
            if going:
                drop(connection, number, sorted(going))
    storage.forget_thread(thread_id)
    return sum(map(len, plan.values()))


def _plan(connection: Connection, sealing: Sealing, thread_id: str, policy: Retention, now: int) -> dict[int, set[str]]:
    """The checkpoints to delete, by namespace.

    A subgraph's checkpoints are deleted with the root checkpoint to which they belong; the newest one of a subgraph that persists
    between turns stays, because a run continues from it.
    """
    t = threads.c
    query = sa.select(t.id, t.namespace_key, sa.func.coalesce(t.long_namespace, t.namespace_key))
    found = [_Namespace(*row) for row in connection.execute(query.where(t.thread_id == thread_id, t.head.is_not(None)))]
    found.sort(key=lambda one: one.name)  # the root graph's namespace is empty
    plan: dict[int, set[str]] = {}
    of_whole: set[str] | None = None
    for one in found:
        owner = (thread_id, one.namespace_key)
        links = chain(connection, one.number, owner, sealing)
        if not links:
            continue
        if one.name and of_whole is not None:
            kept = _with_parents(connection, one.number, of_whole)
            if ":" not in one.name.rpartition("|")[2]:
                kept.add(max(links))
        else:
            kept = _kept(connection, sealing, one.number, owner, list(links), policy, now)
        kept = needed_by(links, kept & links.keys())
        if not one.name:
            of_whole = kept
        plan[one.number] = links.keys() - kept
    return plan


def _kept(  # noqa: PLR0917 -- one namespace
    connection: Connection,
    sealing: Sealing,
    number: int,
    owner: tuple[str, str],
    ids: list[str],
    policy: Retention,
    now: int,
) -> set[str]:
    newest_first = sorted(ids, reverse=True)
    kept = newest_first[: policy.last_checkpoints]
    age = seconds("checkpoints_newer_than", policy.checkpoints_newer_than)
    if age is not None:
        oldest = now - int(age * 1e6)
        times = {one: _time_in(one) for one in kept}
        if unknown := [one for one, when in times.items() if when is None]:
            c = checkpoints.c
            query = sa.select(c.checkpoint_id, c.kind, c.body).where(c.thread == number, c.checkpoint_id.in_(unknown))
            for row in connection.execute(query):
                times[row.checkpoint_id] = _time_of(sealing, owner, row.checkpoint_id, row)
        kept = [one for one in kept if (when := times[one]) is None or when >= oldest]
    return {newest_first[0], *kept}


def _with_parents(connection: Connection, number: int, of_whole: set[str]) -> set[str]:
    """The checkpoints of a subgraph whose root checkpoint is kept or unknown."""
    c = checkpoints.c
    kept = set()
    for checkpoint_id, metadata in connection.execute(sa.select(c.checkpoint_id, c.metadata).where(c.thread == number)):
        parent = (json.loads(metadata).get("parents") or {}).get("")
        if parent is None or parent in of_whole:
            kept.add(checkpoint_id)
    return kept


def _time_in(checkpoint_id: str) -> int | None:
    """The time in LangGraph's ids, in microseconds since 1970 UTC; None for other ids."""
    try:
        number = uuid.UUID(checkpoint_id)
    except ValueError:
        return None
    if number.version != 6:
        return None
    high, low = number.int >> 80, (number.int >> 64) & 0xFFF
    return (((high << 12) | low) - _GREGORIAN) // 10


def _time_of(sealing: Sealing, owner: tuple[str, str], checkpoint_id: str, row: Any) -> int | None:
    """The creation time that a checkpoint's body contains."""
    data = sealing.unseal(row.kind, row.body, checkpoint_place(*owner, checkpoint_id))
    header, _, _ = body.unpack(data, checkpoint_id)
    try:
        return int(datetime.fromisoformat(header["ts"]).timestamp() * 1e6)
    except (TypeError, ValueError):
        return None


__all__ = ["delete_unused", "retain"]
