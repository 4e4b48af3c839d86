"""Checks whether an approval is still valid: it is used at most once, and only for exactly the call that was shown."""

from collections.abc import Callable
from dataclasses import replace

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Instance, Unit
from ...checkpointing.store import approvals as approval_rows
from ...rules.case_approvals import apart_from_deadlines
from ...rules.definition import Definition
from ...rules.denials import Denial
from ...rules.gate import Admission, binding
from ...rules.proposals import Proposal, with_arguments
from ...tools.canonical import JSON, JsonObject, same_json
from ...tools.codes import ErrorCode
from ...tools.contracts import ToolContract
from ...tools.contracts.supplying import changed
from ...tools.errors import ConflictError
from ...tools.ids import AuditRef, derive
from ...tools.principal import Principal

Preview = Callable[[Unit, Admission, Proposal], JSON | Denial]
"""The current preview of the call, or the reason why there is none."""


def with_approval(
    definition: Definition,
    unit: Unit,
    admission: Admission,
    proposal: Proposal,
    approval: ApprovalRequest | None,
    *,
    preview: Preview,
    settle: bool = True,
) -> Admission | Denial:
    """Let an admission pass if its required approval was granted for exactly this call.

    Args:
        definition: The workflow.
        unit: The instance, in a transaction.
        admission: The admission by the gate.
        proposal: The original proposal.
        approval: The approval of the proposal, if there is one.
        preview: Computes the current preview of the call.
        settle: Whether to mark an approval void if it is no longer valid; False in a read-only transaction.
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
    open_fields = missing(admission.edge.tool, admission.canonical)
    if open_fields:
        return Denial(
            ErrorCode.APPROVAL_REQUIRED,
            f"{tool} takes {', '.join(open_fields)} from the approver, and nobody supplied that. Nothing was done.",
            {"approvalId": approval.approval_id, "missing": open_fields},
        )
    problem = _difference_from_shown(definition, unit, admission, proposal, approval, preview=preview)
    if isinstance(problem, Denial):
        return problem
    if problem is None:
        return admission
    if settle:
        void(unit, approval, problem)
    return Denial(
        ErrorCode.APPROVAL_VOID,
        f"What was approved is not what would run now: {problem}. Nothing was done; propose {tool} again to request a new decision.",
        {"approvalId": approval.approval_id, "problem": problem},
    )


def missing(tool: ToolContract, arguments: JsonObject) -> list[str]:
    """The arguments that the approver still has to fill in."""
    return [field.name for field in tool.decision_fields if field.is_required and arguments.get(field.name) is None]


def closed_ref(approval_id: str) -> AuditRef:
    """The reference of the record that closes a request without an execution; a request has at most one."""
    return AuditRef(derive("audit", "closed", approval_id))


def moved_on(instance: Instance, approval: ApprovalRequest) -> bool:
    """Whether an instance has left the position of a proposal, as far as the approval's rule requires it to stay."""
    return instance.state != approval.state or (approval.rule.strict and instance.revision != approval.revision)


def void(unit: Unit, approval: ApprovalRequest, problem: str) -> None:
    """Mark an approval void, because something in its binding has changed."""
    settled_at = unit.now if approval.settled_at is None else approval.settled_at
    after = replace(approval, status=ApprovalStatus.VOID, message=problem, settled_at=settled_at)
    approval_rows.update(unit.connection, approval, after)
    unit.record(
        AuditKind.VOID,
        approval.requester,
        {"approvalId": approval.approval_id, "problem": problem},
        tool=approval.tool,
        code=ErrorCode.APPROVAL_VOID.value,
        audit_ref=closed_ref(approval.approval_id),
    )


def use(unit: Unit, approval: ApprovalRequest) -> None:
    """Mark an approval as used, in the transaction of its command.

    Raises:
        ConflictError: Another transaction used or changed it.
    """
    used = replace(approval, status=ApprovalStatus.USED, used_at=unit.now)
    if not approval_rows.update(unit.connection, approval, used):
        raise ConflictError(
            f"The approval {approval.approval_id} was used or changed elsewhere at the same moment. Nothing of this was kept; look again.",
            details={"approvalId": approval.approval_id},
        )


def as_proposal(approval: ApprovalRequest, contract: ToolContract | None) -> Proposal:
    """The proposal of an approval, with the arguments that it would run with, except supplied ones, which the application supplies again.

    Args:
        approval: The approval.
        contract: Its tool; None if the workflow no longer has it.
    """
    arguments = approval.effective_arguments
    return Proposal(
        key=approval.idempotency_key,
        message_key=approval.message_key,
        tool=approval.tool,
        arguments=arguments if contract is None else contract.without_supplied(arguments),
        call_id="",
        requester=approval.requester,
        offered=True,
        state=approval.state,
        revision=approval.revision,
        is_decided=approval.edited_arguments is not None,
    )


def decided_on(proposal: Proposal, approval: ApprovalRequest | None, contract: ToolContract) -> Proposal:
    """The proposal with the decided arguments: the edited ones, or the completed ones that were shown."""
    if approval is None:
        return proposal
    if approval.status is ApprovalStatus.REQUESTED or approval.edited_arguments is None:
        return with_arguments(proposal, contract.complete(proposal.arguments, before=approval.arguments))
    return replace(with_arguments(proposal, contract.without_supplied(approval.edited_arguments)), is_decided=True)


def shown_of(admission: Admission, preview: JSON) -> JsonObject:
    """The details that an approver sees in addition to the arguments."""
    rule = admission.approval
    return {
        "preview": preview,
        "reasons": [*admission.reasons],
        "rule": None if rule is None else rule.to_json(),
        "target": admission.edge.target,
        **({"origins": {**admission.origins}} if admission.origins else {}),
    }


def bind(
    definition: Definition, unit: Unit, admission: Admission, *, requester: Principal, shown: JsonObject, strict: bool
) -> str:
    """The current digest of an approval's binding."""
    instance = unit.instance
    revision = instance.revision if strict else None
    return binding(definition, admission, requester=requester, state=instance.state, shown=shown, revision=revision)


def _difference_from_shown(
    definition: Definition,
    unit: Unit,
    admission: Admission,
    proposal: Proposal,
    approval: ApprovalRequest,
    *,
    preview: Preview,
) -> str | Denial | None:
    if moved := changed(admission.edge.tool, admission.canonical, approval.effective_arguments):
        return f"what the application supplies ({', '.join(moved)}) changed since it was shown"
    if not same_json(admission.canonical, approval.effective_arguments):
        return "the arguments differ"
    if not _same_person(proposal.requester, approval.requester):
        return "someone else proposes it"
    previewed = preview(unit, admission, proposal)
    if isinstance(previewed, Denial):
        return previewed
    now = shown_of(admission, previewed)
    if admission.approval is None:  # it would pass without an approval now, so the stricter request still covers it
        now |= {name: approval.shown[name] for name in ("reasons", "origins") if name in approval.shown}
    elif not same_rule(now["rule"], approval.shown.get("rule")):
        return "it falls under another rule of approval now"
    # Accepted origins may improve meanwhile, which needs no new approval; the refused ones are compared as `origins`.
    now |= {name: approval.shown[name] for name in ("sources",) if name in approval.shown}
    now["rule"] = approval.shown.get("rule")
    for key, what in _SHOWN.items():
        if not same_json(now.get(key), approval.shown.get(key)):
            return f"{what} changed since it was shown"
    digest = bind(definition, unit, admission, requester=proposal.requester, shown=now, strict=approval.rule.strict)
    if digest == approval.digest:
        return None
    return "the state, the tool, the policies or the mode changed since it was shown"


def same_rule(one: JSON, other: JSON) -> bool:
    """Whether two rules ask the same people in the same way; computed deadlines are ignored, because they differ each time."""
    return same_json(apart_from_deadlines(one), apart_from_deadlines(other))


_SHOWN = {
    "preview": "the preview",
    "reasons": "what asks for the approval",
    "origins": "where its arguments come from",
}
"""The details that an approver saw in addition to the arguments and the rule, as text."""


def _same_person(one: Principal, other: Principal) -> bool:
    return (one.id, one.tenant) == (other.id, other.tenant)
