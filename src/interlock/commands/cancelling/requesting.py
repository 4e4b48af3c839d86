"""Starts a cancel: from now on no other tool may be called, and the executed calls are recorded for their undo."""

from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, Instance, LedgerStatus, Unit, approval_listing
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.settled import cancellations
from ...checkpointing.store.settled.cancellations import Became, CancellationRow, CancelStatus
from ...rules.cancelling import CANCELLING, RESERVED, CancelRule
from ...tools.errors import InProgress, InputError, PrincipalError, RuleError, WorkflowFinished
from ...tools.principal import LibraryActor, Principal
from ..approvals.binding import void
from ..execution.commands import Commands
from ..execution.ledger_status import busy
from ..execution.outcomes import Outcomes
from ..running.engine import Engine
from ..running.scope import outside_scope
from ..waits.settling import arrive
from .planning import planned, record_left


def by_deadline(tenant: str) -> Principal:
    """The principal of a cancel by a deadline, within a tenant."""
    return LibraryActor.deadline(tenant)


def rule_of(engine: Engine) -> CancelRule:
    """The workflow's cancel rule.

    Raises:
        InputError: The instances of the workflow cannot be cancelled.
    """
    cancelling = engine.definition.cancelling
    if cancelling is None:
        raise InputError(
            f"The instances of the workflow {engine.definition.name} cannot be cancelled. Nothing was done. Where somebody is to be able to, the workflow "
            "says who: flow.cancellable(role='supervisor').",
            code="not_cancellable",
        )
    return cancelling.rule


def request(engine: Engine, connection: Connection, workflow_id: str, reason: str, by: Principal) -> None:
    """Cancel an instance if the principal may, in a write transaction; does nothing if it is already cancelled.

    Raises:
        RunError: The instance does not exist, or belongs to another tenant.
        PrincipalError: The principal may not cancel it; the caller records that.
        WorkflowFinished: The instance is in a final state.
        InProgress: A command of the instance is being executed.
        RuleError: The workflow's own rule failed.
    """
    rule = rule_of(engine)
    unit = Commands(engine, outside_scope(workflow_id, by), node=None, head=None).unit(connection)
    instance = unit.instance
    why = _why_not(engine, rule, unit, by)
    if why is not None:
        raise PrincipalError(
            f"{by.id} may not cancel the workflow {workflow_id}: {why}. Nothing was cancelled.",
            code="not_entitled",
            details={"workflowId": workflow_id, "reason": why},
        )
    if instance.state in RESERVED:
        return
    if instance.finished:
        raise WorkflowFinished(
            f"The workflow {workflow_id} ended in {instance.state!r}, and can no longer be cancelled. Nothing was done.",
            details={"workflowId": workflow_id, "currentState": instance.state},
        )
    begin(engine, unit, reason, by)


def may_cancel(engine: Engine, instance: Instance, by: Principal) -> bool:
    """Whether a principal could cancel an instance now, for a user interface; `request` checks it again."""
    cancelling = engine.definition.cancelling
    if cancelling is None or instance.finished or instance.state in RESERVED or instance.tenant != by.tenant:
        return False
    try:
        return cancelling.rule.why_not(engine.view(instance, by), served=instance.served) is None
    except RuleError:
        return False


def due(engine: Engine, connection: Connection, workflow_id: str) -> bool:
    """Cancel an instance whose deadline has passed, in a write transaction.

    Returns:
        Whether the instance was cancelled; if it has finished, its deadline is removed.

    Raises:
        InProgress: A command of the instance is being executed.
    """
    row = cancellations.load(connection, workflow_id)
    unit = engine.store.unit(connection, workflow_id)
    if row is None or unit is None or row.status is not CancelStatus.DUE:
        return False
    if engine.definition.cancelling is None or unit.instance.finished:
        cancellations.forget(connection, workflow_id)
        return False
    if row.due_at is None or row.due_at > unit.now:
        return False
    by = by_deadline(unit.instance.tenant)
    unit = Commands(engine, outside_scope(workflow_id, by), node=None, head=None).unit(connection)
    begin(engine, unit, "It had not come to its end by its deadline.", by)
    return True


def begin(engine: Engine, unit: Unit, reason: str, by: Principal) -> None:
    """Close all open requests and waits, and record the calls to undo.

    Raises:
        InProgress: A command is being executed.
    """
    instance = unit.instance
    _settle_what_runs(engine, unit)
    for approval in approval_listing.open_ones(unit.connection, instance.workflow_id):
        if not approval.status.is_closed:
            void(unit, approval, "the workflow was cancelled")
    calls = planned(engine.definition, unit)
    before = cancellations.load(unit.connection, instance.workflow_id)
    row = CancellationRow(
        workflow_id=instance.workflow_id,
        tenant=instance.tenant,
        workflow=instance.workflow,
        status=CancelStatus.OPEN,
        due_at=None if before is None else before.due_at,
        requested_at=unit.now,
        requested_by=by,
        reason=reason,
        calls=calls,
    )
    cancellations.write(unit.connection, row, is_new=before is None)
    unit.move(state=CANCELLING, data=instance.data, finished=False)
    unit.record(
        AuditKind.CANCEL,
        by,
        {
            "reason": reason,
            "previousState": instance.state,
            "currentState": CANCELLING,
            "toUndo": [{"key": call.key, "tool": call.tool, "by": call.by} for call in calls],
        },
    )
    for call in calls:
        if call.became is Became.LEFT:
            record_left(unit, call, by)
    unit.flush()
    arrive(engine, unit)
    engine.store.note_due(unit.connection, instance.workflow_id, f"cancel/{instance.workflow_id}")


def _why_not(engine: Engine, rule: CancelRule, unit: Unit, by: Principal) -> str | None:
    instance = unit.instance
    if instance.finished or instance.state in RESERVED:  # there is nothing to decide any more, but who is told
        return None if rule.names(by, instance.served) else f"it is cancelled by {rule.who}"
    return rule.why_not(engine.view(instance, by, unit), served=instance.served)


def _settle_what_runs(engine: Engine, unit: Unit) -> None:
    """An interrupted effect is of unknown outcome from now on; one that is in progress ends first.

    Raises:
        InProgress: One is in progress.
    """
    instance = unit.instance
    if instance.running_key is None:
        return
    entry = ledger_rows.load(unit.connection, instance.workflow_id, instance.running_key)
    if entry is None or entry.status is not LedgerStatus.STARTED:
        return
    error = busy(unit, entry)
    if isinstance(error, InProgress):
        raise error
    by = entry.requester or Principal.anonymous(entry.tenant)
    outcomes = Outcomes(engine, outside_scope(instance.workflow_id, by), node=None)
    outcomes.unknown(unit, entry, by, "the attempt was interrupted, and the workflow is cancelled")


__all__ = ["begin", "by_deadline", "due", "may_cancel", "request", "rule_of"]
