"""The outbox: events that are published if and only if the transaction that emitted them commits.

A relay leases lanes: a lane is all due events of one workflow instance, and only one relay at a time has it, so that the events of an
instance are published in order whatever the number of relays. Claiming is a short transaction under the lock of one row, the gate;
publishing happens outside any transaction; the lane of a dead relay becomes free when its lease expires. A relay may claim ahead: the
events after those of a lane that it is publishing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from ...tools.canonical import canonical_json
from ...tools.events import EventEnvelope
from ..statements import Prepared
from ..tables.workflow import outbox, relay_lanes
from ..vault import placed
from .sql.insert import insert_or_ignore

T = TypeVar("T")


class OutboxStatus(StrEnum):
    """The publication status of an event."""

    PENDING = "pending"
    """Not published, or not known to be."""
    PUBLISHED = "published"
    DEAD = "dead"
    """Given up after too many attempts; a person can retry it."""


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """One event in the outbox."""

    position: int
    event_id: str
    workflow_id: str
    tenant: str
    event_name: str
    trace_id: str
    envelope: str
    """The envelope as JSON text, exactly as it goes over the wire."""
    status: OutboxStatus
    attempts: int
    next_attempt_at: int
    error: str | None
    created_at: int
    published_at: int | None
    destination: str | None


class DueEvent(NamedTuple):
    """What a relay needs of an event that is due."""

    position: int
    workflow_id: str
    event_id: str
    envelope: str
    """The envelope as JSON text, exactly as it goes over the wire."""
    attempts: int
    next_attempt_at: int


listeners: list[Callable[[Connection, Sequence[int], int], None]] = []
"""Listeners for published positions and their time, called in the transaction that records them; they must not raise."""
PENDING = OutboxStatus.PENDING.value
GATE = ""
"""The gate, a lane without an instance: a claim locks its row, so that claims are serialized."""

_columns = [
    column.name for column in outbox.columns if column.name not in {"position", "error", "published_at", "destination"}
]
_insert = Prepared(sa.insert(outbox), _columns)
_IN = 500
"""The maximum number of rows per statement, because databases limit the number of parameters."""


# A literal instead of a parameter, so that the planner knows that few rows match.
_is_pending = outbox.c.status == sa.literal_column(f"'{PENDING}'")
_pending = sa.select(sa.literal(1)).select_from(outbox).where(_is_pending).limit(1)
_elsewhere = sa.select(relay_lanes.c.workflow_id).where(
    relay_lanes.c.workflow_id == outbox.c.workflow_id,
    sa.case(
        (relay_lanes.c.owner == sa.bindparam("behind", type_=sa.String), outbox.c.position <= relay_lanes.c.claimed_to),
        else_=relay_lanes.c.held_until > sa.bindparam("now", type_=sa.BigInteger),
    ),
)
_due = (
    sa.select(*(outbox.c[name] for name in DueEvent._fields))
    .where(_is_pending, ~_elsewhere.exists())
    .order_by(outbox.c.position)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
# Literal numbers: binding hundreds of parameters costs drivers and servers more than parsing literals.
_among = outbox.c.position.in_(sa.bindparam("positions", expanding=True, literal_execute=True))
_mark = (
    sa.update(outbox)
    .where(_among)
    .values(
        status=OutboxStatus.PUBLISHED.value,
        attempts=outbox.c.attempts + 1,
        published_at=sa.bindparam("now"),
        destination=sa.bindparam("destination"),
        error=None,
    )
)
_hold = Prepared(sa.insert(relay_lanes), ["workflow_id", "owner", "held_until", "claimed_to"])


def append(connection: Connection, envelopes: list[EventEnvelope], *, tenant: str, now: int) -> None:
    """Put events into the outbox, in the order in which they were emitted."""
    _insert.execute_many(connection, [_values(envelope, tenant=tenant, now=now) for envelope in envelopes])


def _values(envelope: EventEnvelope, *, tenant: str, now: int) -> dict[str, Any]:
    values = {
        "event_id": envelope.event_id,
        "workflow_id": envelope.workflow_id,
        "tenant": tenant,
        "event_name": envelope.event_name,
        "trace_id": envelope.trace_id,
        "envelope": canonical_json(envelope.to_json()),
        "status": PENDING,
        "attempts": 0,
        "next_attempt_at": now,
        "created_at": now,
    }
    return placed(outbox, values)


def any_pending(connection: Connection) -> bool:
    """Whether any event is unpublished."""
    return connection.execute(_pending).first() is not None


def claim(
    connection: Connection, *, owner: str, now: int, until: int, limit: int, behind: str | None = None
) -> list[DueEvent]:
    """Claim due events, oldest first, and lease their lanes.

    Args:
        connection: In a write transaction with the gate's lock, to be committed before publishing.
        owner: The name of this claim; a new one each time.
        now: Microseconds since 1970 UTC, by the database's clock.
        until: The expiry of the lanes' leases.
        limit: The maximum number of events.
        behind: A claim of the same relay whose events are still in progress. Its lanes may be taken over with the later events.
    """
    parameters = {"now": now, "behind": owner if behind is None else behind, "limit": limit}
    found = [DueEvent._make(row) for row in connection.execute(_due, parameters)]
    last = {event.workflow_id: event.position for event in found}
    for some in _in_chunks(sorted(last)):
        # The remaining leases have expired without a holder, or are to be taken over.
        connection.execute(sa.delete(relay_lanes).where(relay_lanes.c.workflow_id.in_(some)))
        _hold.execute_many(
            connection,
            [{"workflow_id": lane, "owner": owner, "held_until": until, "claimed_to": last[lane]} for lane in some],
        )
    return found


def published(connection: Connection, positions: Sequence[int], *, now: int, destination: str) -> None:
    """Record that the broker has these events."""
    for tell in listeners:
        tell(connection, positions, now)
    values = {"now": now, "destination": destination}
    for some in _in_chunks(positions):
        connection.execute(_mark, {"positions": some, **values})


def failed(connection: Connection, event: DueEvent, error: str, *, retry_at: int | None) -> None:
    """Record that one event could not be published.

    Args:
        retry_at: The time of the retry, until which its lane waits; None to give up, which lets the lane continue.
    """
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.position == event.position, outbox.c.status == PENDING)
        .values(
            status=OutboxStatus.DEAD.value if retry_at is None else PENDING,
            attempts=outbox.c.attempts + 1,
            next_attempt_at=event.next_attempt_at if retry_at is None else retry_at,
            error=error,
        )
    )


def release(
    connection: Connection,
    owner: str,
    *,
    waiting: Mapping[str, int] | None = None,
    stopped: Sequence[str] = (),
    successor: str | None = None,
) -> None:
    """Release the lanes of a claim.

    Args:
        connection: In a write transaction with the gate's lock.
        owner: The claim. Lanes that expired and were taken over by another relay stay with it.
        waiting: Lanes that wait until the retry of their first event, with its time.
        stopped: Lanes with unpublished events that need not wait.
        successor: The claim behind this one, which may now hold the waiting or stopped lanes.
    """
    holders = [owner] if successor is None else [owner, successor]
    for lane, until in (waiting or {}).items():
        connection.execute(
            sa.update(relay_lanes)
            .where(relay_lanes.c.workflow_id == lane, relay_lanes.c.owner.in_(holders))
            .values(owner="", held_until=until, claimed_to=0)
        )
    if successor is not None:
        for some in _in_chunks(stopped):
            connection.execute(
                sa.delete(relay_lanes).where(relay_lanes.c.workflow_id.in_(some), relay_lanes.c.owner == successor)
            )
    connection.execute(sa.delete(relay_lanes).where(relay_lanes.c.owner == owner))


def retry(connection: Connection, *, event_id: str | None = None, now: int) -> int:
    """Retry dead events, all of them or one.

    Returns:
        The number of retried events.
    """
    statement = sa.update(outbox).where(outbox.c.status == OutboxStatus.DEAD.value)
    if event_id is not None:
        statement = statement.where(outbox.c.event_id == event_id)
    return connection.execute(statement.values(status=PENDING, attempts=0, next_attempt_at=now)).rowcount


def trim(connection: Connection, *, before: int, limit: int) -> int:
    """Delete at most `limit` events that were published before a moment, oldest first.

    Returns:
        How many were deleted.
    """
    old = [
        row[0]
        for row in connection.execute(
            sa.select(outbox.c.position)
            .where(outbox.c.status == OutboxStatus.PUBLISHED.value, outbox.c.published_at < before)
            .order_by(outbox.c.position)
            .limit(limit)
        )
    ]
    for some in _in_chunks(old):
        connection.execute(sa.delete(outbox).where(_among), {"positions": some})
    return len(old)


def find(connection: Connection, event_id: str) -> OutboxEvent | None:
    """Read one event."""
    row = connection.execute(sa.select(outbox).where(outbox.c.event_id == event_id)).mappings().first()
    return None if row is None else _event(row)


def listing(
    connection: Connection,
    *,
    status: OutboxStatus | None = None,
    workflow_id: str | None = None,
    trace_id: str | None = None,
    tenant: str | None = None,
    limit: int = 100,
) -> list[OutboxEvent]:
    """Events of the outbox, newest first."""
    statement = sa.select(outbox).order_by(outbox.c.position.desc()).limit(limit)
    if status is not None:
        statement = statement.where(outbox.c.status == status.value)
    for column, wanted in (
        (outbox.c.workflow_id, workflow_id),
        (outbox.c.trace_id, trace_id),
        (outbox.c.tenant, tenant),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return [_event(row) for row in connection.execute(statement).mappings()]


def counts(connection: Connection) -> dict[OutboxStatus, int]:
    """The number of events by status."""
    rows = connection.execute(sa.select(outbox.c.status, sa.func.count()).group_by(outbox.c.status))
    return {OutboxStatus(status): int(count) for status, count in rows}


def enter_gate(connection: Connection) -> None:
    """Lock the gate: operations on lanes are serialized, so that they never wait for each other's lanes."""
    gate = sa.select(relay_lanes.c.owner).where(relay_lanes.c.workflow_id == GATE).with_for_update()
    if connection.execute(gate).first() is None:
        insert_or_ignore(
            connection, relay_lanes, {"workflow_id": GATE, "owner": "gate", "held_until": 0, "claimed_to": 0}
        )
        connection.execute(gate).first()


def _event(row: RowMapping) -> OutboxEvent:
    values = dict(row)
    values["status"] = OutboxStatus(values["status"])
    return OutboxEvent(**values)


def _in_chunks(values: Sequence[T]) -> list[Sequence[T]]:
    return [values[start : start + _IN] for start in range(0, len(values), _IN)]
