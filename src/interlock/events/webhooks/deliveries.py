"""What is to be sent where, in SQL: noted once, taken by one sender at a time, and remembered when it has arrived."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.tables.workflow import outbox, webhooks

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


@dataclass(frozen=True)
class Due:
    """An event that a webhook is to be told of now."""

    hook: str
    event_id: str
    attempt: int
    envelope: str


def note(connection: Connection, hooks: Sequence[str], event_id: str, *, now: int) -> bool:
    """Note that an event of this outbox is to be sent; doing it again changes nothing.

    Returns:
        Whether the event is one of this outbox.
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
            continue  # another process noted it just now
    return True


def any_due(connection: Connection, hooks: Sequence[str], *, now: int) -> bool:
    """Whether something is due: a look that takes no lock, for this is asked every second."""
    columns = webhooks.c
    due = sa.select(columns.hook).where(
        columns.status == PENDING, columns.next_attempt_at <= now, columns.hook.in_(hooks)
    )
    return connection.execute(due.limit(1)).first() is not None


def take(connection: Connection, hooks: Sequence[str], *, now: int, until: int, limit: int) -> list[Due]:
    """Take what is due, for nobody else to send until then; what was erased meanwhile is dropped."""
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
    """Write down what became of an attempt, unless somebody else has made another one since."""
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
    """An event that a webhook is told of no more."""

    hook: str
    event_id: str
    event_name: str
    workflow_id: str
    attempts: int
    error: str | None
    created_at: int


def given_up(connection: Connection, *, tenant: str, limit: int) -> list[GivenUp]:
    """What was given up, the newest first."""
    columns = webhooks.c
    # Looked up for each: of a join, SQLite may read the outbox whole.
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
    # Without those whose event was trimmed: they cannot be sent any more.
    return [GivenUp(*row) for row in connection.execute(statement) if row.event_name is not None]


def retry(connection: Connection, event_id: str, *, tenant: str, now: int) -> int:
    """Try again what was given up; how many webhooks are told again."""
    columns = webhooks.c
    given_up = sa.update(webhooks).where(columns.event_id == event_id, columns.tenant == tenant, columns.status == DEAD)
    return connection.execute(
        given_up.values(status=PENDING, attempts=0, next_attempt_at=now, settled_at=None)
    ).rowcount


def forget(connection: Connection, *, before: int) -> int:
    """Delete what was delivered before a moment."""
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
