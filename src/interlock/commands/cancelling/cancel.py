"""Cancels an instance, for callers outside the graph and for deadlines, and reads the status of a cancel."""

from functools import partial

from sqlalchemy.engine import Connection

from ...checkpointing.reasons import checked_reason
from ...checkpointing.store import Instance, LedgerStatus
from ...checkpointing.store import instances as instance_rows
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.settled import cancellations
from ...checkpointing.store.settled.cancellations import Became, CancellationRow, CancelStatus
from ...events.envelopes import moment_text
from ...rules.cancelling import undo_key
from ...tools.errors import ConflictError, OutcomeUnknown, PrincipalError, RuleError
from ...tools.ids import WorkflowId
from ...tools.principal import Principal
from ..running.access import note_denial
from ..running.engine import Engine, logger
from ..running.operations import InStore, Steps
from .report import Cancellation, CancelledCall
from .requesting import by_deadline, due, request, rule_of
from .undoing import undo_all


def cancel(engine: Engine, workflow_id: str, reason: str, by: Principal) -> Steps[Cancellation]:
    """Cancel an instance, and undo what can be undone now; a repeated call continues with the rest.

    Raises:
        InputError: The workflow cannot be cancelled, or the reason cannot be stored.
        RunError: The tenant of `by` has no such instance.
        PrincipalError: `by` may not cancel it. The attempt is recorded.
        WorkflowFinished: The instance is in a final state.
        InProgress: A command of the instance is being executed.
    """
    rule_of(engine)
    reason = checked_reason(reason, "The reason for a cancel", otherwise="Nothing was cancelled.")
    try:
        yield InStore(lambda connection: request(engine, connection, workflow_id, reason, by))
    except (PrincipalError, RuleError) as error:
        refused = error
        yield InStore(lambda connection: note_denial(engine, connection, workflow_id, refused, by=by, tried="cancel"))
        raise
    yield from go_on(engine, workflow_id)
    found: Cancellation | None = yield InStore(partial(looked_up, workflow_id), write=False)
    assert found is not None  # noqa: S101 -- it was requested
    return found


def take_up(engine: Engine, workflow_id: str) -> Steps[bool]:
    """Continue a cancel in progress, or cancel an instance whose deadline has passed.

    Returns:
        Whether there was anything to do.

    Raises:
        ConflictError: A command is being executed, or another process is doing this.
        OutcomeUnknown: A person has to resolve an attempt first.
    """
    before: CancelStatus | None = yield InStore(partial(_begun, engine, workflow_id))
    if before is not CancelStatus.OPEN:
        return False
    yield from undo_all(engine, workflow_id)
    found: Cancellation | None = yield InStore(partial(looked_up, workflow_id), write=False)
    return found is not None and found.is_done


def go_on(engine: Engine, workflow_id: str) -> Steps[None]:
    """Undo what can be undone now; if something blocks this, a tick continues later."""
    try:
        yield from undo_all(engine, workflow_id)
    except (ConflictError, OutcomeUnknown) as error:
        logger.info("the cancel of %s continues with the next tick: %s", workflow_id, error)


def looked_up(workflow_id: str, connection: Connection) -> Cancellation | None:
    """The cancellation of an instance; None if nobody cancelled it."""
    row = cancellations.load(connection, workflow_id)
    instance = instance_rows.load(connection, workflow_id)
    if row is None or instance is None or row.status is CancelStatus.DUE:
        return None
    return _shown(connection, instance, row)


def _begun(engine: Engine, workflow_id: str, connection: Connection) -> CancelStatus | None:
    due(engine, connection, workflow_id)
    row = cancellations.load(connection, workflow_id)
    return None if row is None else row.status


def _shown(connection: Connection, instance: Instance, row: CancellationRow) -> Cancellation:
    by = row.requested_by or by_deadline(row.tenant)
    return Cancellation(
        workflow_id=WorkflowId(instance.workflow_id),
        workflow=instance.workflow,
        state=instance.state,
        revision=instance.revision,
        reason=row.reason or "",
        cancelled_by=by.id,
        requested_at=moment_text(row.requested_at or instance.updated_at),
        ended_at=None if row.ended_at is None else moment_text(row.ended_at),
        calls=tuple(
            CancelledCall(
                tool=call.tool,
                idempotency_key=call.key,
                state=call.state,
                became=call.became.value,
                undone_by=call.by,
                why=call.why,
                audit_ref=call.audit_ref,
            )
            for call in row.calls
        ),
        unresolved=tuple(_unresolved(connection, row)),
    )


def _unresolved(connection: Connection, row: CancellationRow) -> list[str]:
    """The keys of the attempts that a person has to resolve before older calls are undone."""
    open_ones = [call for call in row.calls if call.became is Became.TO_UNDO]
    keys = [key for call in open_ones for key in (call.key, undo_key(row.workflow_id, call.key))]
    entries = (ledger_rows.load(connection, row.workflow_id, key) for key in keys)
    return [one.idempotency_key for one in entries if one is not None and one.status is LedgerStatus.UNKNOWN]


__all__ = ["cancel", "go_on", "looked_up", "take_up"]
