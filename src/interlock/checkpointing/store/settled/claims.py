"""Claims of stops, so that only one of several ticks resumes a graph; and the retries of failed attempts."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tables.resumptions import resumptions
from .. import leases
from .stops import Stop

HELD_SECONDS = 60.0
"""How long a claim lasts without renewal. The claim of a process on this machine ends with the process."""
LONGEST_PAUSE = 300.0
"""The maximum pause between two attempts, in seconds."""


@dataclass(frozen=True)
class Resumption:
    """The attempts to resume from a stop."""

    kind: str
    workflow_id: str
    stop_id: str
    attempts: int
    """The number of failed attempts."""
    error: str | None
    """The last failure: its type and code."""
    next_attempt_at: int
    owner: str | None
    """The owner of the current claim."""
    held_until: int


def claim(connection: Connection, stop: Stop, *, workflow: str, owner: str, now: int) -> Resumption | None:
    """Claim a stop, unless another owner has it.

    Args:
        connection: In a write transaction.
        stop: The stop.
        workflow: The workflow.
        owner: The new owner.
        now: Microseconds since 1970 UTC.

    Returns:
        The earlier attempts; None if another owner has the claim.
    """
    until = now + int(HELD_SECONDS * 1_000_000)
    row = connection.execute(sa.select(resumptions).where(_is(stop)).with_for_update()).mappings().first()
    if row is None:
        made = _row(stop, workflow=workflow, now=now, owner=owner, held_until=until)
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(resumptions).values(made))
        except sa.exc.IntegrityError:
            return None
        return _resumption(made)
    if is_held(row["owner"], row["held_until"], now):
        return None
    connection.execute(sa.update(resumptions).where(_is(stop)).values(owner=owner, held_until=until))
    return _resumption(row)


def is_held(owner: str | None, held_until: int, now: int) -> bool:
    """Whether the claim is valid: it has not expired, and its process is not known to be gone."""
    return owner is not None and held_until > now and leases.standing(owner) is not leases.Standing.GONE


def renew(connection: Connection, owner: str, *, now: int) -> None:
    """Extend the claims of an owner."""
    until = now + int(HELD_SECONDS * 1_000_000)
    connection.execute(sa.update(resumptions).where(resumptions.c.owner == owner).values(held_until=until))


def put_back(connection: Connection, stop: Stop, *, owner: str, at: int) -> None:
    """Release a stop that could not be resumed now for a temporary reason, until its next check."""
    connection.execute(
        sa.update(resumptions)
        .where(_is(stop), resumptions.c.owner == owner)
        .values(owner=None, held_until=0, next_attempt_at=at)
    )


def failed(connection: Connection, stop: Stop, *, workflow: str, error: str, now: int) -> int:
    """Record a failure, and release the stop.

    Returns:
        The time of the next attempt, in microseconds since 1970 UTC.
    """
    row = connection.execute(sa.select(resumptions.c.attempts).where(_is(stop)).with_for_update()).first()
    attempts = 1 if row is None else int(row[0]) + 1
    at = now + int(pause(attempts) * 1_000_000)
    values = {"attempts": attempts, "error": error, "next_attempt_at": at, "owner": None, "held_until": 0}
    if row is None:
        connection.execute(
            sa.insert(resumptions).values(
                {**_row(stop, workflow=workflow, now=now, owner=None, held_until=0), **values}
            )
        )
    else:
        connection.execute(sa.update(resumptions).where(_is(stop)).values(values))
    return at


def pause(attempts: int) -> float:
    """The seconds until the next attempt after so many failures: 0 after the first one, then doubled each time."""
    return 0.0 if attempts <= 1 else min(LONGEST_PAUSE, 2.0 ** min(attempts - 2, 16))


def note(connection: Connection, stop: Stop, *, workflow: str, now: int, at: int) -> None:
    """Record a settled stop that no other row shows, so that a tick resumes it.

    Args:
        connection: The transaction that settles it.
        stop: The stop.
        workflow: The workflow.
        now: Microseconds since 1970 UTC.
        at: The time from which a tick may resume it; before, the process that settled it may.
    """
    connection.execute(sa.delete(resumptions).where(_is(stop)))
    row = _row(stop, workflow=workflow, now=now, owner=None, held_until=0)
    connection.execute(sa.insert(resumptions).values({**row, "next_attempt_at": at}))


def forget(connection: Connection, stop: Stop) -> None:
    """Delete the row of a stop that needs no resume any more."""
    connection.execute(sa.delete(resumptions).where(_is(stop)))


def of_instance(connection: Connection, workflow_id: str) -> list[Resumption]:
    """The attempts to resume one instance."""
    statement = (
        sa.select(resumptions).where(resumptions.c.workflow_id == workflow_id).order_by(resumptions.c.settled_at)
    )
    return [_resumption(row) for row in connection.execute(statement).mappings()]


def _row(stop: Stop, *, workflow: str, now: int, owner: str | None, held_until: int) -> dict[str, object]:
    return {
        "kind": stop.kind.value,
        "workflow_id": stop.workflow_id,
        "stop_id": stop.id,
        "workflow": workflow,
        "settled_at": now,
        "attempts": 0,
        "error": None,
        "next_attempt_at": now,
        "owner": owner,
        "held_until": held_until,
    }


def _is(stop: Stop) -> sa.ColumnElement[bool]:
    return sa.and_(
        resumptions.c.kind == stop.kind.value,
        resumptions.c.workflow_id == stop.workflow_id,
        resumptions.c.stop_id == stop.id,
    )


def _resumption(row: object) -> Resumption:
    values = dict(row)  # type: ignore[call-overload]
    return Resumption(**{name: values[name] for name in Resumption.__dataclass_fields__})


__all__ = [
    "HELD_SECONDS",
    "LONGEST_PAUSE",
    "Resumption",
    "claim",
    "failed",
    "forget",
    "is_held",
    "note",
    "of_instance",
    "pause",
    "put_back",
    "renew",
]
