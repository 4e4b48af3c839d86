"""Where graphs stand though what they stand for is settled: ended waits, decided, expired and void approvals, resolved attempts."""

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
"""For so many seconds a decision, or a resolution, is left to whoever took it: as a rule they resume the graph themselves."""


class Kind(StrEnum):
    """What a graph stopped for."""

    WAIT = "wait"
    APPROVAL = "approval"
    ATTEMPT = "attempt"
    """An attempt of unknown outcome."""
    DEADLINE = "deadline"
    """The deadline of an approval that another edge follows: nothing is to be resumed, and a failure is tried again as for the others."""
    PROPOSAL = "proposal"
    """A proposal from outside the graph that was granted: likewise."""
    CANCEL = "cancel"
    """An instance that is being cancelled, or has come to the deadline of its being so: likewise."""


@dataclass(frozen=True)
class Stop:
    """One place where a graph stands, as far as is known."""

    kind: Kind
    workflow_id: str
    id: str
    """Of the wait or the approval; of an attempt its idempotency key."""
    owner: str | None = None
    """Who has taken it up."""
    held_until: int = 0

    @property
    def name(self) -> tuple[Kind, str, str]:
        """What it is known by."""
        return self.kind, self.workflow_id, self.id


def pending(
    connection: Connection, *, workflow: str, now: int, decided_before: int, inside: bool, limit: int
) -> list[Stop]:
    """The stops of a workflow whose graphs have not continued yet and are to be tried now: of each kind the new ones first.

    Args:
        connection: The connection.
        workflow: Of which workflow.
        now: Microseconds since 1970 UTC; those whose next attempt is later are left out.
        decided_before: Decisions that were taken later are left to whoever took them.
        inside: Whether also those of instances whose graph runs inside another one.
        limit: How many of a kind at most.
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
"""New ones first: those that fail again and again come after them."""


def _waits(workflow: str) -> sa.Select[Any]:
    return (
        sa.select(waits.c.workflow_id, waits.c.wait_id, resumptions.c.owner, resumptions.c.held_until)
        .outerjoin(resumptions, _taken_up(Kind.WAIT, waits.c.workflow_id, waits.c.wait_id))
        .where(waits.c.workflow == workflow, waits.c.resumed == _zero, waits.c.status != _literal(WaitStatus.OPEN))
        .order_by(_tried, waits.c.ended_at)
    )


def _approvals(workflow: str, decided_before: int) -> sa.Select[Any]:
    # One that was used was followed: its command was carried out, by a run that had passed the approval.
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
    """Approvals whose command was carried out by a run that a tick had begun, and that broke after it."""
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
    """Whether the graph has not continued from a stop yet, as far as is known."""
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
    """Write down that the graph has continued from a stop."""
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
    """Write down that the graph of an instance has continued from everything that was settled: a whole run of it has ended since."""
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
