"""Whether an approval still fits: used at most once, and only for exactly what was shown."""

from collections.abc import Callable
from dataclasses import replace

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Unit
from ...checkpointing.store import approvals as approval_rows
from ...rules.definition import Definition
from ...rules.gate import Admission, Denial, binding
from ...rules.proposals import Proposal
from ...tools.canonical import JSON
from ...tools.codes import ErrorCode
from ...tools.errors import ConflictError

Preview = Callable[[Unit, Admission, Proposal], JSON | Denial]
"""What the tool would show of the call now, or why it shows nothing."""


def with_approval(
    definition: Definition,
    unit: Unit,
    admission: Admission,
    approval: ApprovalRequest | None,
    preview: Preview,
    *,
    settle: bool = True,
) -> Admission | Denial:
    """Let an admission pass when the approval that it needs was given for exactly this.

    Args:
        definition: The workflow.
        unit: The instance, in a transaction.
        admission: What the gate let through.
        approval: The approval of the proposal, if there is one.
        preview: Shows the call as things stand.
        settle: Whether an approval that no longer fits is marked void; False in a transaction that only reads.
    """
    if admission.approval is None and approval is None:
        return admission
    tool = admission.edge.tool.wire_name
    if approval is None or approval.status is ApprovalStatus.REQUESTED:
        return Denial(
            ErrorCode.APPROVAL_REQUIRED, f"{tool} takes a person's decision first, and there is none. Nothing was done."
        )
    if not approval.status.is_granted:
        return Denial(
            ErrorCode.APPROVAL_VOID,
            f"The approval of {tool} is {approval.status.value} and cannot be used. Nothing was done; propose it again.",
            {"approvalId": approval.approval_id, "status": approval.status.value},
        )
    problem = _unlike_shown(definition, unit, admission, approval, preview)
    if isinstance(problem, Denial):
        return problem
    if problem is None:
        return admission
    if settle:
        void(unit, approval, problem)
    return Denial(
        ErrorCode.APPROVAL_VOID,
        f"What was approved is not what would run now: {problem}. Nothing was done; propose {tool} again to have it decided anew.",
        {"approvalId": approval.approval_id, "problem": problem},
    )


def void(unit: Unit, approval: ApprovalRequest, problem: str) -> None:
    """Take an approval out of use, because what it was bound to has changed."""
    approval_rows.update(unit.connection, approval, replace(approval, status=ApprovalStatus.VOID, message=problem))
    unit.record(
        AuditKind.VOID,
        approval.requester,
        {"approvalId": approval.approval_id, "problem": problem},
        tool=approval.tool,
        code=ErrorCode.APPROVAL_VOID.value,
    )


def use(unit: Unit, approval: ApprovalRequest) -> None:
    """Use an approval up, in the transaction of its command.

    Raises:
        ConflictError: It was used or changed elsewhere.
    """
    used = replace(approval, status=ApprovalStatus.USED, used_at=unit.now)
    if not approval_rows.update(unit.connection, approval, used):
        raise ConflictError(
            f"The approval {approval.approval_id} was used or changed elsewhere at the same moment. Nothing of this was kept; look again.",
            details={"approvalId": approval.approval_id},
        )


def as_proposal(approval: ApprovalRequest) -> Proposal:
    """The proposal that an approval is about, with the arguments that it would run with."""
    return Proposal(
        key=approval.idempotency_key,
        message_key=approval.message_key,
        tool=approval.tool,
        arguments=approval.effective_arguments,
        call_id="",
        requester=approval.requester,
        offered=True,
        state=approval.state,
        revision=approval.revision,
    )


def _unlike_shown(
    definition: Definition, unit: Unit, admission: Admission, approval: ApprovalRequest, preview: Preview
) -> str | Denial | None:
    edited = approval.status is ApprovalStatus.EDITED
    if admission.canonical != approval.effective_arguments:
        return "the arguments differ"
    if admission.approval is not None and admission.approval.to_json() != approval.shown.get("rule"):
        return "it falls under another rule of approval now"
    shown = dict(approval.shown)
    if not edited:  # who edits has seen another call than the one that will run, and wrote it themselves
        now_shown = preview(unit, admission, as_proposal(approval))
        if isinstance(now_shown, Denial):
            return now_shown
        shown["preview"] = now_shown
    was = replace(admission, canonical=approval.arguments)
    revision = unit.instance.revision if approval.rule.strict else None
    now = binding(definition, was, state=unit.instance.state, shown=shown, revision=revision)
    if now == approval.digest:
        return None
    return "the state, the tool's version, the policies or the preview changed since it was shown"
