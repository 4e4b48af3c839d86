"""Taking a decision on an approval: who may, what it may change, and what is written down; one transaction."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind
from ..checkpointing.store import approvals as approval_rows
from ..tools.approvals import Decision, DecisionKind
from ..tools.canonical import JsonObject
from ..tools.codes import ErrorCode
from ..tools.errors import ConflictError, InputError, InterlockError, InvalidArguments, InvalidResume, PrincipalError
from ..tools.principal import Principal
from ..tools.redaction import redact
from .base import Engine
from .binding import as_proposal
from .commands import Commands
from .gate import Denial
from .scope import Scope


@dataclass(frozen=True)
class Declined:
    """A decision that was not taken: recorded, and an error to raise once that is committed."""

    error: InterlockError


def decide(
    engine: Engine, connection: Connection, approval_id: str, decision: Decision, *, by: Principal, scope: Scope
) -> ApprovalRequest | Declined:
    """Take one person's decision on one approval.

    Args:
        engine: The workflow that the approval belongs to.
        connection: In a write transaction; it is to be committed whatever comes back.
        approval_id: Which approval.
        decision: What they decide.
        by: Who decides, as the application knows them.
        scope: The instance.

    Returns:
        The approval as it stands now, or why the decision was declined.
    """
    unit = engine.store.unit(connection, scope.workflow_id)
    approval = approval_rows.load_by_id(connection, approval_id)
    if unit is None or approval is None or approval.tenant != by.tenant or approval.workflow_id != scope.workflow_id:
        return Declined(
            InputError(
                f"There is no approval {approval_id} here. Nothing was decided; list those that are pending.",
                code="unknown_approval",
            )
        )
    if approval.status is not ApprovalStatus.REQUESTED:
        return Declined(
            ConflictError(
                f"The approval of {approval.tool} ({approval_id}) is already {approval.status.value}. Nothing was changed.",
                retryable=False,
                details={"approvalId": approval_id, "status": approval.status.value},
            )
        )
    if approval.expires_at is not None and unit.now >= approval.expires_at:
        expired = replace(approval, status=ApprovalStatus.EXPIRED, decided_at=unit.now)
        approval_rows.update(connection, approval, expired)
        unit.record(
            AuditKind.VOID,
            by,
            {"approvalId": approval_id, "problem": "expired"},
            tool=approval.tool,
            code=ErrorCode.APPROVAL_EXPIRED.value,
        )
        unit.flush()
        return Declined(
            ConflictError(
                f"The time to decide on {approval.tool} ({approval_id}) is over. Nothing runs on it; a new proposal asks again.",
                code=ErrorCode.APPROVAL_EXPIRED,
                retryable=False,
                details={"approvalId": approval_id},
            )
        )
    earlier = approval_rows.agreed(connection, approval_id)
    reason = approval.rule.why_not(requester=approval.requester, by=by, kind=decision.kind, earlier=earlier)
    contract = engine.definition.contracts.get(approval.tool)
    sensitive = frozenset() if contract is None else contract.sensitive
    said: dict[str, Any] = {
        "approvalId": approval_id,
        "decision": decision.kind.value,
        "arguments": None if decision.arguments is None else redact(decision.arguments, sensitive),
        "message": decision.message,
    }
    problem: InterlockError | None = None
    if reason is not None:
        problem = PrincipalError(
            f"{by.id} may not {decision.kind.value} {approval.tool}: {reason}. Nothing was decided; the approval still waits.",
            code="not_entitled",
            details={"approvalId": approval_id, "reason": reason},
        )
    elif decision.kind is DecisionKind.EDIT:
        checked = _edited(engine, unit, approval, decision, scope)
        if isinstance(checked, InterlockError):
            problem = checked
        else:
            decision = replace(decision, arguments=checked)
    if problem is not None:
        unit.record(
            AuditKind.DECISION_REFUSED, by, {**said, "reason": problem.message}, tool=approval.tool, code=problem.code
        )
        unit.flush()
        return Declined(problem)
    after = approval_rows.settle(connection, approval, decision, by, earlier=earlier, now=unit.now)
    if after is None:
        return Declined(
            ConflictError(
                f"Somebody else decided on {approval_id} at the same moment. Nothing was changed; look again."
            )
        )
    unit.record(AuditKind.DECISION, by, {**said, "status": after.status.value}, tool=approval.tool)
    unit.flush()
    return after


def _edited(
    engine: Engine, unit: Any, approval: ApprovalRequest, decision: Decision, scope: Scope
) -> JsonObject | InterlockError:
    """The edited arguments in canonical form, or why they cannot stand: an edit goes through the same gate as a proposal."""
    contract = engine.definition.contracts.get(approval.tool)
    if contract is None:
        return InvalidResume(f"This workflow has no tool {approval.tool} any more. Nothing was decided.")
    try:
        canonical = contract.canonical_arguments(contract.parse(decision.arguments or {}))
    except InvalidArguments as error:
        return InvalidResume(
            f"The edited arguments do not fit {approval.tool}: {error.message} Nothing was decided.",
            details=error.details,
        )
    reason = approval.rule.may_edit(approval.arguments, canonical)
    if reason is not None:
        return PrincipalError(
            f"This edit of {approval.tool} is not allowed: {reason}. Nothing was decided.", code="not_entitled"
        )
    proposal = replace(as_proposal(approval), arguments=canonical)
    verdict = Commands(engine, scope, node=None, head=None).judge_now(unit, proposal)
    if isinstance(verdict, Denial):
        return InvalidResume(
            f"The edited call of {approval.tool} would be denied: {verdict.message} Nothing was decided.",
            details={"code": verdict.code.value},
        )
    if verdict.approval is not None and verdict.approval.to_json() != approval.shown.get("rule"):
        return InvalidResume(
            f"The edited call of {approval.tool} would need an approval of its own. Nothing was decided; reject this one and let it be proposed."
        )
    return canonical
