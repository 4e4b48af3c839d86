"""The deliveries of webhooks in SQL: recorded once, claimed by one sender at a time, and kept after delivery."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.tables.workflow import outbox, webhooks

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


@dataclass(frozen=True)
class Due:
    """An event that is due for a webhook."""

    hook: str
    event_id: str
    attempt: int
    envelope: str


def note(connection: Connection, hooks: Sequence[str], event_id: str, *, now: int) -> bool:
    """Record the delivery of an event in this outbox. Idempotent.

    Returns:
        Whether the event is in this outbox.
    """
    columns = outbox.c
    row = connection.execute(sa.select(columns.workflow_id, columns.tenant).where(columns.event_id == event_id)).first()
    if row is None:
        return False
    known = set(connection.scalars(sa.select(webhooks.c.hook).where(webhooks.c.event_id == event_id)))
    for hook in hooks:
        if hook in known:
            continue
        values = {
            "hook": hook, "event_id": event_id, "workflow_id": row.workflow_id, "tenant": row.tenant, "status": PENDING, "attempts": 0,
            "next_attempt_at": now, "created_at": now,
        }  # fmt: skip
        try:
            with connection.begin_nested():
                connection.execute(webhooks.insert().values(values))
        except sa.exc.IntegrityError:
            continue  # another process has just recorded it
    return True


def any_due(connection: Connection, hooks: Sequence[str], *, now: int) -> bool:
    """Whether a delivery is due, checked without a lock, because it runs every second."""
    columns = webhooks.c
    due = sa.select(columns.hook).where(
        columns.status == PENDING, columns.next_attempt_at <= now, columns.hook.in_(hooks)
    )
    return connection.execute(due.limit(1)).first() is not None


def take(connection: Connection, hooks: Sequence[str], *, now: int, until: int, limit: int) -> list[Due]:
    """Claim due deliveries until a time; drops those of erased events."""
    columns = webhooks.c
    due = (
        sa.select(columns.hook, columns.event_id, columns.attempts, outbox.c.envelope)
        .join_from(webhooks, outbox, outbox.c.event_id == columns.event_id)
        .where(columns.status == PENDING, columns.next_attempt_at <= now, columns.hook.in_(hooks))
        .order_by(columns.next_attempt_at)
        .limit(limit)
    )
    taken = []
    for row in connection.execute(due).all():
        ours = sa.update(webhooks).where(
            columns.hook == row.hook,
            columns.event_id == row.event_id,
            columns.status == PENDING,
            columns.attempts == row.attempts,
            columns.next_attempt_at <= now,
        )
        if connection.execute(ours.values(attempts=row.attempts + 1, next_attempt_at=until)).rowcount == 1:
            taken.append(Due(row.hook, row.event_id, row.attempts + 1, row.envelope))
    return taken


def settle(
    connection: Connection,
    one: Due,
    status: str,
    *,
    now: int,
    next_attempt_at: int | None = None,
    error: str | None = None,
) -> None:
    """Record the outcome of an attempt, unless another process has made a later one."""
    connection.execute(
        sa.update(webhooks)
        .where(webhooks.c.hook == one.hook, webhooks.c.event_id == one.event_id, webhooks.c.attempts == one.attempt)
        .values(
            status=status,
            next_attempt_at=now if next_attempt_at is None else next_attempt_at,
            error=error,
            settled_at=None if status == PENDING else now,
        )
    )


@dataclass(frozen=True)
class GivenUp:
    """An event whose delivery to a webhook was given up."""

    hook: str
    event_id: str
    event_name: str
    workflow_id: str
    attempts: int
    error: str | None
    created_at: int


def given_up(connection: Connection, *, tenant: str, limit: int) -> list[GivenUp]:
    """The deliveries that were given up, the newest first."""
    columns = webhooks.c
    # Subqueries, because with a join SQLite may read the whole outbox.
    name = sa.select(outbox.c.event_name).where(outbox.c.event_id == columns.event_id).scalar_subquery()
    statement = (
        sa.select(
            columns.hook,
            columns.event_id,
            name.label("event_name"),
            columns.workflow_id,
            columns.attempts,
            columns.error,
            columns.created_at,
        )
        .where(columns.status == DEAD, columns.tenant == tenant)
        .order_by(columns.next_attempt_at.desc())
        .limit(limit)
    )
    # Without trimmed events, which cannot be sent any more.
    return [GivenUp(*row) for row in connection.execute(statement) if row.event_name is not None]


def retry(connection: Connection, event_id: str, *, tenant: str, now: int) -> int:
    """Retry deliveries that were given up; returns their number."""
    columns = webhooks.c
    given_up = sa.update(webhooks).where(columns.event_id == event_id, columns.tenant == tenant, columns.status == DEAD)
    return connection.execute(
        given_up.values(status=PENDING, attempts=0, next_attempt_at=now, settled_at=None)
    ).rowcount


def forget(connection: Connection, *, before: int) -> int:
    """Delete deliveries that succeeded before a moment."""
    old = sa.delete(webhooks).where(webhooks.c.status == DELIVERED, webhooks.c.next_attempt_at < before)
    return connection.execute(old).rowcount


__all__ = [
    "DEAD",
    "DELIVERED",
    "PENDING",
    "Due",
    "GivenUp",
    "any_due",
    "forget",
    "given_up",
    "note",
    "retry",
    "settle",
    "take",
]
