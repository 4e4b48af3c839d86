"""Plans a cancel: the executed calls, newest first, each with the command that undoes it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, LedgerEntry, LedgerStatus, Unit
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.settled.cancellations import Became, CallToUndo
from ...checkpointing.tables.workflow import ledger
from ...rules.definition import Definition, Edge
from ...tools.contracts.undo import Undo, Undoes, completed_call, is_masked
from ...tools.errors import InterlockError
from ...tools.principal import Principal
from ...tools.sinks import logger_of
from ...tools.storable import type_name, why_not_storable

logger = logger_of("interlock")


def planned(definition: Definition, unit: Unit) -> list[CallToUndo]:
    """The calls of an instance that were or may have been executed, newest first.

    A call whose undo was called with the same arguments afterwards is already undone; neither of the two is undone again.
    """
    entries = _entries(unit.connection, unit.instance.workflow_id)
    calls = [_call(definition, unit, entry) for entry in entries]
    for number, call in enumerate(calls):
        if call.became is Became.TO_UNDO and call.arguments is not None:
            _mark_if_undone(definition, call, [*zip(calls, entries, strict=True)][:number])
    return calls


def plan(definition: Definition, entry: LedgerEntry, call: CallToUndo) -> None:
    """Find the undo of a completed call; without a clear undo, the call is left for a person."""
    undo = _undo_of(definition, entry.tool, call)
    if undo is False:
        call.became, call.why = Became.NOTHING, "nothing has to be undone"
        return
    if undo is None:
        call.became, call.why = Became.LEFT, f"nothing says how {entry.tool} is undone"
        return
    call.by = undo.command.name
    arguments = _arguments(definition, undo, entry)
    if isinstance(arguments, str):
        call.became, call.why = Became.LEFT, arguments
        return
    call.arguments = arguments


def record_left(unit: Unit, call: CallToUndo, by: Principal) -> None:
    """Record that a person has to take care of a call."""
    unit.record(AuditKind.NOT_UNDONE, by, {"key": call.key, "by": call.by, "why": call.why}, tool=call.tool)


def _entries(connection: Connection, workflow_id: str) -> list[LedgerEntry]:
    wanted = [LedgerStatus.COMPLETED.value, LedgerStatus.UNKNOWN.value]
    statement = sa.select(ledger).where(ledger.c.workflow_id == workflow_id, ledger.c.status.in_(wanted))
    found = [ledger_rows.from_row(row) for row in connection.execute(statement)]
    return sorted(found, key=_order, reverse=True)


def _order(entry: LedgerEntry) -> tuple[int, int, str]:
    # Each command increments the revision, which gives the order even if clocks do not. Calls with an unknown outcome came last.
    revision = (entry.result or {}).get("revision")
    known = revision if isinstance(revision, int) else -1
    return (1 << 62 if entry.status is LedgerStatus.UNKNOWN else known, entry.started_at, entry.idempotency_key)


def _call(definition: Definition, unit: Unit, entry: LedgerEntry) -> CallToUndo:
    result = entry.result or {}
    is_known = entry.status is LedgerStatus.COMPLETED
    call = CallToUndo(
        entry.idempotency_key,
        entry.tool,
        state=str(result.get("previousState", "")) if is_known else unit.instance.state,
        target=str(result.get("currentState", "")) if is_known else "",
    )
    if is_known:
        plan(definition, entry, call)
    return call


def _undo_of(definition: Definition, tool: str, call: CallToUndo) -> Undoes:
    """The undo of a call by its edge; if several edges are possible, they have to agree."""
    edges = [edge for edge in definition.edges if edge.tool.name == tool]
    took = [edge for edge in edges if _may_have_taken(edge, call)] or edges
    undos = [edge.undone_by for edge in took]
    if not undos or any(one != undos[0] for one in undos):
        return None
    return undos[0]


def _may_have_taken(edge: Edge, call: CallToUndo) -> bool:
    return (not call.state or edge.source == call.state) and (not call.target or edge.target == call.target)


def _arguments(definition: Definition, undo: Undo, entry: LedgerEntry) -> Any:
    """The arguments of the undo, or a text why they are unknown."""
    contract = definition.contracts[entry.tool]
    output = (entry.result or {}).get("output")
    try:
        found = undo.arguments_for(completed_call(contract, entry.arguments, output, entry.idempotency_key))
    except InterlockError as error:
        return f"the arguments of {undo.command.name} do not follow from what was done: {error.message}"
    except Exception as error:  # a function of the application may raise anything
        logger.exception("the arguments of %s, which is to undo %s, could not be made", undo.command.name, entry.tool)
        return f"the arguments of {undo.command.name} could not be made ({type_name(error)})"
    if is_masked(found):
        return f"the arguments of {undo.command.name} depend on what is sensitive, and on no record"
    problem = why_not_storable(found)
    return found if problem is None else f"the arguments of {undo.command.name} cannot be kept: {problem}"


def _mark_if_undone(definition: Definition, call: CallToUndo, later: Sequence[tuple[CallToUndo, LedgerEntry]]) -> None:
    assert call.by is not None and call.arguments is not None  # noqa: S101, PT018 -- it was planned
    wanted = definition.contracts[call.by].fingerprint_of(call.arguments)
    for other, entry in reversed(later):  # the first one after it
        is_free = other.became is not Became.NOTHING and entry.status is LedgerStatus.COMPLETED
        if is_free and entry.tool == call.by and entry.fingerprint == wanted:
            call.became, call.why = Became.NOTHING, f"{entry.tool} had undone it before ({entry.idempotency_key})"
            other.became, other.why = Became.NOTHING, f"it had undone {call.tool} ({call.key})"
            return


__all__ = ["plan", "planned", "record_left"]
