"""The outbox: events that leave when, and only when, the transaction that emitted them commits.

A relay claims lanes: all the events of one workflow instance that are due make up a lane, and only one relay at a time has it,
so that the events of an instance leave in their order whatever the number of relays. Claiming is a short transaction behind one
row, the gate; publishing happens outside any transaction; a lane whose relay died is free again when its time is over. A relay
may claim ahead: what comes after the events of a lane that it is publishing, and never those again.
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
    """Where an event is on its way out."""

    PENDING = "pending"
    """Not yet published, or not yet known to be."""
    PUBLISHED = "published"
    DEAD = "dead"
    """Given up after too many attempts; a person can put it back."""


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
"""Told which positions were published, and when, in the transaction that says so; for what watches, so they must not raise."""
PENDING = OutboxStatus.PENDING.value
GATE = ""
"""The lane that is not an instance's: whoever claims holds its row, so that claims come one after another."""

_columns = [
    column.name for column in outbox.columns if column.name not in {"position", "error", "published_at", "destination"}
]
_insert = Prepared(sa.insert(outbox), _columns)
_IN = 500
"""Rows named in one statement: databases bound the number of parameters."""


# Written out, and not a parameter: a planner that knows the value sees that few rows have it.
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
# Numbers are written into the statement: to bind hundreds of them costs drivers and servers more than to read them.
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
    """Whether there is anything to publish, now or later."""
    return connection.execute(_pending).first() is not None


def claim(
    connection: Connection, *, owner: str, now: int, until: int, limit: int, behind: str | None = None
) -> list[DueEvent]:
    """Take events that are due, oldest first, and hold their lanes.

    Args:
        connection: In a write transaction and behind the gate, to be committed before anything is published.
        owner: Names this claim; a new one each time.
        now: Microseconds since 1970 UTC, by the database's clock.
        until: When the lanes are free again, should the relay never come back.
        limit: How many events at most.
        behind: A claim of the same relay whose events are still in progress. Its lanes may be taken over with what comes after those.
    """
    parameters = {"now": now, "behind": owner if behind is None else behind, "limit": limit}
    found = [DueEvent._make(row) for row in connection.execute(_due, parameters)]
    last = {event.workflow_id: event.position for event in found}
    for some in _in_chunks(sorted(last)):
        # Those that are still there have run out, and nobody holds them, or they are those to be taken over.
        connection.execute(sa.delete(relay_lanes).where(relay_lanes.c.workflow_id.in_(some)))
        _hold.execute_many(
            connection,
            [{"workflow_id": lane, "owner": owner, "held_until": until, "claimed_to": last[lane]} for lane in some],
        )
    return found


def published(connection: Connection, positions: Sequence[int], *, now: int, destination: str) -> None:
    """Write down that the broker has these events."""
    for tell in listeners:
        tell(connection, positions, now)
    values = {"now": now, "destination": destination}
    for some in _in_chunks(positions):
        connection.execute(_mark, {"positions": some, **values})


def failed(connection: Connection, event: DueEvent, error: str, *, retry_at: int | None) -> None:
    """Write down that one event could not be published.

    Args:
        retry_at: When it is tried again, its lane waiting until then; None to give it up, which lets the lane continue.
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
    """Give the lanes of a claim back.

    Args:
        connection: In a write transaction and behind the gate.
        owner: The claim. Lanes that ran out and were taken over by another relay stay there.
        waiting: Lanes that are to rest until a moment, because their first event is tried again then.
        stopped: Lanes that did not come to their end and need not rest.
        successor: The claim behind this one, which may hold the lanes that are waiting or stopped by now.
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
    """Put dead events back, all of them or one.

    Returns:
        How many there were.
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
    """How many events stand where."""
    rows = connection.execute(sa.select(outbox.c.status, sa.func.count()).group_by(outbox.c.status))
    return {OutboxStatus(status): int(count) for status, count in rows}


def enter_gate(connection: Connection) -> None:
    """Wait until no other relay claims or marks: all who touch lanes do it one after another, so that none waits for another's."""
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
