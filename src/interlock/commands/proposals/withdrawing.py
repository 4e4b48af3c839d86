"""Withdraws a proposal before it is executed, by its proposer or by the person whom the instance serves."""

from dataclasses import replace
from functools import partial

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Instance
from ...checkpointing.store import approvals as approval_rows
from ...tools.errors import ConflictError, InProgress, PrincipalError
from ...tools.events import Event
from ...tools.principal import Principal
from ...tools.results import Result
from ..approvals.binding import closed_ref
from ..approvals.decisions import unknown_approval
from ..running.access import note_denial
from ..running.engine import Engine
from ..running.facts import asked_apart
from ..running.operations import InStore, Steps
from .answers import closed
from .proposing import looked_up, settled


class ApprovalWithdrawn(Event, name="interlock.approval.withdrawn", version=1):
    """Nobody has to decide on a proposal any more, because it was withdrawn."""

    approval_id: str
    tool: str
    requested_by: str
    withdrawn_by: str


def withdraw(engine: Engine, approval_id: str, by: Principal) -> Steps[Result]:
    """Withdraw a proposal that needs a decision; a repeated call changes nothing.

    Raises:
        InputError: The tenant of `by` has no such proposal.
        PrincipalError: `by` is neither the proposer nor the person served.
        ConflictError: It was executed, rejected or voided before, or is being executed.
    """
    approval, instance = yield from looked_up(engine, approval_id, by)
    if (refused := _why_not(approval, instance, by)) is not None:
        error = refused
        yield InStore(
            lambda connection: note_denial(
                engine, connection, instance.workflow_id, error, by=by, approvalId=approval_id
            )
        )
        raise refused
    yield from settled(engine, approval)
    current, instance = yield InStore(partial(withdrawn, engine, approval=approval, by=by))
    return (yield from asked_apart(engine.definition, lambda: closed(engine, instance, current)))


def withdrawn(
    engine: Engine, connection: Connection, approval: ApprovalRequest, by: Principal
) -> tuple[ApprovalRequest, Instance]:
    """Withdraw a request in this transaction, without a check of the principal; returns it with its instance.

    Raises:
        ConflictError: It can no longer be withdrawn.
    """
    unit = engine.store.unit(connection, approval.workflow_id)
    current = approval_rows.load_by_id(connection, approval.approval_id)
    if unit is None or current is None:
        raise unknown_approval(approval.approval_id)
    if current.status is ApprovalStatus.WITHDRAWN:
        return current, unit.instance
    if ApprovalStatus.WITHDRAWN not in approval_rows.FOLLOWS[current.status]:
        raise ConflictError(
            f"{current.tool} ({current.approval_id}) is {current.status.value} already, and can no longer be withdrawn. Nothing "
            "was changed; instances.proposal(id) shows its outcome.",
            retryable=False,
            details={"proposalId": current.approval_id, "status": current.status.value},
        )
    if unit.instance.running_key == current.idempotency_key:
        raise InProgress(
            f"{current.tool} ({current.approval_id}) is being executed, and can no longer be withdrawn. "
            "Nothing was changed; instances.proposal(id) shows its outcome.",
            details={"proposalId": current.approval_id, "workflowId": current.workflow_id},
        )
    after = replace(current, status=ApprovalStatus.WITHDRAWN, decided_at=unit.now)
    approval_rows.update(connection, current, after)
    unit.record(
        AuditKind.WITHDRAWN,
        by,
        {"approvalId": current.approval_id, "status": current.status.value},
        tool=current.tool,
        audit_ref=closed_ref(current.approval_id),
    )
    event = ApprovalWithdrawn(
        approval_id=current.approval_id, tool=current.tool, requested_by=current.requester.id, withdrawn_by=by.id
    )
    unit.announce(event, by, source="/interlock/approvals", about=("withdrawn", current.approval_id))
    return after, unit.flush()


def _why_not(approval: ApprovalRequest, instance: Instance, by: Principal) -> PrincipalError | None:
    requester = approval.requester
    is_theirs = (requester.tenant, requester.id) == (by.tenant, by.id)
    if is_theirs or (by.is_known and by.id == instance.served):
        return None
    return PrincipalError(
        f"{by.id} may not withdraw {approval.tool} ({approval.approval_id}): {requester.id} proposed it. Nothing was changed; the proposer or the person served can withdraw it, "
        "and an approver can reject it.",
        code="not_entitled",
        details={"approvalId": approval.approval_id},
    )


__all__ = ["ApprovalWithdrawn", "withdraw", "withdrawn"]
