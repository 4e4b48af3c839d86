"""Dry runs: an admitted and approved command is recorded, and answered with its expected effect, without execution."""

from ...checkpointing.store import AuditKind, LedgerStatus, Unit
from ...rules.proposals import Proposal
from ...tools.canonical import JSON
from ...tools.ids import WorkflowId
from ...tools.results import CommandResult
from ..approvals.binding import use
from .attempts import Admitted, Outcome
from .audit_payloads import facts_of
from .outcomes import Outcomes


def dry_run(outcomes: Outcomes, unit: Unit, ready: Admitted, proposal: Proposal, preview: JSON) -> Outcome:
    """Answer with the expected effect, without running the tool's body or moving the workflow."""
    contract, edge = ready.contract, ready.admission.edge
    result = CommandResult(
        workflow_id=WorkflowId(unit.instance.workflow_id),
        previous_state=unit.instance.state,
        current_state=unit.instance.state,
        revision=unit.instance.revision,
        next_allowed_tools=outcomes.engine.offered_for(unit, proposal.requester),
        audit_ref=ready.context.audit_ref,
        dry_run={"wouldMoveTo": edge.target, "preview": preview},
    ).to_json()
    unit.record(
        AuditKind.DRY_RUN,
        proposal.requester,
        {
            **facts_of(unit, proposal, ready.admission, outcomes.node),
            "wouldMoveTo": edge.target,
            "preview": unit.hide(preview, contract.sensitive),
            "approvalId": None if ready.approval is None else ready.approval.approval_id,
        },
        tool=contract.name,
        audit_ref=ready.context.audit_ref,
    )
    outcomes.enter(unit, ready, proposal, LedgerStatus.DRY_RUN, result)
    if ready.approval is not None:
        use(unit, ready.approval)
    unit.answer(result)
    return Outcome(result, unit.flush(), head=unit.instance.head_checkpoint)


__all__ = ["dry_run"]
