"""Counts the calls and decisions of each of the last days."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..store.audit import AuditKind
from ..store.ledger import LedgerStatus
from ..tables.workflow import approvals, audit, decisions, instances, ledger

DAY = 86_400_000_000
"""Microseconds."""


@dataclass
class Day:
    """One day (UTC) of one workflow."""

    number: int
    """Days since 1970."""
    carried_out: int = 0
    failed: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    """Denials by their code."""
    decided: Counter[str] = field(default_factory=Counter)
    """Decisions of people by kind: approve, edit, reject, respond."""


def daily(connection: Connection, *, tenant: str, workflow: str, now: int, days: int = 14) -> list[Day]:
    """The last days of a workflow, oldest first, including days without any call.

    It reads every call of these days, so do not compute it at each request.

    Args:
        connection: A transaction.
        tenant: The tenant.
        workflow: The workflow.
        now: Microseconds since 1970 UTC.
        days: The number of days, including today.
    """
    last = now // DAY
    first = last - days + 1
    found: dict[int, Day] = defaultdict(lambda: Day(0), {number: Day(number) for number in range(first, last + 1)})
    theirs = sa.select(instances.c.workflow_id).where(instances.c.tenant == tenant, instances.c.workflow == workflow)

    def counted(table: sa.Table, moment: str, what: sa.ColumnElement[str], *where: sa.ColumnElement[bool]) -> Any:
        # Not `/`, which returns a fraction on some databases and rounds differently on others.
        day = ((table.c[moment] - table.c[moment] % DAY) / DAY).label("day")
        return sa.select(day, what, sa.func.count()).where(table.c[moment] >= first * DAY, *where).group_by(day, what)

    calls = counted(ledger, "started_at", ledger.c.status, ledger.c.tenant == tenant, ledger.c.workflow_id.in_(theirs))
    for day, status, number in connection.execute(calls):
        if status == LedgerStatus.COMPLETED.value:
            found[int(day)].carried_out += int(number)
        elif status == LedgerStatus.FAILED.value:
            found[int(day)].failed += int(number)
    is_denial = audit.c.kind == AuditKind.DENIAL.value
    denials = counted(
        audit, "recorded_at", audit.c.code, audit.c.tenant == tenant, is_denial, audit.c.workflow_id.in_(theirs)
    )
    for day, code, number in connection.execute(denials):
        found[int(day)].denied[str(code)] += int(number)
    judged = counted(
        decisions, "decided_at", decisions.c.kind, approvals.c.tenant == tenant, approvals.c.workflow == workflow
    ).join_from(decisions, approvals, approvals.c.approval_id == decisions.c.approval_id)
    for day, kind, number in connection.execute(judged):
        found[int(day)].decided[str(kind)] += int(number)
    return [found[number] for number in range(first, last + 1)]


__all__ = ["DAY", "Day", "daily"]
