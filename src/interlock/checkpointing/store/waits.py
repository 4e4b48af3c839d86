"""Waits in SQL: open until their events, their deadline or a command ends them, whichever commits first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from ...tools.kinds import ItemStatus
from ..tables.workflow import inbox, looks, wait_events, wait_items, waits
from .inbox import InboxStatus
from .sql.insert import insert_or_ignore


class WaitStatus(StrEnum):
    """The status of a wait."""

    OPEN = "open"
    DONE = "done"
    """Ended by its events."""
    FAILED = "failed"
    """Ended because too many items failed."""
    TIMED_OUT = "timed_out"
    """Ended by its deadline."""
    LEFT = "left"
    """The workflow left the state by a command."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One stay of an instance in a wait state."""

    wait_id: str
    workflow_id: str
    tenant: str
    workflow: str
    state: str
    revision: int
    status: WaitStatus
    needed: int
    total: int
    settled: int
    failed: int
    resumed: int
    opened_at: int
    due_at: int | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class WaitItem:
    """One thing that a wait expects."""

    wait_id: str
    number: int
    event_name: str
    part: str | None
    status: ItemStatus
    event_id: str | None
    changed_at: int


IS_OPEN = sa.and_(waits.c.status == WaitStatus.OPEN.value, waits.c.ended_at.is_(None))
"""Two conditions: the status is a column of the indexes of open waits, and `ended_at` limits these partial indexes to few rows."""


def insert(
    connection: Connection, wait: Wait, items: Sequence[tuple[str, str | None]], correlations: Mapping[str, str]
) -> None:
    """Insert a new wait.

    Args:
        connection: The transaction that brings the instance into the state.
        wait: The wait.
        items: Event name and part of each expected item.
        correlations: The correlation key for each event that it uses.
    """
    values = {name: getattr(wait, name) for name in wait.__slots__}
    values["status"] = wait.status.value
    connection.execute(sa.insert(waits).values(values))
    if correlations:
        connection.execute(
            sa.insert(wait_events),
            [
                {"wait_id": wait.wait_id, "event_name": name, "workflow": wait.workflow, "correlation": correlation}
                for name, correlation in correlations.items()
            ],
        )
    if items:
        connection.execute(
            sa.insert(wait_items),
            [
                {
                    "wait_id": wait.wait_id,
                    "number": number,
                    "event_name": name,
                    "part": part,
                    "status": ItemStatus.REQUESTED.value,
                    "event_id": None,
                    "changed_at": wait.opened_at,
                }
                for number, (name, part) in enumerate(items, start=1)
            ],
        )


def open_of(connection: Connection, workflow_id: str) -> Wait | None:
    """The open wait of an instance, whose row the caller has locked."""
    statement = (
        sa.select(waits)
        .where(waits.c.workflow_id == workflow_id, waits.c.status == WaitStatus.OPEN.value)
        .order_by(waits.c.opened_at.desc())
    )
    return _one(connection.execute(statement).mappings().first())


def load(connection: Connection, wait_id: str) -> Wait | None:
    """Read one wait."""
    return _one(connection.execute(sa.select(waits).where(waits.c.wait_id == wait_id)).mappings().first())


def expecting(connection: Connection, *, workflow: str, correlation: str, event_name: str) -> list[Wait]:
    """The waits that looked or look for an event under a correlation, the newest first."""
    statement = (
        sa.select(waits)
        .join(wait_events, wait_events.c.wait_id == waits.c.wait_id)
        .where(
            wait_events.c.workflow == workflow,
            wait_events.c.correlation == correlation,
            wait_events.c.event_name == event_name,
        )
        .order_by(waits.c.opened_at.desc(), waits.c.wait_id)
    )
    return [_wait(row) for row in connection.execute(statement).mappings()]


def due(connection: Connection, *, workflow: str, now: int, limit: int) -> list[Wait]:
    """Open waits whose deadline has passed, the most overdue first."""
    statement = (
        sa.select(waits)
        .where(waits.c.workflow == workflow, IS_OPEN, waits.c.due_at <= now)
        .order_by(waits.c.due_at)
        .limit(limit)
    )
    return [_wait(row) for row in connection.execute(statement).mappings()]


def missed(connection: Connection, *, workflow: str, since: int, limit: int) -> list[Wait]:
    """Open waits that match an event in the inbox.

    Either both were written concurrently and did not see each other, or the wait could not be moved when the event arrived
    (`InboxStatus.KEPT` with a note), perhaps long ago.

    Args:
        connection: The connection.
        workflow: The workflow.
        since: Microseconds since 1970 UTC. Events without a note count only if they were processed later, so that events that stay
            in the inbox permanently cost nothing.
        limit: The maximum number of each kind.
    """
    found: dict[str, Wait] = {}
    held_up = sa.and_(inbox.c.status == _literal(InboxStatus.KEPT), inbox.c.note.is_not(None))
    lately = sa.and_(
        inbox.c.status.in_([_literal(InboxStatus.KEPT), _literal(InboxStatus.UNMATCHED)]), inbox.c.settled_at > since
    )
    for which in (lately, held_up):
        statement = (
            sa.select(waits)
            .distinct()
            .join(wait_events, wait_events.c.wait_id == waits.c.wait_id)
            .join(
                inbox,
                sa.and_(
                    inbox.c.consumer == wait_events.c.workflow,
                    inbox.c.correlation == wait_events.c.correlation,
                    inbox.c.event_name == wait_events.c.event_name,
                    inbox.c.tenant == waits.c.tenant,
                ),
            )
            .where(inbox.c.consumer == workflow, which, waits.c.status == WaitStatus.OPEN.value)
            .limit(limit)
        )
        for row in connection.execute(statement).mappings():
            wait = _wait(row)
            found.setdefault(wait.wait_id, wait)
    return [*found.values()]


def _literal(status: StrEnum) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{status.value}'")  # as the partial index has it


def looked_until(connection: Connection, workflow: str) -> int:
    """The time up to which missed events were scanned, in microseconds since 1970 UTC; 0 without a scan."""
    return int(connection.scalar(sa.select(looks.c.looked_at).where(looks.c.workflow == workflow)) or 0)


def note_look(connection: Connection, workflow: str, at: int) -> None:
    """Record that events before a moment were scanned."""
    later = sa.update(looks).where(looks.c.workflow == workflow, looks.c.looked_at < at).values(looked_at=at)
    if connection.execute(later).rowcount == 0:
        insert_or_ignore(connection, looks, {"workflow": workflow, "looked_at": at})


def mark_item(connection: Connection, item: WaitItem, status: ItemStatus, *, event_id: str, now: int) -> bool:
    """Change the status of one item, if it is unchanged since it was read."""
    statement = (
        sa.update(wait_items)
        .where(
            wait_items.c.wait_id == item.wait_id,
            wait_items.c.number == item.number,
            wait_items.c.status == item.status.value,
        )
        .values(status=status.value, event_id=event_id, changed_at=now)
    )
    return connection.execute(statement).rowcount == 1


def count(connection: Connection, wait_id: str, *, settled: int, failed: int) -> Wait | None:
    """Add to the counts of an open wait; None if it is not open any more."""
    statement = (
        sa.update(waits)
        .where(waits.c.wait_id == wait_id, waits.c.status == WaitStatus.OPEN.value)
        .values(settled=waits.c.settled + settled, failed=waits.c.failed + failed)
    )
    return load(connection, wait_id) if connection.execute(statement).rowcount == 1 else None


def end(
    connection: Connection,
    wait_id: str,
    status: WaitStatus,
    *,
    now: int,
    resumed: bool,
    timed_out: Sequence[ItemStatus] = (),
) -> bool:
    """End an open wait with a compare-and-set, so that only one of an event and a deadline succeeds.

    Args:
        connection: In a write transaction.
        wait_id: The wait.
        status: What ended it.
        now: Microseconds since 1970 UTC.
        resumed: Whether the graph needs no resuming.
        timed_out: Items with these statuses are recorded as timed out.

    Returns:
        Whether it was still open.
    """
    statement = (
        sa.update(waits)
        .where(waits.c.wait_id == wait_id, waits.c.status == WaitStatus.OPEN.value)
        .values(status=status.value, ended_at=now, resumed=int(resumed))
    )
    if connection.execute(statement).rowcount != 1:
        return False
    if timed_out:
        connection.execute(
            sa.update(wait_items)
            .where(wait_items.c.wait_id == wait_id, wait_items.c.status.in_([one.value for one in timed_out]))
            .values(status=ItemStatus.TIMED_OUT.value, changed_at=now)
        )
    return True


def items(
    connection: Connection,
    wait_id: str,
    *,
    part: str | None = None,
    event_name: str | None = None,
    standing: Sequence[ItemStatus] = (),
    limit: int = 1_000,
) -> list[WaitItem]:
    """The items of a wait in their order, all of them or those of a part, of an event, or that stand somewhere."""
    statement = sa.select(wait_items).where(wait_items.c.wait_id == wait_id)
    if part is not None:
        statement = statement.where(wait_items.c.part == part)
    if event_name is not None:
        statement = statement.where(wait_items.c.event_name == event_name)
    if standing:
        statement = statement.where(wait_items.c.status.in_([one.value for one in standing]))
    rows = connection.execute(statement.order_by(wait_items.c.number).limit(limit)).mappings()
    return [_item(row) for row in rows]


def progress(connection: Connection, wait_id: str) -> dict[ItemStatus, int]:
    """The number of a wait's items by status."""
    rows = connection.execute(
        sa.select(wait_items.c.status, sa.func.count())
        .where(wait_items.c.wait_id == wait_id)
        .group_by(wait_items.c.status)
    )
    found = {ItemStatus(status): int(number) for status, number in rows}
    return {status: found.get(status, 0) for status in ItemStatus}


def touched_by(connection: Connection, event_id: str) -> list[Wait]:
    """The waits that an event moved on."""
    statement = (
        sa.select(waits)
        .where(waits.c.wait_id.in_(sa.select(wait_items.c.wait_id).where(wait_items.c.event_id == event_id)))
        .order_by(waits.c.opened_at)
    )
    return [_wait(row) for row in connection.execute(statement).mappings()]


def of_instance(connection: Connection, workflow_id: str) -> list[Wait]:
    """Every wait of an instance, oldest first."""
    statement = sa.select(waits).where(waits.c.workflow_id == workflow_id).order_by(waits.c.opened_at)
    return [_wait(row) for row in connection.execute(statement).mappings()]


def trim(connection: Connection, *, before: int, limit: int) -> int:
    """Delete at most `limit` waits, with their items, that ended before a moment and whose graphs have continued.

    Returns:
        How many were deleted.
    """
    old = [
        row[0]
        for row in connection.execute(
            sa.select(waits.c.wait_id)
            .where(waits.c.status != WaitStatus.OPEN.value, waits.c.resumed == 1, waits.c.ended_at < before)
            .limit(limit)
        )
    ]
    for start in range(0, len(old), 500):
        some = old[start : start + 500]
        for table in (wait_items, wait_events, waits):
            connection.execute(sa.delete(table).where(table.c.wait_id.in_(some)))
    return len(old)


def _one(row: RowMapping | None) -> Wait | None:
    return None if row is None else _wait(row)


def _wait(row: RowMapping) -> Wait:
    values = dict(row)
    values["status"] = WaitStatus(values["status"])
    return Wait(**values)


def _item(row: RowMapping) -> WaitItem:
    values = dict(row)
    values["status"] = ItemStatus(values["status"])
    return WaitItem(**values)
