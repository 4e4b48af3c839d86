"""Reassigns open requests to other people, and sends reminders."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.reasons import optional_reason
from ...checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Instance, Unit
from ...checkpointing.store import approvals as approval_rows
from ...tools.approvals import Approval, DecisionKind
from ...tools.approvals.deciders import People, RoleHolders, ids_of, named
from ...tools.errors import ConflictError, ContractError, InputError, InterlockError, PrincipalError
from ...tools.principal import Principal, RuntimeActor
from ...tools.storable import storable_text
from ..running import needed
from ..running.engine import Engine
from ..running.operations import InStore, Steps
from .binding import moved_on
from .deadlines import lapse
from .decisions import Declined, closed, unknown_approval


def reassign(
    engine: Engine, connection: Connection, approval_id: str, to: People, *, by: Principal, reason: str | None
) -> ApprovalRequest | Declined:
    """Reassign an open request to other people; its deadline and everything else remain.

    Args:
        engine: The workflow of the approval.
        connection: A connection in a write transaction, which must be committed whatever the result.
        approval_id: The ID of the approval.
        to: The people who decide from now on. If the rule requires a role, they must have it when they decide.
        by: The principal who reassigns it: one who may decide on it, or has the role of the rule's `reassign=`.
        reason: The reason, which is recorded.

    Raises:
        InputError: There is no such approval, nobody was named, or the reason cannot be stored.
    """
    people = _people(to, by)
    reason = optional_reason(reason, "The reason for giving a request to others", otherwise="Nothing was changed.")
    found = _open(engine, connection, approval_id, by)
    if isinstance(found, Declined):
        return found
    unit, approval = found
    if (error := why_not_reassign(unit.instance, approval, by)) is not None:
        return _refused(unit, approval, by, error)
    rule = approval.rule
    standing = approval_rows.standing(connection, approval)
    if not isinstance(people, RoleHolders):
        barred = {by.id, approval.requester.id, *standing.taken}
        if any(stage.confirmation for stage in rule.stages) and unit.instance.served is not None:
            barred.add(unit.instance.served)
        able = people - barred
        if people != able or len(able) + len(standing.agreed) < rule.count:
            return _refused(unit, approval, by, _not_able(approval, people, able, by))
        people = people | frozenset(standing.agreed)
    given = replace(rule, by=people, from_case=rule.from_case - {"by"})
    after = replace(approval, rule=given, remind_at=given.reminder(unit.now))
    if not approval_rows.update(connection, approval, after):
        raise ConflictError(f"{approval_id} was decided at the same moment. Nothing was changed; look again.")
    unit.record(
        AuditKind.REASSIGNED,
        by,
        {
            "approvalId": approval_id,
            "from": rule.who,
            "to": given.who,
            "reason": reason,
            "rule": given.to_json(),
        },
        tool=approval.tool,
    )
    needed.asked(engine, unit, after, "reassigned")
    unit.flush()
    return after


def remind(
    engine: Engine, connection: Connection, approval_id: str, *, by: Principal, may: Callable[[ApprovalRequest], bool]
) -> ApprovalRequest | Declined:
    """Send a reminder of an open request on demand.

    Args:
        engine: The workflow of the approval.
        connection: A connection in a write transaction, which must be committed whatever the result.
        approval_id: The ID of the approval.
        by: The principal who reminds.
        may: Whether they may see the request.

    Raises:
        InputError: There is no such approval.
    """
    found = _open(engine, connection, approval_id, by)
    if isinstance(found, Declined):
        return found
    unit, approval = found
    if not may(approval):
        error = PrincipalError(
            f"{by.id} may not see the approval {approval_id}, and so cannot remind of it. Nothing was done.",
            code="not_entitled",
            details={"approvalId": approval_id},
        )
        return _refused(unit, approval, by, error)
    return _reminded(engine, unit, approval, by)


def remind_one(engine: Engine, approval_id: str, workflow_id: str) -> Steps[bool]:
    """Send the due reminder of one request; False if it is not due, or another process sent it."""
    done: bool = yield InStore(partial(_remind_due, engine, approval_id, workflow_id))
    return done


def _remind_due(engine: Engine, approval_id: str, workflow_id: str, connection: Connection) -> bool:
    unit = engine.store.unit(connection, workflow_id)
    approval = approval_rows.load_by_id(connection, approval_id)
    if unit is None or approval is None or approval.status is not ApprovalStatus.REQUESTED:
        return False
    if approval.remind_at is None or approval.remind_at > unit.now:
        return False
    if approval.is_due(unit.now) or moved_on(unit.instance, approval):  # nobody has to decide it any more
        approval_rows.update(connection, approval, replace(approval, remind_at=None))
        return False
    _reminded(engine, unit, approval, RuntimeActor.clock(approval.tenant))
    return True


def _reminded(engine: Engine, unit: Unit, approval: ApprovalRequest, by: Principal) -> ApprovalRequest:
    after = replace(approval, remind_at=approval.rule.reminder(unit.now))
    approval_rows.update(unit.connection, approval, after)
    unit.record(
        AuditKind.REMINDED, by, {"approvalId": approval.approval_id, "to": approval.rule.who}, tool=approval.tool
    )
    needed.asked(engine, unit, after, "reminder")
    unit.flush()
    return after


def _open(
    engine: Engine, connection: Connection, approval_id: str, by: Principal
) -> tuple[Unit, ApprovalRequest] | Declined:
    approval = approval_rows.load_by_id(connection, approval_id)
    if approval is None or approval.workflow != engine.definition.name or approval.tenant != by.tenant:
        raise unknown_approval(approval_id)
    unit = engine.store.unit(connection, approval.workflow_id)
    approval = approval_rows.load_by_id(connection, approval_id)  # read it again under the lock of the instance
    if unit is None or approval is None:
        raise unknown_approval(approval_id)
    approval = lapse(engine, unit, approval)
    problem = closed(unit, approval)
    if problem is None and moved_on(unit.instance, approval):
        problem = ConflictError(
            f"The workflow moved on to {unit.instance.state!r} while {approval.tool} ({approval_id}) waited; nothing runs on it any more. Nothing "
            "was changed.",
            retryable=False,
            details={"approvalId": approval_id},
        )
    return (unit, approval) if problem is None else _refused(unit, approval, by, problem)


def why_not_reassign(instance: Instance, approval: ApprovalRequest, by: Principal) -> InterlockError | None:
    """Why a principal may not reassign a request; None if they may: they can decide it themselves, or have the role for that.

    Args:
        instance: The instance.
        approval: The request.
        by: The principal.
    """
    rule = approval.rule
    if rule.confirmation:
        return InputError(
            f"{approval.tool} ({approval.approval_id}) is confirmed by the person served, and nobody else can. Nothing was changed."
        )
    if by.id != approval.requester.id and (_decides_now(instance, approval, by) or _may_reassign(rule, by)):
        return None
    who = "who proposed it" if by.id == approval.requester.id else by.id
    return PrincipalError(
        f"{by.id} may not give {approval.tool} ({approval.approval_id}) to somebody else: {who} does not choose who decides on it. Nothing was changed.",
        code="not_entitled",
        details={"approvalId": approval.approval_id},
    )


def _decides_now(instance: Instance, approval: ApprovalRequest, by: Principal) -> bool:
    """Whether a principal may decide in their own name; a delegate may decide, but not reassign."""
    served = instance.served
    kind = DecisionKind.REJECT
    return by.is_known and approval.rule.why_not(requester=approval.requester, by=by, kind=kind, served=served) is None


def _may_reassign(rule: Approval, by: Principal) -> bool:
    return rule.reassign is not None and by.has_role(rule.reassign)


def _people(to: People, by: Principal) -> frozenset[str] | RoleHolders:
    try:
        who = named(to)
        several = [to] if isinstance(to, str | Principal | RoleHolders) else to
        foreign = [one.id for one in several if isinstance(one, Principal) and one.tenant != by.tenant]
        if foreign:
            raise ContractError(f"{', '.join(foreign)} belongs to another tenant than {by.id}.")
    except ContractError as error:
        raise InputError(f"{error.message} Nothing was changed.") from error
    return who if isinstance(who, RoleHolders) else ids_of(who)


def _not_able(approval: ApprovalRequest, people: Any, able: frozenset[str], by: Principal) -> InputError:
    cannot = sorted(people - able)
    why = f"{', '.join(cannot)} cannot decide it: the proposer, the caller, and those who have already agreed are excluded"
    few = f"they are too few, for {approval.rule.count} must agree"
    return InputError(
        f"{approval.tool} ({approval.approval_id}) cannot be given to {', '.join(sorted(people))} by {by.id}: {why if cannot else few}. Nothing "
        "was changed.",
        details={"approvalId": approval.approval_id},
    )


def _refused(unit: Unit, approval: ApprovalRequest, by: Principal, error: InterlockError) -> Declined:
    unit.record(
        AuditKind.DECISION_REFUSED,
        by,
        {"approvalId": approval.approval_id, "reason": storable_text(error.message)},
        tool=approval.tool,
        code=error.code,
    )
    unit.flush()
    return Declined(error)


__all__ = ["reassign", "remind", "remind_one", "why_not_reassign"]
