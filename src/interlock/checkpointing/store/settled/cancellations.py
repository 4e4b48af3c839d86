"""Cancellations in SQL: an instance has one at most, written under the lock of its row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ....tools.canonical import JsonObject
from ....tools.principal import Principal, recorded_principal
from ...tables.cancellations import cancellations
from ...tables.resumptions import resumptions
from ...vault import check_place, placed
from ..sql.json_text import read_json, write_json
from .stops import Kind


class CancelStatus(StrEnum):
    """The status of a cancellation."""

    DUE = "due"
    """Nobody cancelled the instance; it has a deadline."""
    OPEN = "open"
    """Executed calls are being undone."""
    DONE = "done"


class Became(StrEnum):
    """The outcome of a call that a cancel has to undo."""

    TO_UNDO = "to_undo"
    UNDONE = "undone"
    NOTHING = "nothing"
    """There is nothing to undo: the tool declares so, the call did not happen, or it was undone before."""
    LEFT = "left"
    """A person has to take care of it."""


@dataclass
class CallToUndo:
    """An executed call, or one of unknown outcome, of a cancelled instance."""

    key: str
    """Its idempotency key."""
    tool: str
    state: str
    """The state in which it was executed."""
    target: str
    """The state to which it led."""
    became: Became = Became.TO_UNDO
    by: str | None = None
    """The tool that undoes it."""
    arguments: JsonObject | None = None
    """The arguments of the undoing call; once determined, they are the same at every attempt."""
    why: str | None = None
    """Why a person has to take care of it, why there is nothing to undo, or why it was denied for now."""
    audit_ref: str | None = None
    """The audit record of the undo."""
    denials: int = 0
    """How often the undo was denied for now."""
    again_at: int | None = None
    """The time of the next attempt after a denial."""


@dataclass
class CancellationRow:
    """The cancellation of one instance."""

    workflow_id: str
    tenant: str
    workflow: str
    status: CancelStatus
    due_at: int | None = None
    requested_at: int | None = None
    requested_by: Principal | None = None
    reason: str | None = None
    calls: list[CallToUndo] = field(default_factory=list)
    """Newest first."""
    ended_at: int | None = None


def load(connection: Connection, workflow_id: str) -> CancellationRow | None:
    """The cancellation of an instance."""
    statement = sa.select(cancellations).where(cancellations.c.workflow_id == workflow_id)
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    check_place(cancellations, dict(row))
    by = row["requested_by"]
    calls = [] if row["calls"] is None else read_json(row["calls"])
    return CancellationRow(
        workflow_id=row["workflow_id"],
        tenant=row["tenant"],
        workflow=row["workflow"],
        status=CancelStatus(row["status"]),
        due_at=row["due_at"],
        requested_at=row["requested_at"],
        requested_by=None if by is None else recorded_principal(read_json(by)),
        reason=None if row["reason"] is None else str(row["reason"]),
        calls=[CallToUndo(**{**call, "became": Became(call["became"])}) for call in calls],
        ended_at=row["ended_at"],
    )


def write(connection: Connection, row: CancellationRow, *, is_new: bool) -> None:
    """Write it, under the lock of its instance's row."""
    left = sum(call.became is Became.LEFT for call in row.calls)
    calls = [{**call.__dict__, "became": call.became.value} for call in row.calls]
    values: dict[str, Any] = {
        "workflow_id": row.workflow_id,
        "tenant": row.tenant,
        "workflow": row.workflow,
        "status": row.status.value,
        "due_at": row.due_at,
        "requested_at": row.requested_at,
        "requested_by": None if row.requested_by is None else write_json(row.requested_by.to_json()),
        "reason": row.reason,
        "calls": write_json(calls),
        "left_over": left,
        "ended_at": row.ended_at,
    }
    placed(cancellations, values)
    if is_new:
        connection.execute(sa.insert(cancellations).values(values))
        return
    mine = sa.update(cancellations).where(cancellations.c.workflow_id == row.workflow_id)
    connection.execute(mine.values({name: value for name, value in values.items() if name != "workflow_id"}))


def forget(connection: Connection, workflow_id: str) -> None:
    """Delete the cancel deadline of a finished instance."""
    of_it = sa.and_(cancellations.c.workflow_id == workflow_id, cancellations.c.status == CancelStatus.DUE.value)
    connection.execute(sa.delete(cancellations).where(of_it))


def to_take_up(connection: Connection, *, workflow: str, now: int, limit: int) -> list[tuple[str, str]]:
    """Instances whose cancel is in progress or due, each as a pair of ids, as for other stops: its own id twice."""
    found: list[tuple[str, str]] = []
    for which in (
        sa.and_(cancellations.c.status == _literal(CancelStatus.OPEN)),
        sa.and_(cancellations.c.status == _literal(CancelStatus.DUE), cancellations.c.due_at <= now),
    ):
        statement = (
            sa.select(cancellations.c.workflow_id)
            .outerjoin(
                resumptions,
                sa.and_(
                    resumptions.c.kind == Kind.CANCEL.value,
                    resumptions.c.workflow_id == cancellations.c.workflow_id,
                    resumptions.c.stop_id == cancellations.c.workflow_id,
                ),
            )
            .where(cancellations.c.workflow == workflow, which)
            .where(sa.func.coalesce(resumptions.c.next_attempt_at, 0) <= now)
            .order_by(sa.func.coalesce(resumptions.c.next_attempt_at, 0), cancellations.c.workflow_id)
            .limit(limit)
        )
        found += [(str(one), str(one)) for one in connection.scalars(statement)]
    return found


def left_over(connection: Connection, *, tenant: str, workflow: str, limit: int) -> Sequence[str]:
    """The cancelled instances of which a person has to see to something, the newest first."""
    statement = (
        sa.select(cancellations.c.workflow_id)
        .where(cancellations.c.tenant == tenant, cancellations.c.workflow == workflow, cancellations.c.left_over > 0)
        .order_by(cancellations.c.requested_at.desc(), cancellations.c.workflow_id)
        .limit(limit)
    )
    return [str(one) for one in connection.scalars(statement)]


def _literal(status: CancelStatus) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{status.value}'")  # as the partial indexes have it


__all__ = [
    "Became",
    "CallToUndo",
    "CancelStatus",
    "CancellationRow",
    "forget",
    "left_over",
    "load",
    "to_take_up",
    "write",
]
