"""Checks in advance whether somebody may decide on an open request."""

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, Instance
from ...checkpointing.store import approvals as approval_rows
from ...tools.approvals import DecisionKind
from ...tools.principal import Principal
from ..running.engine import Engine
from .delegating import acts_for


def why_not_decide(
    engine: Engine,
    connection: Connection,
    request: ApprovalRequest,
    instance: Instance,
    by: Principal,
    *,
    kind: DecisionKind = DecisionKind.APPROVE,
) -> str | None:
    """Why somebody may not decide on an open request, or None if they may."""
    theirs = acts_for(engine, connection, request, by)

    def refused(
        earlier: tuple[str, ...], stages: tuple[tuple[str, ...], ...], represented: frozenset[str] = frozenset()
    ) -> str | None:
        return request.rule.why_not(
            requester=request.requester,
            by=by,
            kind=kind,
            served=instance.served,
            earlier=earlier,
            stages=stages,
            acts_for=theirs,
            represented=represented,
        )

    # Earlier deciders matter only for people whom the rule asks at all.
    if (reason := refused((), ())) is not None:
        return reason
    standing = approval_rows.standing(connection, request)
    return refused(standing.agreed, standing.before, standing.represented)
