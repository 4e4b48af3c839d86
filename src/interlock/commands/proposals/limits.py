"""Rate limits for proposals of one principal on one instance from outside the graph, counted in its audit trail.

After several consecutive denials or refusals, or too many proposals, a principal has to wait before the next proposal is judged. Both
use the database's clock and count across processes.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.statements import Prepared
from ...checkpointing.store import AuditKind, Instance
from ...checkpointing.tables.workflow import audit
from ...rules.definition import Limits
from ...tools.codes import ErrorCode
from ...tools.ids import AuditRef, derive
from ...tools.principal import Principal
from ...tools.results import ErrorBody, Result
from ..execution.attempts import error_result
from ..running.engine import Engine
from ..running.facts import asked_apart
from ..running.operations import InStore, Steps

_REFUSED = frozenset({AuditKind.DENIAL.value, AuditKind.REFUSAL.value})
_PROPOSED = _REFUSED | {
    AuditKind.READ.value,
    AuditKind.TRANSITION.value,
    AuditKind.APPROVAL.value,
    AuditKind.DRY_RUN.value,
}
"""The kinds of records of which each proposal has one."""
_MINUTE = 60.0
_PER_PROPOSAL = 8
"""The number of trail records read per counted proposal, because other records lie in between."""

_last = Prepared(
    sa.select(audit.c.kind, audit.c.recorded_at, audit.c.number)
    .where(
        audit.c.workflow_id == sa.bindparam("workflow_id"),
        audit.c.number > sa.bindparam("after"),
        audit.c.principal_id == sa.bindparam("principal_id"),
        audit.c.kind.in_([sa.literal_column(f"'{kind}'") for kind in sorted(_PROPOSED)]),
    )
    .order_by(audit.c.number.desc())
    .limit(sa.bindparam("most"))
)
_recorded = Prepared(
    sa.select(audit.c.number).where(
        audit.c.workflow_id == sa.bindparam("workflow_id"),
        audit.c.number > sa.bindparam("after"),
        audit.c.audit_ref == sa.bindparam("audit_ref"),
    )
)


@dataclass(frozen=True)
class Limit:
    """Why a principal has to wait."""

    reason: str
    seconds: float
    """The maximum waiting time."""
    after: int
    """The record of their last judged proposal."""


def why_limited(connection: Connection, instance: Instance, by: Principal, limits: Limits, now: int) -> Limit | None:
    """Why a principal has to wait before the next proposal is judged, or None."""
    most = max(limits.denials, limits.rate or 0)
    if instance.audit_count < min(limits.denials, limits.rate or limits.denials):
        return None
    rows = _last.all(
        connection,
        {
            "workflow_id": instance.workflow_id,
            "after": instance.audit_count - most * _PER_PROPOSAL,
            "principal_id": by.id,
            "most": most,
        },
    )
    streak = rows[: limits.denials]
    refused = len(streak) == limits.denials and all(kind in _REFUSED for kind, _, _ in streak)
    if refused and now < int(streak[0][1]) + int(limits.pause * 1_000_000):
        reason = f"{limits.denials} proposals of theirs in a row were denied or refused"
        return Limit(reason, limits.pause, int(streak[0][2]))
    if limits.rate is not None and len(rows) >= limits.rate:
        oldest = int(rows[limits.rate - 1][1])
        if now < oldest + int(_MINUTE * 1_000_000):
            return Limit(f"they made {limits.rate} proposals within a minute", _MINUTE, int(rows[0][2]))
    return None


def limited(engine: Engine, instance: Instance, by: Principal, limit: Limit) -> Steps[Result]:
    """Answer a proposal without judging it; recorded once until the next judged one."""
    audit_ref = AuditRef(derive("audit", "limited", instance.workflow_id, by.id, limit.after))

    def record(connection: Connection) -> Instance:
        unit = engine.store.unit(connection, instance.workflow_id)
        if unit is None:
            return instance
        known = {"workflow_id": instance.workflow_id, "after": limit.after, "audit_ref": audit_ref}
        if _recorded.first(connection, known) is None:
            unit.record(
                AuditKind.LIMIT,
                by,
                {"reason": limit.reason, "state": unit.instance.state},
                code=ErrorCode.LIMIT_REACHED.value,
                audit_ref=audit_ref,
            )
            unit.flush()
        return unit.instance

    current: Instance = yield InStore(record)
    allowed = yield from asked_apart(engine.definition, lambda: engine.offered_for(current, by))
    body = ErrorBody(
        code=ErrorCode.LIMIT_REACHED,
        message=f"{by.id} has to wait before another proposal is judged: {limit.reason}. Nothing was done. Look at the next allowed tools and "
        f"at the errors before, and propose again after {limit.seconds:.0f} s.",
        retryable=True,
        details={"seconds": limit.seconds},
    )
    return error_result(current, body, allowed=allowed, audit_ref=audit_ref)


__all__ = ["Limit", "limited", "why_limited"]
