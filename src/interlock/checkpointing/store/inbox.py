"""The inbox: received events, each stored once per receiving workflow, whatever their outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from ...tools.errors import InvalidInput
from ..identifiers import problem_of
from ..tables.workflow import inbox
from ..vault import check_place, placed
from .sql.insert import insert_or_ignore


class InboxStatus(StrEnum):
    """The outcome of an event."""

    TAKEN = "taken"
    """A wait took it."""
    KEPT = "kept"
    """It arrived before the wait that expects it, which takes it at its start."""
    LATE = "late"
    """The wait for it has ended, or has this event already."""
    UNMATCHED = "unmatched"
    """It matches no workflow instance, or no wait of this workflow; it can be redelivered."""
    FAILED = "failed"
    """Its processing raised an error; it can be redelivered."""


WAITING = (InboxStatus.KEPT.value, InboxStatus.UNMATCHED.value)
"""The statuses of events that a new wait may still take."""
_LONGEST = {"source": 255, "event_id": 128, "event_name": 128, "tenant": 128, "workflow_id": 64, "trace_id": 64}


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """One event in the inbox."""

    position: int
    consumer: str
    source: str
    event_id: str
    tenant: str
    event_name: str
    workflow_id: str | None
    correlation: str | None
    trace_id: str
    envelope: str
    status: InboxStatus
    note: str | None
    repeats: int
    received_at: int
    settled_at: int | None


def insert(connection: Connection, event: InboxEvent) -> bool:
    """Insert an event; the database assigns its position.

    Returns:
        Whether it is new. For an event that is in the inbox already, only its counter of deliveries is incremented.

    Raises:
        InvalidInput: An identifier is too long, or some databases would confuse it with another one.
    """
    values = {name: getattr(event, name) for name in event.__slots__ if name != "position"}
    values["status"] = event.status.value
    for name, longest in _LONGEST.items():
        value = values[name] or ""
        if problem := f"is longer than {longest} characters" if len(value) > longest else problem_of(value):
            raise InvalidInput(
                f"The event's {name} {problem}. Nothing of it was stored; fix its sender.", details={"field": name}
            )
    if insert_or_ignore(connection, inbox, placed(inbox, values)):
        return True
    connection.execute(_same(event).values(repeats=inbox.c.repeats + 1))
    return False


def settle(
    connection: Connection,
    event: InboxEvent,
    status: InboxStatus,
    *,
    note: str | None,
    now: int,
    correlation: str | None,
) -> None:
    """Record the outcome of an event, and the correlation for later waits."""
    connection.execute(_same(event).values(status=status.value, note=note, correlation=correlation, settled_at=now))


def find(connection: Connection, event_id: str, *, consumer: str | None = None) -> list[InboxEvent]:
    """The events with an id, one per receiving workflow and source."""
    statement = sa.select(inbox).where(inbox.c.event_id == event_id).order_by(inbox.c.position)
    if consumer is not None:
        statement = statement.where(inbox.c.consumer == consumer)
    return [_event(row) for row in connection.execute(statement).mappings()]


def waiting(connection: Connection, *, consumer: str, correlation: str, names: Sequence[str]) -> list[InboxEvent]:
    """Events that a wait may take, in the order of arrival."""
    statement = (
        sa.select(inbox)
        .where(
            inbox.c.consumer == consumer,
            inbox.c.correlation == correlation,
            inbox.c.event_name.in_(list(names)),
            inbox.c.status.in_(WAITING),
        )
        .order_by(inbox.c.position)
    )
    return [_event(row) for row in connection.execute(statement).mappings()]


def listing(
    connection: Connection,
    *,
    status: InboxStatus | None = None,
    workflow_id: str | None = None,
    trace_id: str | None = None,
    tenant: str | None = None,
    limit: int = 100,
) -> list[InboxEvent]:
    """Events of the inbox, newest first."""
    statement = sa.select(inbox).order_by(inbox.c.position.desc()).limit(limit)
    if status is not None:
        statement = statement.where(inbox.c.status == status.value)
    for column, wanted in (
        (inbox.c.workflow_id, workflow_id),
        (inbox.c.trace_id, trace_id),
        (inbox.c.tenant, tenant),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return [_event(row) for row in connection.execute(statement).mappings()]


def trim(connection: Connection, *, before: int, limit: int, kept: bool = False) -> int:
    """Delete at most `limit` events that were taken, late, unmatched or failed before a moment.

    An event that is redelivered after that counts as new, so keep events for longer than brokers redeliver them.

    Args:
        before: Microseconds since 1970 UTC.
        limit: The maximum number of events.
        kept: Also delete events that are kept for waits that have not begun, which then cannot take them.

    Returns:
        The number of deleted events.
    """
    old = [
        row[0]
        for row in connection.execute(
            sa.select(inbox.c.position)
            .where(
                inbox.c.status.in_([status.value for status in InboxStatus if kept or status is not InboxStatus.KEPT]),
                sa.func.coalesce(inbox.c.settled_at, inbox.c.received_at) < before,
            )
            .order_by(inbox.c.position)
            .limit(limit)
        )
    ]
    for start in range(0, len(old), 500):
        connection.execute(sa.delete(inbox).where(inbox.c.position.in_(old[start : start + 500])))
    return len(old)


def _same(event: InboxEvent) -> sa.Update:
    return sa.update(inbox).where(
        inbox.c.consumer == event.consumer, inbox.c.source == event.source, inbox.c.event_id == event.event_id
    )


def _event(row: RowMapping) -> InboxEvent:
    values = dict(row)
    check_place(inbox, values)
    values["status"] = InboxStatus(values["status"])
    return InboxEvent(**values)
