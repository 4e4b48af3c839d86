"""Deadlines of approvals: expires or escalates overdue requests, or takes their expiry edge.

The graph, a late decision or the tick may find an overdue request. All of them do the same, and repetition is harmless: a request
expires or escalates once, and the expiry edge has one idempotency key.
"""

from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Unit
from ...checkpointing.store import approvals as approval_rows
from ...checkpointing.store import instances as instance_rows
from ...rules.proposals import Proposal
from ...tools.approvals import Escalate, TakeEdge
from ...tools.canonical import JsonObject
from ...tools.codes import ErrorCode
from ...tools.ids import derive
from ..execution.attempts import Broken, Outcome, unresolved
from ..execution.commands import Commands
from ..running import needed
from ..running.engine import Engine
from ..running.operations import InStore, Steps
from ..running.scope import outside_scope
from .binding import closed_ref


@dataclass(frozen=True)
class Lapsed:
    """The effect of the deadline of one approval."""

    approval_id: str
    workflow_id: str
    tool: str
    """The tool that was asked about."""
    outcome: str
    """`expired`, `escalated`, `taken` (another edge), or `refused` (another edge was to be taken, and its tool said no)."""
    to: str | None = None
    """The role that is asked now, or the tool that was called."""


def lapse(engine: Engine, unit: Unit, approval: ApprovalRequest) -> ApprovalRequest:
    """Expire or escalate an overdue request in this transaction.

    A request with an expiry edge stays overdue, because taking the edge needs more than one transaction.
    """
    if not approval.is_due(unit.now):
        return approval
    expiry = approval.rule.on_expiry
    if isinstance(expiry, TakeEdge) and unit.instance.state == approval.state:
        return approval
    if isinstance(expiry, Escalate):
        rule = approval.rule.escalated(expiry)
        after = replace(approval, rule=rule, expires_at=rule.due(unit.now), remind_at=rule.reminder(unit.now))
        approval_rows.update(unit.connection, approval, after)
        unit.record(
            AuditKind.ESCALATED,
            approval.requester,
            {"approvalId": approval.approval_id, "from": approval.rule.role, "to": rule.role, "rule": rule.to_json()},
            tool=approval.tool,
        )
        needed.asked(engine, unit, after, "escalated")
        return after
    return expire(engine, unit, approval)


def expire(engine: Engine, unit: Unit, approval: ApprovalRequest, *, then: JsonObject | None = None) -> ApprovalRequest:
    """Close a request without a decision."""
    after = replace(approval, status=ApprovalStatus.EXPIRED, decided_at=unit.now)
    approval_rows.update(unit.connection, approval, after)
    unit.record(
        AuditKind.VOID,
        approval.requester,
        {"approvalId": approval.approval_id, "problem": "expired", "then": then},
        tool=approval.tool,
        code=ErrorCode.APPROVAL_EXPIRED.value,
        audit_ref=closed_ref(approval.approval_id),
    )
    needed.asked(engine, unit, approval, "overdue")
    return after


def lapse_one(engine: Engine, approval_id: str, workflow_id: str) -> Steps[Lapsed | None]:
    """Apply the deadline of one approval; None if there is nothing to do, or somebody else did it."""
    found: Lapsed | ApprovalRequest | None = yield InStore(
        lambda connection: _lapsed(engine, connection, approval_id, workflow_id)
    )
    if not isinstance(found, ApprovalRequest):
        return found
    return (yield from take(engine, found))


def take(engine: Engine, approval: ApprovalRequest) -> Steps[Lapsed | None]:
    """Execute the tool of the expiry edge, then close the request.

    In this order, because after a crash in between the request is still overdue and the command is in the ledger.

    Raises:
        ConflictError: Another process is doing it.
        OutcomeUnknown: The tool was interrupted, and a person has to resolve it first.
    """
    edge = approval.rule.on_expiry
    if not isinstance(edge, TakeEdge):
        raise TypeError("the approval is not followed by another edge")
    instance = yield InStore(lambda connection: instance_rows.load(connection, approval.workflow_id), write=False)
    if instance is None:
        return None
    proposal = _expiry_proposal(engine, approval, edge, instance.revision)
    scope = outside_scope(approval.workflow_id, approval.requester)
    commands = Commands(engine, scope, node=None, head=instance.head_mark)
    outcome: Outcome | Broken = yield from commands.carry_out(proposal)
    about = (approval.approval_id, approval.workflow_id, approval.tool)
    if isinstance(outcome, Broken):
        raise unresolved(outcome.entry)
    result = outcome.result

    def close(connection: Connection) -> bool:
        unit = engine.store.unit(connection, approval.workflow_id)
        current = approval_rows.load_by_id(connection, approval.approval_id)
        if unit is None or current is None or current.status is not ApprovalStatus.REQUESTED:
            return False
        expire(engine, unit, current, then={"tool": edge.tool, "ok": outcome.ok, "auditRef": result.get("auditRef")})
        unit.flush()
        engine.store.note_due(connection, approval.workflow_id, f"approval/{approval.approval_id}")
        return True

    closed = yield InStore(close)
    return Lapsed(*about, "taken" if outcome.ok else "refused", edge.tool) if closed else None


def _lapsed(
    engine: Engine, connection: Connection, approval_id: str, workflow_id: str
) -> Lapsed | ApprovalRequest | None:
    unit = engine.store.unit(connection, workflow_id)
    before = approval_rows.load_by_id(connection, approval_id)
    if unit is None or before is None or not before.is_due(unit.now):
        return None
    after = lapse(engine, unit, before)
    unit.flush()
    if after is before:
        return before
    if after.status is ApprovalStatus.EXPIRED:
        engine.store.note_due(connection, workflow_id, f"approval/{approval_id}")
        return Lapsed(approval_id, workflow_id, before.tool, "expired")
    return Lapsed(approval_id, workflow_id, before.tool, "escalated", after.rule.role or after.rule.who)


def _expiry_proposal(engine: Engine, approval: ApprovalRequest, edge: TakeEdge, revision: int) -> Proposal:
    arguments = edge.arguments
    if arguments is None:
        contract = engine.definition.contracts.get(edge.tool)
        known = {} if contract is None else contract.input_schema().get("properties", {})
        arguments = {name: value for name, value in approval.arguments.items() if name in known}
    return Proposal(
        key=derive("key", approval.approval_id, "expiry"),
        message_key=derive("msg", approval.approval_id, "expiry"),
        tool=edge.tool,
        arguments=dict(arguments),
        call_id="",
        requester=approval.requester,
        offered=True,
        state=approval.state,
        revision=revision,
    )


__all__ = ["Lapsed", "expire", "lapse", "lapse_one", "take"]
