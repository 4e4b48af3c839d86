"""Queries for approvals: of one instance, in pages, and those that are due."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import InputError
from ..statements import Prepared
from ..tables.resumptions import resumptions
from ..tables.workflow import approvals
from .approvals import ApprovalRequest, ApprovalStatus, from_row
from .settled.stops import Kind

_oldest_first = (approvals.c.requested_at, approvals.c.approval_id)
_pending = Prepared(
    sa.select(approvals)
    .where(approvals.c.workflow_id == sa.bindparam("workflow_id"), approvals.c.status == sa.bindparam("status"))
    .order_by(*_oldest_first)
)
_count_pending = Prepared(
    sa.select(sa.func.count())
    .select_from(approvals)
    .where(approvals.c.workflow_id == sa.bindparam("workflow_id"), approvals.c.status == sa.bindparam("status"))
)


@dataclass(frozen=True)
class Page:
    """Some of the approvals that were asked for, oldest first."""

    approvals: tuple[ApprovalRequest, ...]
    next: str | None
    """The value of `after` for the next page; None on the last page."""


def pending(connection: Connection, workflow_id: str) -> list[ApprovalRequest]:
    """The undecided requests of one instance, oldest first."""
    found = _pending.all(connection, {"workflow_id": workflow_id, "status": ApprovalStatus.REQUESTED.value})
    return [from_row(row) for row in found]


def open_ones(connection: Connection, workflow_id: str) -> list[ApprovalRequest]:
    """The requests of one instance that wait for a decision or for their execution, oldest first.

    The latter are settled requests whose graph is not known to have resumed, and granted proposals from outside the graph that are
    not executed.
    """
    granted = approvals.c.status.in_([status.value for status in ApprovalStatus if status.is_granted])
    statement = (
        sa.select(approvals)
        .where(
            approvals.c.workflow_id == workflow_id,
            approvals.c.status != ApprovalStatus.USED.value,
            sa.or_(
                approvals.c.status == ApprovalStatus.REQUESTED.value,
                approvals.c.interrupt_id.is_not(None),
                sa.and_(granted, approvals.c.thread_id.is_(None)),
            ),
        )
        .order_by(*_oldest_first)
    )
    return [from_row(row) for row in connection.execute(statement)]


def count_pending(connection: Connection, workflow_id: str) -> int:
    """The number of undecided requests of one instance."""
    found = _count_pending.all(connection, {"workflow_id": workflow_id, "status": ApprovalStatus.REQUESTED.value})
    return int(found[0][0])


def page(
    connection: Connection,
    *,
    tenant: str | None,
    status: ApprovalStatus | None,
    workflow: str | None,
    tool: str | None,
    limit: int,
    after: str | None,
) -> Page:
    """A page of approvals, oldest first.

    Args:
        tenant: The tenant; None for all of them.
        status: The status of the approvals; None for any.
        workflow: The name of the workflow; None for any.
        tool: The canonical name of the tool; None for any.
        limit: How many at most.
        after: The `next` of the previous page.

    Raises:
        InputError: `after` is not what a page gave, or the limit is not a number from 1 to 1000.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 1000:
        raise InputError(f"A page holds from 1 to 1000 approvals, and {limit!r} were asked for.")
    statement = sa.select(approvals).order_by(*_oldest_first).limit(limit + 1)
    for column, value in (
        (approvals.c.tenant, tenant),
        (approvals.c.status, None if status is None else ApprovalStatus(status).value),
        (approvals.c.workflow, workflow),
        (approvals.c.tool, tool),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if after is not None:
        at, approval_id = _cursor(after)
        # Two conditions instead of a row comparison, so that every database walks its index instead of sorting.
        statement = statement.where(
            approvals.c.requested_at >= at,
            sa.or_(approvals.c.requested_at > at, approvals.c.approval_id > approval_id),
        )
    found = [from_row(row) for row in connection.execute(statement)]
    shown = tuple(found[:limit])
    more = len(found) > limit
    return Page(shown, f"{shown[-1].requested_at}.{shown[-1].approval_id}" if more else None)


def due(connection: Connection, *, workflow: str, now: int, limit: int) -> list[tuple[str, str]]:
    """The ids (of approval and instance) of a workflow's expired requests, the longest overdue first.

    Requests whose processing failed are left out until their retry is due.
    """
    statement = (
        sa.select(approvals.c.approval_id, approvals.c.workflow_id)
        .outerjoin(resumptions, _tried(Kind.DEADLINE))
        .where(
            approvals.c.status == ApprovalStatus.REQUESTED.value,
            approvals.c.expires_at <= now,
            approvals.c.workflow == workflow,
            sa.func.coalesce(resumptions.c.next_attempt_at, 0) <= now,
        )
        .order_by(approvals.c.expires_at, approvals.c.approval_id)
        .limit(limit)
    )
    return [(str(row[0]), str(row[1])) for row in connection.execute(statement)]


def reminders(connection: Connection, *, workflow: str, now: int, limit: int) -> list[tuple[str, str]]:
    """The ids (of approval and instance) of a workflow's requests whose deciders are due for a reminder."""
    statement = (
        sa.select(approvals.c.approval_id, approvals.c.workflow_id)
        .where(
            approvals.c.status == ApprovalStatus.REQUESTED.value,
            approvals.c.workflow == workflow,
            approvals.c.remind_at.is_not(None),
            approvals.c.remind_at <= now,
        )
        .order_by(approvals.c.remind_at, approvals.c.approval_id)
        .limit(limit)
    )
    return [(str(row[0]), str(row[1])) for row in connection.execute(statement)]


def granted(connection: Connection, *, workflow: str, now: int, limit: int) -> list[tuple[str, str]]:
    """The ids (of approval and instance) of granted proposals from outside the graph that are not executed yet.

    Args:
        connection: The connection.
        workflow: The workflow.
        now: Microseconds since 1970 UTC; failed ones whose retry is later are left out.
        limit: The maximum number, the longest granted first.
    """
    statement = (
        sa.select(approvals.c.approval_id, approvals.c.workflow_id)
        .outerjoin(resumptions, _tried(Kind.PROPOSAL))
        .where(
            approvals.c.workflow == workflow,
            approvals.c.status.in_(
                [sa.literal_column(f"'{status.value}'") for status in ApprovalStatus if status.is_granted]
            ),
            approvals.c.interrupt_id.is_(None),
            approvals.c.thread_id.is_(None),
            sa.func.coalesce(resumptions.c.next_attempt_at, 0) <= now,
        )
        .order_by(approvals.c.decided_at, approvals.c.approval_id)
        .limit(limit)
    )
    return [(str(row[0]), str(row[1])) for row in connection.execute(statement)]


def _tried(kind: Kind) -> sa.ColumnElement[bool]:
    """The join condition for the attempts to process an approval."""
    return sa.and_(
        resumptions.c.kind == kind.value,
        resumptions.c.workflow_id == approvals.c.workflow_id,
        resumptions.c.stop_id == approvals.c.approval_id,
    )


def _cursor(text: str) -> tuple[int, str]:
    at, _, approval_id = text.partition(".")
    if not at.isascii() or not at.isdecimal() or len(at) > 18 or not approval_id:
        raise InputError(f"{text[:80]!r} is not where a page ended; give the `next` of the page before, or nothing.")
    return int(at), approval_id


__all__ = ["Page", "count_pending", "due", "granted", "open_ones", "page", "pending", "reminders"]
