"""The answers to a proposal from outside the graph: its result, or the open request."""

from ...checkpointing.store import ApprovalRequest, Instance
from ...checkpointing.store import approvals as approval_rows
from ...rules.denials import Denial
from ...tools.canonical import JsonObject
from ...tools.ids import AuditRef, WorkflowId
from ...tools.results import ErrorBody, Pending, PendingDecision, Result, parse_result
from ...tools.storable import storable
from ..approvals.binding import closed_ref
from ..approvals.payload import decided_by, moment
from ..approvals.requesting import closed_denial
from ..execution.attempts import Broken, Outcome, error_result, unresolved
from ..running.engine import Engine


def answered(outcome: Outcome | Broken) -> Result:
    """The result of an executed, denied or refused call.

    Raises:
        OutcomeUnknown: An attempt was interrupted, and a person has to resolve it first.
    """
    if isinstance(outcome, Broken):
        raise unresolved(outcome.entry)
    return stored(outcome.result)


def stored(result: JsonObject) -> Result:
    """A result in wire form."""
    found = parse_result(result)
    assert found is not None  # noqa: S101 -- our own results are results
    return found


def pending(engine: Engine, instance: Instance, approval: ApprovalRequest) -> Pending:
    """The answer for a request that waits for a decision."""
    rule, shown = approval.rule, approval.shown
    reasons = shown.get("reasons")
    return Pending(
        workflow_id=WorkflowId(instance.workflow_id),
        current_state=instance.state,
        revision=instance.revision,
        next_allowed_tools=engine.offered_for(instance, approval.requester),
        audit_ref=approval_rows.asked_ref(approval.approval_id),
        pending=PendingDecision(
            proposal_id=approval.approval_id,
            kind="confirmation" if rule.confirmation else "approval",
            decided_by=decided_by(rule, instance.served),
            deadline=None if approval.expires_at is None else moment(approval.expires_at),
            preview=shown.get("preview"),
            reasons=tuple(map(str, reasons)) if isinstance(reasons, list) else (),
        ),
    )


def closed(engine: Engine, instance: Instance, approval: ApprovalRequest) -> Result:
    """The answer for a closed request that will not be executed: the same each time, and nothing is written."""
    denial = closed_denial(approval, engine.definition.wire_names.get(approval.tool, approval.tool))
    return error(engine, instance, approval, denial, closed_ref(approval.approval_id))


def error(engine: Engine, instance: Instance, approval: ApprovalRequest, denial: Denial, audit_ref: AuditRef) -> Result:
    """The denial of a proposal that is recorded as a request."""
    details = storable(dict(denial.details))
    body = ErrorBody(
        code=denial.code,
        message=denial.message,
        retryable=denial.retryable,
        details=details if isinstance(details, dict) else {},
    )
    allowed = engine.offered_for(instance, approval.requester)
    return error_result(instance, body, allowed=allowed, audit_ref=audit_ref)


__all__ = ["answered", "closed", "error", "pending", "stored"]
