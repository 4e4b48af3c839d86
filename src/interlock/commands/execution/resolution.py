"""Resolves an attempt of unknown outcome: a person states the outcome, and the workflow continues accordingly."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy.engine import Connection

from ...checkpointing.reasons import optional_reason
from ...checkpointing.store import AuditKind, LedgerEntry, LedgerStatus, Unit
from ...checkpointing.store import approvals as approval_rows
from ...checkpointing.store import ledger as ledger_rows
from ...checkpointing.store.settled import cancellations, claims
from ...checkpointing.store.settled.stops import LEFT_ALONE, Kind, Stop
from ...rules.cancelling import CANCELLING, undo_key
from ...rules.definition import Edge, offered_edges
from ...rules.gate import Admission
from ...rules.proposals import Proposal
from ...rules.stored_data import NotKeptError, stored
from ...tools.codes import ErrorCode
from ...tools.contracts import Bound
from ...tools.errors import ConflictError, InProgress, InputError, InvalidOutput, InvalidResume
from ...tools.events import Event
from ...tools.principal import Principal
from ...tools.results import ErrorBody
from ..running.access import why_not_resolve
from ..running.engine import Engine
from ..running.scope import outside_scope
from ..running.sessions import Later
from .attempts import Admitted, Outcome
from .commands import Commands
from .ledger_status import is_running


class Found(StrEnum):
    """A person's finding about an attempt of unknown outcome."""

    HAPPENED = "happened"
    """It happened: the command counts as executed, with the given result."""
    RETRY = "retry"
    """It did not happen, and is to be retried."""
    FAILED = "failed"
    """It did not happen, and is not to be retried. The proposer receives a failure."""


FoundName = Literal["happened", "retry", "failed"]
"""`Found` by name."""


@dataclass(frozen=True)
class Resolution:
    """A person's statement of how an attempt ended."""

    found: Found
    output: Any = None
    """What the tool would have returned, if it happened: as a Python value, or in its wire form."""
    data: Mapping[str, Any] | None = None
    """The workflow's data as the tool would have left it; None if it changed nothing."""
    events: tuple[Event, ...] = field(default=())
    """The events that the tool would have emitted."""
    note: str | None = None
    """How the person knows, for the record; after a failure, also the text that the proposer receives."""
    attempt: int | None = None
    """The attempt that was shown to the person; None for the last one."""


def parse_resolution(answer: Any) -> Resolution:
    """Parse the answer to an interrupt of the type `outcome_unknown`.

    It is `{"type": "happened", "output": …}`, `{"type": "retry"}` or `{"type": "failed"}`, and may have `data`, `note` and
    `attempt`.

    Raises:
        InvalidResume: It has another form.
    """
    shapes: dict[str, Any] = {"type": str, "output": object, "data": Mapping, "note": str, "attempt": int}
    if isinstance(answer, Mapping) and answer.keys() <= shapes.keys() and answer.get("type") in {*Found}:
        values: dict[str, Any] = {name: value for name, value in answer.items() if name != "type" and value is not None}
        if all(isinstance(value, shapes[name]) for name, value in values.items()):
            return Resolution(Found(answer["type"]), **values)
    raise InvalidResume(
        'The attempt is still unresolved: the answer is not one of {"type": "happened", "output": ...}, {"type": "retry"} and '
        '{"type": "failed", "note": ...}. Nothing was done.'
    )


def resolve(
    engine: Engine, connection: Connection, workflow_id: str, key: str | None, resolution: Resolution, *, by: Principal
) -> Outcome | None:
    """Resolve an attempt, in a write transaction.

    Args:
        engine: The workflow of the command.
        connection: In a write transaction; committed by the caller unless this raises.
        workflow_id: The instance.
        key: The command's idempotency key; None for the attempt that the instance waits for.
        resolution: The finding.
        by: The person who states it.

    Returns:
        The outcome of the command; None if it is to be retried.

    Raises:
        PrincipalError: The instance serves them, or they are not identified; the caller records it.
        InputError: There is no such command, or the output or data are invalid.
        ConflictError: It is running, was resolved already, or was attempted again since.
    """
    note = optional_reason(resolution.note, "The note on an attempt", otherwise="Nothing was resolved.")
    resolution = replace(resolution, note=note)
    commands = Commands(engine, outside_scope(workflow_id, by), node=None, head=None)
    unit = commands.unit(connection)
    if (refused := why_not_resolve(engine, unit.instance, by)) is not None:
        raise refused
    entry = _waiting(unit, key, resolution)
    if unit.instance.state == CANCELLING and resolution.found is Found.RETRY:
        _check_undoes(unit, entry)
    unit.record(
        AuditKind.RESOLUTION,
        by,
        {
            "key": entry.idempotency_key,
            "attempt": entry.attempt,
            "found": resolution.found.value,
            "note": resolution.note,
            "arguments": entry.arguments,
        },
        tool=entry.tool,
    )
    _note(engine, unit, entry)
    unit.set(running_key=None, lease_owner=None, lease_until=None, lease_epoch=unit.instance.lease_epoch + 1)
    if resolution.found is Found.RETRY:
        after = replace(entry, status=LedgerStatus.FAILED, owner=None, result=None)
        unit.enter(entry, after)
        try:
            unit.flush()
        except InProgress as error:
            raise _changed(entry) from error
        return None
    ready, proposal = _as_attempted(engine, commands, unit, entry)
    if resolution.found is Found.FAILED:
        said = f": {resolution.note}" if resolution.note else ""
        body = ErrorBody(
            code=ErrorCode.TOOL_FAILED,
            message=f"{ready.contract.wire_name} did not happen; a person looked into it{said}. Nothing was changed.",
        )
        return commands.outcomes.refused(unit, ready, proposal, body)
    if resolution.data is not None:
        ready.context.data = _data(engine, entry, resolution.data)
    ready.context.emitted.extend(resolution.events)
    try:
        return commands.outcomes.transition(unit, ready, proposal, _output(ready, resolution.output))
    except InvalidOutput as error:
        raise InputError(
            f"The result that was given for {entry.tool} is not what it returns: {error.message}. Nothing was resolved.",
            details=error.details,
        ) from error


def _note(engine: Engine, unit: Unit, entry: LedgerEntry) -> None:
    """Record that the graph must be resumed, so that a tick does so if the resolving process does not."""
    if unit.instance.thread_id is not None:
        stop = Stop(Kind.ATTEMPT, entry.workflow_id, entry.idempotency_key)
        at = unit.now + int(LEFT_ALONE * 1_000_000)
        claims.note(unit.connection, stop, workflow=engine.definition.name, now=unit.now, at=at)


def _data(engine: Engine, entry: LedgerEntry, given: Mapping[str, Any]) -> Any:
    """The workflow's data after the attempt, as the person states it."""
    model = engine.definition.data_model
    if model is None:
        return None
    try:
        return model.model_validate(stored(model, given))
    except NotKeptError as error:
        raise InputError(f"The data that was given for {entry.tool} {error}. Nothing was resolved.") from error


def _waiting(unit: Unit, key: str | None, resolution: Resolution) -> LedgerEntry:
    workflow_id = unit.instance.workflow_id
    wanted = key or unit.instance.running_key
    entry = None if wanted is None else ledger_rows.load(unit.connection, workflow_id, wanted)
    if entry is None:
        raise InputError(
            f"The workflow {workflow_id} has no command {f'under the key {key}' if key else 'whose outcome is unknown'}. Nothing was done.",
            code="nothing_to_resolve",
        )
    unsettled = {LedgerStatus.UNKNOWN, LedgerStatus.STARTED}
    if entry.status not in unsettled:
        raise ConflictError(
            f"{entry.tool} in {workflow_id} is {entry.status.value} and needs no resolving. Nothing was changed.",
            retryable=False,
            details={"workflowId": workflow_id, "key": entry.idempotency_key, "status": entry.status.value},
        )
    if entry.status is LedgerStatus.STARTED and is_running(unit, entry):
        raise ConflictError(
            f"{entry.tool} in {workflow_id} is still running (attempt {entry.attempt}). Nothing was changed; wait until it has ended, or its "
            "lease has run out.",
            details={"workflowId": workflow_id, "key": entry.idempotency_key},
        )
    if resolution.attempt is not None and resolution.attempt != entry.attempt:
        raise _changed(entry)
    return entry


def _check_undoes(unit: Unit, entry: LedgerEntry) -> None:
    """Refuse to retry an attempt on an instance that is being cancelled, unless the attempt undoes a call.

    Raises:
        InputError: It does not undo a call.
    """
    workflow_id = unit.instance.workflow_id
    row = cancellations.load(unit.connection, workflow_id)
    calls = [] if row is None else row.calls
    if entry.idempotency_key not in {undo_key(workflow_id, call.key) for call in calls}:
        raise InputError(
            f"{entry.tool} in {workflow_id} is not tried again, because the workflow is being cancelled. Nothing was resolved; say whether it happened "
            "(then it is undone) or failed.",
            code="cancelling",
        )


def _changed(entry: LedgerEntry) -> ConflictError:
    return ConflictError(
        f"{entry.tool} in {entry.workflow_id} was tried again since: its last attempt is number {entry.attempt}. Nothing was resolved; look again.",
        retryable=False,
        details={"workflowId": entry.workflow_id, "key": entry.idempotency_key, "attempt": entry.attempt},
    )


def _as_attempted(engine: Engine, commands: Commands, unit: Unit, entry: LedgerEntry) -> tuple[Admitted, Proposal]:
    requester = entry.requester or Principal(entry.principal_id or Principal.ANONYMOUS.id, tenant=entry.tenant)
    proposal = Proposal(
        key=entry.idempotency_key,
        message_key="",
        tool=entry.tool,
        arguments=entry.arguments,
        call_id="",
        requester=requester,
        offered=True,
        state=unit.instance.state,
        revision=unit.instance.revision,
    )
    edge = _edge(engine, unit, entry, requester)
    later = Later()
    context = commands.context(unit, edge.tool, proposal, entry.attempt, later)
    # The ledger contains the arguments with sensitive values masked, so only those can be recorded again.
    admission = Admission(edge, Bound(None, entry.arguments, entry.fingerprint), None)
    approval = approval_rows.load(unit.connection, entry.workflow_id, entry.idempotency_key)
    granted = approval if approval is not None and approval.status.is_granted else None
    return Admitted(edge.tool, admission.arguments, context, later, unit, admission, granted, entry), proposal


def _edge(engine: Engine, unit: Unit, entry: LedgerEntry, requester: Principal) -> Edge:
    """The edge of the attempt. The instance has not moved since, so it is the offered one, or the only one of the tool."""
    if unit.instance.state == CANCELLING and entry.tool in engine.definition.contracts:
        # The attempt is undone next, or undoes a call itself; in both cases the instance keeps its state.
        return Edge(CANCELLING, engine.definition.contracts[entry.tool], CANCELLING)
    here = [edge for edge in engine.definition.by_source.get(unit.instance.state, ()) if edge.tool.name == entry.tool]
    offered = offered_edges(here, engine.view(unit.instance, requester, unit))
    for edge in (*offered, *here):
        return edge
    raise InputError(
        f"In the state {unit.instance.state!r} this definition of {engine.definition.name} has no edge for {entry.tool} any more. Nothing was "
        "resolved; resolve it with the release that began it.",
        code="definition_changed",
    )


def _output(ready: Admitted, given: Any) -> Any:
    """The output as the tool would have returned it: as given, or parsed from its wire form."""
    try:
        ready.contract.dump_output(given)
    except InvalidOutput:
        snake = _in_snake_case(given)
        if snake == given:
            raise
        ready.contract.dump_output(snake)
        return snake
    return given


def _in_snake_case(value: Any) -> Any:
    match value:
        case Mapping():
            return {_snake(str(name)): _in_snake_case(item) for name, item in value.items()}
        case list():
            return [_in_snake_case(item) for item in value]
        case _:
            return value


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


__all__ = ["Found", "Resolution", "parse_resolution", "resolve"]
