"""Undoes the executed calls of a cancelled instance: newest first, each gated, recorded and executed exactly once.

The ledger contains the progress: the undo of a call has its own key, derived from the key of that call. So if a process dies in between,
the next one continues, and two concurrent processes undo nothing twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, LedgerEntry, LedgerStatus, Unit
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.settled import cancellations
from ...checkpointing.store.settled.cancellations import Became, CallToUndo, CancellationRow, CancelStatus
from ...rules.cancelling import CANCELLED, CANCELLING, undo_key
from ...rules.proposals import Proposal
from ...tools.events import Event
from ...tools.ids import derive
from ...tools.principal import Principal
from ...tools.results import ErrorResult
from ...tracing.outside import outside_call
from ..execution.attempts import Broken, Outcome
from ..execution.commands import Commands
from ..execution.ledger_status import is_running
from ..proposals.answers import stored
from ..proposals.streaming import stream_for_tools
from ..running import needed
from ..running.engine import Engine
from ..running.operations import InStore, Steps
from ..running.scope import outside_scope
from .planning import plan, record_left
from .requesting import by_deadline


class InstanceCancelled(Event, name="interlock.instance.cancelled", version=1):
    """An instance was cancelled, and the calls that can be undone were undone."""

    cancelled_by: str
    undone: int
    """The number of undone calls."""
    left: int
    """The number of calls that are left for a person."""


_MINUTE = 60_000_000
_LONGEST_PAUSE = 60 * _MINUTE
_PATIENCE = 24 * 60 * _MINUTE
"""The time after the cancel during which a temporarily denied undo is retried; then the call is left for a person."""


@dataclass(frozen=True)
class Denied:
    """The gate's denial of an undo."""

    why: str
    passes: bool = False
    """Whether the same call may be allowed later, by the denial."""


@dataclass(frozen=True)
class Next:
    """The next call to undo."""

    proposal: Proposal
    head: str | None
    """The mark of the instance's history, as for calls from outside the graph."""


def undo_all(engine: Engine, workflow_id: str) -> Steps[None]:
    """Undo the executed calls, until all possible ones are undone, or a person has to resolve an attempt first.

    Raises:
        ConflictError: Another process is doing this.
        StoreUnavailable: The database cannot be reached; a later tick continues.
    """
    denied: dict[str, Denied] = {}
    while True:
        following: Next | None = yield InStore(partial(advance, engine, workflow_id, denied))
        if following is None:
            return
        proposal = following.proposal
        commands = Commands(engine, outside_scope(workflow_id, proposal.requester), node=None, head=following.head)
        facts = {"workflow": engine.definition.name, "workflow_id": workflow_id, "tool": proposal.tool}
        with outside_call(_facts(engine, facts), proposal.to_json()) as tell, stream_for_tools():
            outcome: Outcome | Broken = yield from commands.carry_out(proposal)
            if isinstance(outcome, Outcome):
                tell(outcome.result)
        if isinstance(outcome, Outcome) and not outcome.ok:
            answer = stored(outcome.result)
            error = answer.error if isinstance(answer, ErrorResult) else None
            denied[proposal.key] = (
                Denied("it was refused") if error is None else Denied(error.message, passes=error.retryable)
            )


def advance(engine: Engine, workflow_id: str, denied: Mapping[str, Denied], connection: Connection) -> Next | None:
    """Record the results of the undo calls so far, in a write transaction.

    Args:
        engine: The workflow.
        workflow_id: The instance.
        denied: The gate's denials of undo calls, by key, because the ledger does not contain them.
        connection: The connection; the caller commits unless this raises.

    Returns:
        The next call to undo; None if there is none, or none is possible now.
    """
    unit = engine.store.unit(connection, workflow_id)
    row = None if unit is None else cancellations.load(connection, workflow_id)
    if unit is None or row is None or row.status is not CancelStatus.OPEN or unit.instance.state != CANCELLING:
        return None
    by = _by(row)
    following: Next | None = None
    for call in row.calls:
        if call.became is not Became.TO_UNDO:
            continue
        state = _progress_of(engine, unit, row, call, denied)
        if state is _Progress.SETTLED:
            continue
        if state is _Progress.TO_DO:
            following = Next(_proposal(unit, call, by), unit.instance.head_mark)
        break
    else:
        _finish(engine, unit, row, by)
    cancellations.write(connection, row, is_new=False)
    unit.flush()
    return following


def _by(row: CancellationRow) -> Principal:
    return row.requested_by or by_deadline(row.tenant)


class _Progress(StrEnum):
    """The progress of undoing one call."""

    SETTLED = "settled"
    TO_DO = "to do"
    WAITS = "waits"
    """The undo is in progress, has to be resolved by a person, or was denied temporarily."""


def _progress_of(
    engine: Engine, unit: Unit, row: CancellationRow, call: CallToUndo, denied: Mapping[str, Denied]
) -> _Progress:
    workflow_id, by = unit.instance.workflow_id, _by(row)
    done = ledger_rows.load(unit.connection, workflow_id, call.key)
    if done is None or done.status is LedgerStatus.FAILED:
        return _settle(unit, call, by, Became.NOTHING, "it did not happen")
    if done.status is not LedgerStatus.COMPLETED:
        return _Progress.WAITS
    if call.by is None:
        plan(engine.definition, done, call)
        if call.became is not Became.TO_UNDO:
            return _settle(unit, call, by, call.became, call.why)
    key = undo_key(workflow_id, call.key)
    entry = ledger_rows.load(unit.connection, workflow_id, key)
    return _progress_of_undo(unit, row, call, entry, denied.get(key))


def _progress_of_undo(
    unit: Unit, row: CancellationRow, call: CallToUndo, entry: LedgerEntry | None, denied: Denied | None
) -> _Progress:
    by = _by(row)
    match None if entry is None else entry.status:
        case LedgerStatus.COMPLETED:
            call.audit_ref = None if entry is None else entry.audit_ref
            return _settle(unit, call, by, Became.UNDONE, None)
        case LedgerStatus.DRY_RUN:
            return _settle(unit, call, by, Became.LEFT, "it was a dry run")
        case LedgerStatus.UNKNOWN:
            return _Progress.WAITS
        case LedgerStatus.STARTED:
            assert entry is not None  # noqa: S101 -- it has a status
            return _Progress.WAITS if is_running(unit, entry) else _Progress.TO_DO
        case LedgerStatus.FAILED if entry is not None and entry.result is not None:
            return _settle(unit, call, by, Became.LEFT, _message(entry.result))
    if denied is not None:
        until = (row.requested_at or unit.now) + _PATIENCE
        if not denied.passes or unit.now >= until:
            return _settle(unit, call, by, Became.LEFT, denied.why)
        call.why, call.denials = denied.why, call.denials + 1
        call.again_at = min(unit.now + min(_MINUTE << (call.denials - 1), _LONGEST_PAUSE), until)
    return _Progress.TO_DO if call.again_at is None or unit.now >= call.again_at else _Progress.WAITS


def _settle(unit: Unit, call: CallToUndo, by: Principal, became: Became, why: str | None) -> _Progress:
    call.became, call.why = became, why
    if became is Became.LEFT:
        record_left(unit, call, by)
    return _Progress.SETTLED


def _message(result: Mapping[str, Any]) -> str:
    error = result.get("error")
    return str(error.get("message")) if isinstance(error, Mapping) else "it was refused"


def _proposal(unit: Unit, call: CallToUndo, by: Principal) -> Proposal:
    instance = unit.instance
    return Proposal(
        key=undo_key(instance.workflow_id, call.key),
        message_key=derive("msg", "undo", instance.workflow_id, call.key),
        tool=str(call.by),
        arguments=dict(call.arguments or {}),
        call_id="",
        requester=by,
        offered=True,
        state=instance.state,
        revision=instance.revision,
        undoes=call.key,
    )


def _finish(engine: Engine, unit: Unit, row: CancellationRow, by: Principal) -> None:
    row.status, row.ended_at = CancelStatus.DONE, unit.now
    left = [call for call in row.calls if call.became is Became.LEFT]
    undone = [call for call in row.calls if call.became is Became.UNDONE]
    before = unit.instance
    unit.move(state=CANCELLED, data=before.data, finished=True)
    unit.record(
        AuditKind.CANCELLED,
        by,
        {
            "reason": row.reason,
            "previousState": before.state,
            "currentState": CANCELLED,
            "undone": [{"key": call.key, "tool": call.tool, "by": call.by} for call in undone],
            "left": [{"key": call.key, "tool": call.tool, "why": call.why} for call in left],
        },
    )
    event = InstanceCancelled(cancelled_by=by.id, undone=len(undone), left=len(left))
    about = ("cancelled", unit.instance.workflow_id, unit.instance.revision)
    unit.announce(event, by, source="/interlock/cancellations", about=about)
    if left:
        needed.left_over(engine, unit, by)


def _facts(engine: Engine, known: dict[str, Any]) -> Mapping[str, Any]:
    return {**known, "workflow_version": engine.definition.version, "thread_id": None}


__all__ = ["InstanceCancelled", "advance", "undo_all"]
