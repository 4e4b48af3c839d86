"""Decides on an approval, in one transaction: who may decide, what the decision may change, and the record.

A declined decision is recorded as well: a repeated or late answer, one from the wrong person, or one to a different request.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Standing, Unit
from ...checkpointing.store import approvals as approval_rows
from ...rules.denials import Denial
from ...tools.approvals import Decision, DecisionKind
from ...tools.canonical import same_json
from ...tools.codes import ErrorCode
from ...tools.errors import ConflictError, InputError, InterlockError, InvalidArguments, InvalidResume, PrincipalError
from ...tools.ownership import Ownership
from ...tools.principal import Principal
from ...tools.redaction import hide_fields, is_named
from ...tools.storable import storable, why_not_storable
from ..execution.commands import Commands
from ..execution.looking import DeniedError
from ..origins.explaining import origins_shown
from ..running.engine import Engine
from ..running.scope import Scope
from .binding import as_proposal, bind, closed_ref, missing, moved_on, same_rule, shown_of, void
from .deadlines import lapse
from .delegating import acts_for


@dataclass(frozen=True)
class Declined:
    """A declined decision: it is recorded, and its error is raised after the commit."""

    error: InterlockError


def unknown_approval(approval_id: str) -> InputError:
    """The error for an approval that does not exist, or that belongs to another tenant, for which it does not exist."""
    return InputError(
        f"There is no approval {approval_id!r} here. Nothing was decided; graph.instances.approvals() lists those that wait.",
        code="unknown_approval",
    )


def may_see(approval: ApprovalRequest, ownership: Ownership, by: Principal, *, acts_for: Collection[str] = ()) -> bool:
    """Whether a principal may see an approval: those who may run the instance, the requester, and all current and later deciders.

    Args:
        approval: The request.
        ownership: The ownership of its instance.
        by: The principal.
        acts_for: The people whose delegate they are now.
    """
    if not ownership.has(by):
        return False
    is_requester = by.is_known and by.id == approval.requester.id
    if is_requester or ownership.why_not_run(by) is None:
        return True
    return any(
        rule.why_not(
            requester=approval.requester, by=by, kind=DecisionKind.REJECT, served=ownership.served, acts_for=acts_for
        )
        is None
        for rule in (approval.rule, *approval.first_rule.stages)
    )


def decide(
    engine: Engine,
    connection: Connection,
    approval_id: str,
    decision: Decision,
    *,
    by: Principal,
    scope: Scope,
    read: tuple[Unit, ApprovalRequest] | None = None,
) -> ApprovalRequest | Declined:
    """Make one person's decision on one approval.

    Args:
        engine: The workflow of the approval.
        connection: A connection in a write transaction, which must be committed whatever the result.
        approval_id: The ID of the approval.
        decision: The decision.
        by: The principal who decides, as the application knows them.
        scope: The instance.
        read: The instance and the approval as this transaction read them, in this order: the first read locks the instance. By default they
            are read here.

    Returns:
        The current approval, or why the decision was declined.
    """
    unit, approval = read or (
        engine.store.unit(connection, scope.workflow_id),
        approval_rows.load_by_id(connection, approval_id),
    )
    if unit is None or approval is None or approval.workflow_id != scope.workflow_id:
        return Declined(unknown_approval(approval_id))
    if approval.tenant != by.tenant:
        # The caller learns nothing; the approval's own tenant finds the attempt in its record.
        return _declined(
            engine, unit, approval, decision, by=by, error=unknown_approval(approval_id), code="not_entitled"
        )
    approval = lapse(engine, unit, approval)
    if (problem := closed(unit, approval)) is not None:
        return _declined(engine, unit, approval, decision, by=by, error=problem)
    if moved_on(unit.instance, approval):
        void(unit, approval, f"the workflow moved on from {approval.state!r}")
        return _declined(engine, unit, approval, decision, by=by, error=_void(unit, approval))
    decision = _with_values(decision, approval)
    standing = approval_rows.standing(connection, approval)
    represents = acts_for(engine, unit, approval, by)
    checked = _checked(engine, unit, approval, decision, by=by, standing=standing, scope=scope, represents=represents)
    if isinstance(checked, InterlockError):
        return _declined(engine, unit, approval, decision, by=by, error=checked)
    taken, approval = checked
    person = approval.rule.decides_for(
        requester=approval.requester, by=by, served=unit.instance.served, acts_for=represents, taken=standing.taken
    )
    after = approval_rows.settle(connection, approval, taken, by, now=unit.now, standing=standing, on_behalf_of=person)
    if after is None:
        raise ConflictError(
            f"Somebody else decided on {approval_id} at the same moment. Nothing was changed; look again."
        )
    unit.record(
        AuditKind.DECISION,
        by,
        {
            **_decision_payload(engine, unit, approval, taken),
            "status": after.status.value,
            "stage": standing.stage,
            **({} if person is None else {"onBehalfOf": person}),
            **_new_binding(taken, after),
        },
        tool=approval.tool,
        audit_ref=closed_ref(approval_id) if after.status.is_closed else None,
    )
    unit.flush()
    return after


def record_refused(
    engine: Engine, connection: Connection, workflow_id: str, *, by: Principal, error: InterlockError
) -> None:
    """Record an answer that cannot be parsed as a decision, or that answers nothing that waits here."""
    unit = engine.store.unit(connection, workflow_id)
    if unit is None:
        return
    unit.record(
        AuditKind.DECISION_REFUSED,
        by,
        {
            "reason": hide_fields(
                str(storable(error.message)), partial(is_named, sensitive=engine.definition.sensitive)
            ),
            "details": unit.hide(storable(error.details), engine.definition.sensitive),
        },
        code=error.code,
    )
    unit.flush()


def _checked(
    engine: Engine,
    unit: Unit,
    approval: ApprovalRequest,
    decision: Decision,
    *,
    by: Principal,
    standing: Standing,
    scope: Scope,
    represents: Collection[str],
) -> tuple[Decision, ApprovalRequest] | InterlockError:
    """The decision in its canonical form, and the approval that it binds; or why it is declined."""
    said = {"message": decision.message, "arguments": decision.arguments}
    if (unkept := why_not_storable(said, longest=engine.definition.limits.argument_characters)) is not None:
        return InvalidResume(f"The decision on {approval.tool} cannot be kept: {unkept}. Nothing was decided.")
    reason = approval.rule.why_not(
        requester=approval.requester,
        by=by,
        kind=_kind_of(engine, approval, decision, standing),
        served=unit.instance.served,
        earlier=standing.agreed,
        stages=standing.before,
        acts_for=represents,
        represented=standing.represented,
    )
    if reason is not None:
        return PrincipalError(
            f"{by.id} may not {decision.kind.value} {approval.tool}: {reason}. Nothing was decided; the approval still waits.",
            code="not_entitled",
            details={"approvalId": approval.approval_id, "reason": reason},
        )
    if (
        decision.kind.agrees
        and decision.seen is not None
        and not same_json(decision.seen, approval.effective_arguments)
    ):
        return ConflictError(
            f"{approval.tool} ({approval.approval_id}) is not what was decided on: its arguments are others than those that were shown. "
            "Nothing was decided; look at it again (run the thread on, or list the approvals), then decide.",
            details={"approvalId": approval.approval_id},
        )
    if decision.kind.agrees and (unstated := _unstated(engine, approval, decision)) is not None:
        return unstated
    if decision.kind is not DecisionKind.EDIT:
        return decision, approval
    return _edited(engine, unit, approval, decision, scope)


def _with_values(decision: Decision, approval: ApprovalRequest) -> Decision:
    """The decision with the approver's values merged into the arguments, as an edit of only these."""
    if decision.kind is not DecisionKind.APPROVE or not decision.values:
        return decision
    arguments = {**approval.effective_arguments, **decision.values}
    return replace(decision, kind=DecisionKind.EDIT, arguments=arguments, values=None)


def _kind_of(engine: Engine, approval: ApprovalRequest, decision: Decision, standing: Standing) -> DecisionKind:
    """The kind of decision that is checked: filling in the approver's values counts as an approval, even if no edits are allowed."""
    contract = engine.definition.contracts.get(approval.tool)
    if decision.kind is not DecisionKind.EDIT or contract is None or standing.before or decision.arguments is None:
        return decision.kind
    theirs = {name for field in contract.decision_fields for name in (field.name, field.parameter)}
    apart = theirs | {name for field in contract.supplied_fields for name in (field.name, field.parameter)}
    names = (approval.effective_arguments.keys() | decision.arguments.keys()) - apart
    before, after = approval.effective_arguments, decision.arguments
    is_same = all(name in before and name in after and same_json(before[name], after[name]) for name in names)
    return DecisionKind.APPROVE if theirs and is_same else decision.kind


def _unstated(engine: Engine, approval: ApprovalRequest, decision: Decision) -> InvalidResume | None:
    """Why nobody can approve yet: a value that only the approver fills in is missing."""
    contract = engine.definition.contracts.get(approval.tool)
    if contract is None:
        return None
    given = approval.effective_arguments if decision.kind is not DecisionKind.EDIT else decision.arguments or {}
    by_wire = {
        **given,
        **{field.name: given[field.parameter] for field in contract.decision_fields if field.parameter in given},
    }
    open_fields = missing(contract, by_wire)
    if not open_fields:
        return None
    asked = {field.name: field.asks for field in contract.decision_fields}
    what = "; ".join(f"{name} ({asked[name]})" if asked[name] else name for name in open_fields)
    return InvalidResume(
        f"{approval.tool} needs from the approver: {what}. Nothing was decided; pass it with the decision, as in "
        f"{{'type': 'approve', 'values': {{{open_fields[0]!r}: ...}}}}, or with an edit.",
        details={"approvalId": approval.approval_id, "missing": [*open_fields]},
    )


def _edited(
    engine: Engine, unit: Unit, approval: ApprovalRequest, decision: Decision, scope: Scope
) -> tuple[Decision, ApprovalRequest] | InterlockError:
    """The edit, and the approval that it binds: judged and previewed like a proposal; or why it is invalid."""
    contract = engine.definition.contracts.get(approval.tool)
    if contract is None:
        return InvalidResume(f"This workflow has no tool {approval.tool} any more. Nothing was decided.")
    given = dict(decision.arguments or {})
    for field in contract.supplied_fields:  # user interfaces send back all values that they received
        for name in dict.fromkeys((field.name, field.parameter)):
            if name in given and not same_json(given.pop(name), approval.effective_arguments.get(field.name)):
                return InvalidResume(
                    f"The edited arguments of {approval.tool} have another {field.name}, which only the application supplies. Nothing was decided; "
                    "leave it as it is, or out."
                )
    try:
        canonical = contract.bind(given).canonical
    except InvalidArguments as error:
        return InvalidResume(
            f"The edited arguments do not fit {approval.tool}: {error.message} Nothing was decided.",
            details=error.details,
        )
    theirs = {field.name for field in (*contract.decision_fields, *contract.supplied_fields)}
    reason = approval.rule.may_edit(
        *({name: value for name, value in one.items() if name not in theirs} for one in (approval.arguments, canonical))
    )
    if reason is not None:
        return PrincipalError(
            f"This edit of {approval.tool} is not allowed: {reason}. Nothing was decided.",
            code="not_entitled",
            details={"approvalId": approval.approval_id, "reason": reason},
        )
    proposal = replace(as_proposal(approval, contract), arguments=canonical, is_decided=True)
    commands = Commands(engine, scope, node=None, head=None)
    try:
        verdict = commands.judge_now(unit, proposal)
        preview = None if isinstance(verdict, Denial) else commands.preview(unit, verdict, proposal)
    except DeniedError as denied:  # nothing more can be written in this transaction
        raise _denied(approval, denied.denial) from denied
    if isinstance(verdict, Denial):
        return _denied(approval, verdict)
    if isinstance(preview, Denial):
        return _denied(approval, preview)
    if verdict.approval is not None and not same_rule(verdict.approval.to_json(), approval.shown.get("rule")):
        return InvalidResume(
            f"The edited call of {approval.tool} would need a separate approval. Nothing was decided; reject this one and have it proposed.",
            details={"code": ErrorCode.APPROVAL_REQUIRED.value},
        )
    # Do not show the origins of values that the edit replaced.
    shown = {
        **{name: value for name, value in approval.shown.items() if name not in {"origins", "sources"}},
        **shown_of(verdict, preview),
        **origins_shown(engine.definition, unit, verdict, before=approval.arguments, editor=scope.principal.id),
        "rule": approval.shown.get("rule"),
    }
    digest = bind(
        engine.definition, unit, verdict, requester=approval.requester, shown=shown, strict=approval.rule.strict
    )
    return replace(decision, arguments=verdict.canonical), replace(approval, shown=shown, digest=digest)


def _denied(approval: ApprovalRequest, denial: Denial) -> InvalidResume:
    return InvalidResume(
        f"The edited call of {approval.tool} would be denied: {denial.message} Nothing was decided.",
        details={"code": denial.code.value},
    )


def closed(unit: Unit, approval: ApprovalRequest) -> InterlockError | None:
    """Why no decision is possible any more; None while the request is open."""
    if approval.status is ApprovalStatus.EXPIRED or approval.is_due(unit.now):
        return ConflictError(
            f"The time to decide on {approval.tool} ({approval.approval_id}) is over. Nothing runs on it; a new proposal asks again.",
            code=ErrorCode.APPROVAL_EXPIRED,
            retryable=False,
            details={"approvalId": approval.approval_id, "status": ApprovalStatus.EXPIRED.value},
        )
    if approval.status is not ApprovalStatus.REQUESTED:
        return ConflictError(
            f"The approval of {approval.tool} ({approval.approval_id}) is already {approval.status.value}. Nothing was changed; instances.approval(id) returns the decision.",
            retryable=False,
            details={"approvalId": approval.approval_id, "status": approval.status.value},
        )
    return None


def _void(unit: Unit, approval: ApprovalRequest) -> ConflictError:
    return ConflictError(
        f"The workflow moved on while {approval.tool} ({approval.approval_id}) waited: it is in {unit.instance.state!r} now. Nothing was "
        "decided, and nothing runs because of it; propose again what is still wanted.",
        code=ErrorCode.APPROVAL_VOID,
        retryable=False,
        details={"approvalId": approval.approval_id, "status": ApprovalStatus.VOID.value},
    )


def _declined(
    engine: Engine,
    unit: Unit,
    approval: ApprovalRequest,
    decision: Decision,
    *,
    by: Principal,
    error: InterlockError,
    code: str | None = None,
) -> Declined:
    unit.record(
        AuditKind.DECISION_REFUSED,
        by,
        {**_decision_payload(engine, unit, approval, decision), "reason": storable(error.message)},
        tool=approval.tool,
        code=code or error.code,
    )
    unit.flush()
    return Declined(error)


def _decision_payload(engine: Engine, unit: Unit, approval: ApprovalRequest, decision: Decision) -> dict[str, Any]:
    contract = engine.definition.contracts.get(approval.tool)
    sensitive = frozenset[str]() if contract is None else contract.sensitive
    unit.secrets.learn_from(approval.effective_arguments, sensitive)
    return {
        "approvalId": approval.approval_id,
        "decision": decision.kind.value,
        "arguments": None if decision.arguments is None else unit.hide(storable(decision.arguments), sensitive),
        "message": storable(decision.message),
    }


def _new_binding(decision: Decision, approval: ApprovalRequest) -> dict[str, Any]:
    """The new binding, for the record of an edit."""
    return {"digest": approval.digest} if decision.kind is DecisionKind.EDIT else {}


__all__ = ["Declined", "closed", "decide", "may_see", "record_refused", "unknown_approval"]
