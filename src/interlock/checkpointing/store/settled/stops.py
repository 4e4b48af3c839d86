"""Finds graphs that are stopped at something settled: ended waits, decided, expired and void approvals, resolved attempts."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tables.resumptions import resumptions
from ...tables.workflow import approvals, waits
from ..approvals import ApprovalStatus
from ..sql.embedding import on_its_own
from ..waits import WaitStatus

LEFT_ALONE = 5.0
"""For so many seconds a tick ignores a decision or a resolution, because its maker usually resumes the graph."""


class Kind(StrEnum):
    """The reason of a stop."""

    WAIT = "wait"
    APPROVAL = "approval"
    ATTEMPT = "attempt"
    """An attempt of unknown outcome."""
    DEADLINE = "deadline"
    """The deadline of an approval with an expiry edge: there is nothing to resume, but failures are retried in the same way."""
    PROPOSAL = "proposal"
    """A granted proposal from outside the graph; likewise."""
    CANCEL = "cancel"
    """An instance that is being cancelled, or whose cancel deadline has passed; likewise."""


@dataclass(frozen=True)
class Stop:
    """One known stop of a graph."""

    kind: Kind
    workflow_id: str
    id: str
    """The id of the wait or the approval, or the idempotency key of an attempt."""
    owner: str | None = None
    """The owner of the current claim."""
    held_until: int = 0

    @property
    def name(self) -> tuple[Kind, str, str]:
        """The key of the stop."""
        return self.kind, self.workflow_id, self.id


def pending(
    connection: Connection, *, workflow: str, now: int, decided_before: int, inside: bool, limit: int
) -> list[Stop]:
    """The stops of a workflow whose graphs have not resumed and are due now; new ones first within each kind.

    Args:
        connection: The connection.
        workflow: The workflow.
        now: Microseconds since 1970 UTC; stops whose next attempt is later are left out.
        decided_before: Later decisions are left to their makers.
        inside: Whether to include instances whose graph runs inside another one.
        limit: The maximum number of each kind.
    """
    found: list[Stop] = []
    for kind, workflow_id, statement in (
        (Kind.APPROVAL, approvals.c.workflow_id, _approvals(workflow, decided_before)),
        (Kind.APPROVAL, resumptions.c.workflow_id, _used(workflow)),
        (Kind.WAIT, waits.c.workflow_id, _waits(workflow)),
        (Kind.ATTEMPT, resumptions.c.workflow_id, _attempts(workflow)),
    ):
        due = statement.where(_tried <= now).limit(limit)
        rows = connection.execute(due if inside else due.where(on_its_own(workflow_id)))
        found += [Stop(kind, str(row[0]), str(row[1]), row[2], row[3] or 0) for row in rows]
    return found


def _taken_up(kind: Kind, workflow_id: sa.Column[str], stop_id: sa.Column[str]) -> sa.ColumnElement[bool]:
    return sa.and_(
        resumptions.c.kind == kind.value,
        resumptions.c.workflow_id == workflow_id,
        resumptions.c.stop_id == stop_id,
    )


_zero: sa.ColumnElement[int] = sa.literal_column("0")  # as the partial index has it
_tried = sa.func.coalesce(resumptions.c.next_attempt_at, 0)
"""New ones first, before those that fail repeatedly."""


def _waits(workflow: str) -> sa.Select[Any]:
    return (
        sa.select(waits.c.workflow_id, waits.c.wait_id, resumptions.c.owner, resumptions.c.held_until)
        .outerjoin(resumptions, _taken_up(Kind.WAIT, waits.c.workflow_id, waits.c.wait_id))
        .where(waits.c.workflow == workflow, waits.c.resumed == _zero, waits.c.status != _literal(WaitStatus.OPEN))
        .order_by(_tried, waits.c.ended_at)
    )


def _approvals(workflow: str, decided_before: int) -> sa.Select[Any]:
    # A used approval needs no resume: a run has passed it and executed its command.
    settled = sa.and_(
        approvals.c.status != _literal(ApprovalStatus.REQUESTED), approvals.c.status != _literal(ApprovalStatus.USED)
    )
    by_a_person = sa.and_(approvals.c.decided_at > decided_before, approvals.c.status != ApprovalStatus.EXPIRED.value)
    return (
        sa.select(approvals.c.workflow_id, approvals.c.approval_id, resumptions.c.owner, resumptions.c.held_until)
        .outerjoin(resumptions, _taken_up(Kind.APPROVAL, approvals.c.workflow_id, approvals.c.approval_id))
        .where(approvals.c.workflow == workflow, settled, approvals.c.interrupt_id.is_not(None))
        .where(sa.not_(sa.func.coalesce(by_a_person, sa.false())))
        .order_by(_tried, approvals.c.decided_at, approvals.c.approval_id)
    )


def _used(workflow: str) -> sa.Select[Any]:
    """Approvals whose command was executed by a run of a tick that failed afterwards."""
    return (
        sa.select(resumptions.c.workflow_id, resumptions.c.stop_id, resumptions.c.owner, resumptions.c.held_until)
        .join(approvals, approvals.c.approval_id == resumptions.c.stop_id)
        .where(
            resumptions.c.workflow == workflow,
            resumptions.c.kind == Kind.APPROVAL.value,
            approvals.c.status == ApprovalStatus.USED.value,
        )
        .order_by(resumptions.c.next_attempt_at)
    )


def _attempts(workflow: str) -> sa.Select[Any]:
    return (
        sa.select(resumptions.c.workflow_id, resumptions.c.stop_id, resumptions.c.owner, resumptions.c.held_until)
        .where(resumptions.c.workflow == workflow, resumptions.c.kind == Kind.ATTEMPT.value)
        .order_by(resumptions.c.next_attempt_at, resumptions.c.settled_at)
    )


def _literal(status: StrEnum) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{status.value}'")  # as the partial index has it


def is_pending(connection: Connection, stop: Stop) -> bool:
    """Whether the graph is not known to have resumed from a stop."""
    if stop.kind is Kind.WAIT:
        found = sa.select(waits.c.wait_id).where(
            waits.c.wait_id == stop.id, waits.c.resumed == 0, waits.c.status != WaitStatus.OPEN.value
        )
    elif stop.kind is Kind.APPROVAL:
        found = sa.select(approvals.c.approval_id).where(
            approvals.c.approval_id == stop.id,
            approvals.c.interrupt_id.is_not(None),
            approvals.c.status != ApprovalStatus.REQUESTED.value,
        )
    else:
        found = sa.select(resumptions.c.stop_id).where(_is(stop))
    return connection.execute(found).first() is not None


def mark(connection: Connection, stop: Stop) -> None:
    """Record that the graph has resumed from a stop."""
    if stop.kind is Kind.WAIT:
        connection.execute(sa.update(waits).where(waits.c.wait_id == stop.id).values(resumed=1))
    elif stop.kind is Kind.APPROVAL:
        connection.execute(
            sa.update(approvals)
            .where(approvals.c.approval_id == stop.id, approvals.c.status != ApprovalStatus.REQUESTED.value)
            .values(interrupt_id=sa.null())
        )
    connection.execute(sa.delete(resumptions).where(_is(stop)))


def mark_all(connection: Connection, workflow_id: str) -> None:
    """Record that the graph of an instance has resumed from all settled stops, because a complete run has ended since."""
    connection.execute(
        sa.update(approvals)
        .where(
            approvals.c.workflow_id == workflow_id,
            approvals.c.interrupt_id.is_not(None),
            approvals.c.status != ApprovalStatus.REQUESTED.value,
        )
        .values(interrupt_id=sa.null())
    )
    connection.execute(
        sa.update(waits)
        .where(waits.c.workflow_id == workflow_id, waits.c.resumed == 0, waits.c.status != WaitStatus.OPEN.value)
        .values(resumed=1)
    )
    connection.execute(
        sa.delete(resumptions).where(
            resumptions.c.workflow_id == workflow_id,
            resumptions.c.kind.not_in([Kind.DEADLINE.value, Kind.PROPOSAL.value]),
        )
    )


def _is(stop: Stop) -> sa.ColumnElement[bool]:
    return sa.and_(
        resumptions.c.kind == stop.kind.value,
        resumptions.c.workflow_id == stop.workflow_id,
        resumptions.c.stop_id == stop.id,
    )


__all__ = ["LEFT_ALONE", "Kind", "Stop", "is_pending", "mark", "mark_all", "pending"]
