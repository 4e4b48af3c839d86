"""Carrying out one proposal: gate, ledger, tool, transition, audit and events, in as few transactions as its effect allows.

A transactional command is one transaction. An effect outside the database is two, with a ledger row between them that says
that the effect is under way; while it stands, nothing else moves the instance. A read runs on a connection that cannot write.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, ValidationError
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from ..checkpointing.store import ApprovalRequest, ApprovalStatus, AuditKind, Instance, LedgerEntry, LedgerStatus, Unit
from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import ledger as ledger_rows
from ..tools.canonical import JSON, JsonObject
from ..tools.codes import ErrorCode
from ..tools.context import ToolContext
from ..tools.contracts import ToolContract
from ..tools.errors import (
    ConflictError,
    IdempotencyError,
    InProgress,
    InvalidOutput,
    OutcomeUnknown,
    Refused,
    StaleCheckpoint,
    StoreError,
)
from ..tools.events import Event
from ..tools.ids import AuditRef, IdempotencyKey, TraceId, WorkflowId, mint
from ..tools.kinds import Effect, ToolKind
from ..tools.redaction import redact
from ..tools.results import CommandResult, ErrorBody, ErrorResult, ReadResult
from .base import Engine, logger, same_line
from .binding import use, void, with_approval
from .driver import Attempt, Body, InStore, Later, Sessions, Steps, Transact
from .gate import Admission, Denial, Verdict, judge
from .proposals import Proposal, with_arguments
from .records import envelope, error_body, facts_of, plain_object
from .scope import Scope


@dataclass(frozen=True)
class Outcome:
    """What became of a proposal."""

    result: JsonObject
    """A command result, a read result or an error, as on the wire."""
    instance: Instance
    replayed: bool = False

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return bool(self.result.get("ok"))


@dataclass(frozen=True)
class Broken:
    """An earlier attempt broke off, and nobody knows whether its effect happened."""

    entry: LedgerEntry


class Commands:
    """Carries out proposals on one instance.

    Args:
        engine: The workflow and its store.
        scope: Where, and on whose behalf.
        node: The execution node that the graph came to; None for a command that comes from outside the graph.
        head: The last command's checkpoint as the graph remembers it.
    """

    def __init__(self, engine: Engine, scope: Scope, *, node: str | None, head: str | None) -> None:
        self.engine = engine
        self.scope = scope
        self.node = node
        self.head = head

    def carry_out(self, proposal: Proposal) -> Steps[Outcome | Broken]:
        """Judge the proposal and, if it may be, run its tool."""
        contract = self.engine.definition.contracts.get(proposal.tool)
        if contract is None:
            refused: Outcome = yield InStore(lambda connection: self.refuse(connection, proposal))
            return refused
        if contract.kind is ToolKind.READ:
            return (yield from self._read(proposal))
        if contract.effect is Effect.TRANSACTIONAL:
            done: Outcome | Broken = yield Transact(
                contract,
                lambda connection, sessions: self._begin(connection, proposal, sessions),
                lambda connection, attempt, output: self._finish(connection, attempt, proposal, output),
                lambda connection, attempt, error: self._failed(connection, attempt, proposal, error),
            )
            return done
        return (yield from self._outside(contract, proposal))

    def refuse(self, connection: Connection, proposal: Proposal, denial: Denial | None = None) -> Outcome:
        """Answer a proposal with a denial, the gate's own unless one is given, and record it."""
        unit = self.unit(connection)
        if denial is None:
            verdict = self._judge(unit, proposal)
            if not isinstance(verdict, Denial):
                raise StoreError(
                    f"the proposal of {proposal.tool} was taken for a denial and is none", code="internal_error"
                )
            denial = verdict
        return self._deny(unit, proposal, denial)

    def judge_now(self, unit: Unit, proposal: Proposal) -> Verdict:
        """The gate's verdict on a proposal as things stand in this transaction."""
        return self._judge(unit, proposal)

    # One transaction

    def _begin(self, connection: Connection, proposal: Proposal, sessions: Sessions) -> Attempt | Outcome | Broken:
        unit = self.unit(connection)
        entry = ledger_rows.load(connection, unit.instance.workflow_id, proposal.key)
        approval = approval_rows.load(connection, unit.instance.workflow_id, proposal.key)
        if approval is not None and approval.status is not ApprovalStatus.REQUESTED and approval.edited_arguments:
            proposal = with_arguments(proposal, approval.edited_arguments)
        if entry is not None and (stored := self._stored(unit, entry, proposal)) is not None:
            return stored
        self.check_line(unit)
        self._check_idle(unit, proposal)
        verdict = self._judge(unit, proposal)
        if isinstance(verdict, Admission):
            verdict = with_approval(self.engine.definition, unit, verdict, approval, self.preview)
        if isinstance(verdict, Denial):
            if approval is not None and approval.status.is_granted and verdict.code is not ErrorCode.APPROVAL_VOID:
                void(unit, approval, verdict.message)
            return self._deny(unit, proposal, verdict)
        contract = verdict.edge.tool
        context = self._context(unit, contract, proposal, 1 if entry is None else entry.attempt + 1, sessions)
        return _Admitted(contract, verdict.arguments, context, sessions, unit, verdict, approval, entry)

    def _finish(self, connection: Connection, attempt: Attempt, proposal: Proposal, output: Any) -> Outcome:
        admitted = _admitted(attempt)
        unit = admitted.unit
        if unit.connection is not connection:  # an outside effect: this is its second transaction
            unit = self.unit(connection)
        return self._transition(unit, admitted, proposal, output)

    def _failed(self, connection: Connection, attempt: Attempt, proposal: Proposal, error: Exception) -> Outcome:
        if isinstance(error, (GraphBubbleUp, ConflictError, StoreError)):
            raise error
        admitted = _admitted(attempt)
        unit = self.unit(connection)
        body = error_body(attempt.contract, error)
        if not isinstance(error, Refused):
            logger.error("the tool %s failed in %s", attempt.contract.name, unit.instance.workflow_id, exc_info=error)
        result = self._error(unit, proposal, body, attempt.context.audit_ref)
        unit.record(
            AuditKind.REFUSAL,
            proposal.requester,
            {
                **facts_of(proposal, admitted.admission, self.node),
                "error": body.model_dump(mode="json", by_alias=True),
                "exception": type(error).__name__,
            },
            tool=attempt.contract.name,
            code=body.code.value,
            audit_ref=attempt.context.audit_ref,
        )
        self._enter(unit, admitted, proposal, LedgerStatus.FAILED, result)
        if admitted.approval is not None:
            use(unit, admitted.approval)
        unit.set(running_key=None, last_result=result)
        return Outcome(result, unit.flush())

    # An effect outside the database

    def _outside(self, contract: ToolContract, proposal: Proposal) -> Steps[Outcome | Broken]:
        done: Outcome | Broken
        attempt = yield InStore(lambda connection: self._announce(connection, proposal))
        if not isinstance(attempt, Attempt):
            return attempt  # type: ignore[no-any-return]
        try:
            output = yield Body(attempt)
        except (Refused, InvalidOutput) as error:
            failure: Exception = error
            done = yield InStore(lambda connection: self._failed(connection, attempt, proposal, failure))
            return done
        except GraphBubbleUp:
            raise
        except Exception as error:
            logger.exception("the outcome of %s in %s is not known", contract.name, self.scope.workflow_id)
            problem = f"{type(error).__name__}"
            done = yield InStore(lambda connection: self._unknown(connection, attempt, proposal, problem))
            return done
        try:
            done = yield InStore(lambda connection: self._finish(connection, attempt, proposal, output))
        except InvalidOutput as error:  # the effect has happened, and what it answered is of no use
            problem = error.message
            done = yield InStore(lambda connection: self._unknown(connection, attempt, proposal, problem))
        return done

    def _announce(self, connection: Connection, proposal: Proposal) -> Attempt | Outcome | Broken:
        attempt = self._begin(connection, proposal, Later())
        if not isinstance(attempt, Attempt):
            return attempt
        admitted = _admitted(attempt)
        unit = admitted.unit
        unit.record(
            AuditKind.ATTEMPT,
            proposal.requester,
            {**facts_of(proposal, admitted.admission, self.node), "attempt": attempt.context.attempt},
            tool=attempt.contract.name,
        )
        entry = self._enter(unit, admitted, proposal, LedgerStatus.STARTED, None)
        unit.set(running_key=proposal.key)
        unit.flush()
        return replace(admitted, entry=entry)

    def _unknown(self, connection: Connection, attempt: Attempt, proposal: Proposal, problem: str) -> Broken:
        unit = self.unit(connection)
        admitted = _admitted(attempt)
        unit.record(
            AuditKind.UNKNOWN,
            proposal.requester,
            {**facts_of(proposal, admitted.admission, self.node), "problem": problem},
            tool=attempt.contract.name,
            code=ErrorCode.OUTCOME_UNKNOWN.value,
        )
        entry = self._enter(unit, admitted, proposal, LedgerStatus.UNKNOWN, None)
        unit.flush()
        return Broken(entry)

    # A read

    def _read(self, proposal: Proposal) -> Steps[Outcome]:
        done: Outcome
        attempt = yield InStore(lambda connection: self._look(connection, proposal), write=False)
        if isinstance(attempt, Denial):
            denial = attempt
            done = yield InStore(lambda connection: self.refuse(connection, proposal, denial))
            return done
        try:
            output = yield Body(attempt)
        except GraphBubbleUp:
            raise
        except Exception as error:
            failure = error
            done = yield InStore(lambda connection: self._failed(connection, attempt, proposal, failure))
            return done
        done = yield InStore(lambda connection: self._answer_read(connection, attempt, proposal, output))
        return done

    def _look(self, connection: Connection, proposal: Proposal) -> Attempt | Denial:
        unit = self.unit(connection)
        self.check_line(unit)
        verdict = self._judge(unit, proposal)
        if isinstance(verdict, Admission) and verdict.approval is not None:
            approval = approval_rows.load(connection, unit.instance.workflow_id, proposal.key)
            verdict = with_approval(self.engine.definition, unit, verdict, approval, self.preview, settle=False)
        if isinstance(verdict, Denial):
            return verdict
        later = Later()
        context = self._context(unit, verdict.edge.tool, proposal, 1, later)
        return _Admitted(verdict.edge.tool, verdict.arguments, context, later, unit, verdict, None, None)

    def _answer_read(self, connection: Connection, attempt: Attempt, proposal: Proposal, output: Any) -> Outcome:
        admitted = _admitted(attempt)
        unit = self.unit(connection)
        data = self._data_after(attempt, unit)
        moves = admitted.admission.edge.moves or data != admitted.unit.instance.data
        if moves:
            if unit.instance.revision != attempt.context.revision:
                return self._deny(
                    unit,
                    proposal,
                    Denial(
                        ErrorCode.CONFLICT,
                        f"The workflow moved while {attempt.contract.wire_name} was reading. Nothing was changed; call it again.",
                        retryable=True,
                    ),
                )
            self._check_idle(unit, proposal)
            return self._transition(unit, admitted, proposal, output)
        try:
            shown = attempt.contract.dump_output(output)
        except InvalidOutput as error:
            return self._failed(connection, attempt, proposal, error)
        result = ReadResult(
            workflow_id=WorkflowId(unit.instance.workflow_id),
            current_state=unit.instance.state,
            next_allowed_tools=self.engine.offered_for(unit.instance, proposal.requester),
            audit_ref=attempt.context.audit_ref,
            output=shown,
        ).to_json()
        unit.record(
            AuditKind.READ,
            proposal.requester,
            {**facts_of(proposal, admitted.admission, self.node), "output": redact(shown, attempt.contract.sensitive)},
            tool=attempt.contract.name,
            audit_ref=attempt.context.audit_ref,
        )
        return Outcome(result, unit.flush())

    # What they share

    def unit(self, connection: Connection) -> Unit:
        """The instance, in a write transaction.

        Raises:
            RunError: It is not there, or it belongs to another tenant.
        """
        unit = self.engine.store.unit(connection, self.scope.workflow_id)
        self.engine.owned(None if unit is None else unit.instance, self.scope.principal, self.scope.workflow_id)
        assert unit is not None  # noqa: S101 -- `owned` has refused None
        return unit

    def _judge(self, unit: Unit, proposal: Proposal) -> Verdict:
        instance = unit.instance

        def facts(contract: ToolContract, arguments: BaseModel, check: Callable[..., Any]) -> str | None:
            with Session(bind=unit.connection, join_transaction_mode="rollback_only", autoflush=False) as session:
                context = self._context(unit, contract, proposal, 1, _Given(session))
                return contract.call_predicate(check, arguments, context)

        return judge(
            self.engine.definition,
            proposal,
            self.engine.view(instance, proposal.requester),
            facts=facts,
            carried_out=lambda: ledger_rows.carried_out(unit.connection, instance.workflow_id),
            now=unit.now,
            node=self.node,
        )

    def preview(self, unit: Unit, admission: Admission, proposal: Proposal) -> JSON:
        """What the tool shows an approver of the call, computed from how things stand in this transaction."""
        contract = admission.edge.tool
        if contract.preview is None:
            return None
        with Session(bind=unit.connection, join_transaction_mode="rollback_only", autoflush=False) as session:
            context = self._context(unit, contract, proposal, 1, _Given(session))
            return contract.show_preview(admission.arguments, context)

    def _context(
        self, unit: Unit, contract: ToolContract, proposal: Proposal, attempt: int, sessions: Sessions
    ) -> ToolContext:
        instance = unit.instance
        inside = contract.effect in {None, Effect.TRANSACTIONAL}
        return ToolContext(
            kind=contract.kind,
            workflow_id=WorkflowId(instance.workflow_id),
            state=instance.state,
            revision=instance.revision,
            trace_id=TraceId(instance.trace_id),
            audit_ref=AuditRef(mint("audit")),
            idempotency_key=IdempotencyKey(proposal.key),
            data=self.engine.definition.parse_data(instance.data),
            principal=proposal.requester,
            attempt=attempt,
            session=sessions.open if inside or isinstance(sessions, _Given) else None,
            no_session=f"the effect of {contract.name} is {contract.effect}, which is outside the workflow store's database, so there is no "
            "session; declare it with effect='transactional' if all it does goes through ctx.session",
        )

    def check_line(self, unit: Unit) -> None:
        """Refuse to go on from before the last command.

        Raises:
            StaleCheckpoint: This run's checkpoint is older than the last command, or of another thread.
        """
        if not same_line(self.engine, unit.connection, self.scope, unit.instance, self.head):
            raise StaleCheckpoint(
                f"This run goes on from a checkpoint that is older than the last command of the workflow {unit.instance.workflow_id}, "
                f"which stands in {unit.instance.state!r} at revision {unit.instance.revision}. Nothing was done. Go on from the thread's latest "
                "checkpoint, or fork the workflow into a new instance.",
                details={"workflowId": unit.instance.workflow_id, "revision": unit.instance.revision},
            )

    def _check_idle(self, unit: Unit, proposal: Proposal) -> None:
        running = unit.instance.running_key
        if running is not None and running != proposal.key:
            raise InProgress(
                f"Another command of the workflow {unit.instance.workflow_id} has an effect under way outside the database. Nothing was done; "
                "try again when it has ended, or resolve it if it broke off.",
                details={"workflowId": unit.instance.workflow_id, "running": running},
            )

    def _stored(self, unit: Unit, entry: LedgerEntry, proposal: Proposal) -> Outcome | Broken | None:
        contract = self.engine.definition.contracts[proposal.tool]
        if entry.fingerprint != _fingerprint(contract, proposal):
            raise IdempotencyError(
                f"The idempotency key {proposal.key} was used for {entry.tool} with other arguments. Nothing was done; "
                "use a new key for another command.",
                details={"workflowId": entry.workflow_id, "tool": entry.tool, "auditRef": entry.audit_ref},
            )
        if entry.status is LedgerStatus.UNKNOWN:
            return Broken(entry)
        if entry.status is LedgerStatus.STARTED:
            return None if contract.effect is Effect.IDEMPOTENT else Broken(entry)
        return Outcome({**(entry.result or {}), "replayed": True}, unit.instance, replayed=True)

    def _deny(self, unit: Unit, proposal: Proposal, denial: Denial) -> Outcome:
        contract = self.engine.definition.contracts.get(proposal.tool)
        sensitive = frozenset() if contract is None else contract.sensitive
        audit_ref = AuditRef(mint("audit"))
        body = ErrorBody(
            code=denial.code, message=denial.message, retryable=denial.retryable, details=dict(denial.details)
        )
        unit.record(
            AuditKind.DENIAL,
            proposal.requester,
            {
                "key": proposal.key,
                "arguments": redact(proposal.arguments, sensitive),
                "state": unit.instance.state,
                "node": self.node,
                "error": body.model_dump(mode="json", by_alias=True),
            },
            tool=proposal.tool[:64],
            code=denial.code.value,
            audit_ref=audit_ref,
        )
        result = self._error(unit, proposal, body, audit_ref)
        unit.set(last_result=result)
        return Outcome(result, unit.flush())

    def _error(self, unit: Unit, proposal: Proposal, body: ErrorBody, audit_ref: AuditRef) -> JsonObject:
        return ErrorResult(
            workflow_id=WorkflowId(unit.instance.workflow_id),
            current_state=unit.instance.state,
            next_allowed_tools=self.engine.offered_for(unit.instance, proposal.requester),
            audit_ref=audit_ref,
            error=body,
        ).to_json()

    def _transition(self, unit: Unit, admitted: "_Admitted", proposal: Proposal, output: Any) -> Outcome:
        contract, context, edge = admitted.contract, admitted.context, admitted.admission.edge
        shown = contract.dump_output(output)
        before = unit.instance
        unit.move(
            state=edge.target,
            data=self._data_after(admitted, unit),
            finished=self.engine.definition.state(edge.target).is_final,
        )
        allowed = self.engine.offered_for(unit.instance, proposal.requester)
        result = CommandResult(
            workflow_id=WorkflowId(before.workflow_id),
            previous_state=before.state,
            current_state=edge.target,
            next_allowed_tools=allowed,
            audit_ref=context.audit_ref,
            output=shown,
        ).to_json()
        unit.record(
            AuditKind.TRANSITION,
            proposal.requester,
            {
                **facts_of(proposal, admitted.admission, self.node),
                "previousState": before.state,
                "currentState": edge.target,
                "nextAllowedTools": [*allowed],
                "output": redact(shown, contract.sensitive),
                "data": redact(unit.instance.data, contract.sensitive),
                "approvalId": None if admitted.approval is None else admitted.approval.approval_id,
                "attempt": context.attempt,
            },
            tool=contract.name,
            audit_ref=context.audit_ref,
        )
        if contract.kind is not ToolKind.READ:
            self._enter(unit, admitted, proposal, LedgerStatus.COMPLETED, result)
        if admitted.approval is not None:
            use(unit, admitted.approval)
        stated = [output] if contract.kind is ToolKind.EVENT and isinstance(output, Event) else []
        for event in [*context.emitted, *stated]:
            unit.emit(envelope(event, unit, proposal, contract), proposal.requester)
        unit.set(last_result=result, running_key=None)
        if self.scope.root_checkpoint is not None:
            unit.set(head_checkpoint=self.scope.root_checkpoint)
        return Outcome(result, unit.flush())

    def _data_after(self, attempt: Attempt, unit: Unit) -> JsonObject:
        if self.engine.definition.data_model is None:
            return unit.instance.data
        try:
            # Assignments to a model are not validated as they are made.
            checked = self.engine.definition.data_model.model_validate(attempt.context.data.model_dump())
        except ValidationError as error:
            raise InvalidOutput(
                f"The tool {attempt.contract.name} left the workflow's data in a shape that its model refuses: "
                f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}. Nothing of this call was kept; mend the tool."
            ) from error
        data: JsonObject = checked.model_dump(mode="json")
        return data

    def _enter(
        self, unit: Unit, admitted: "_Admitted", proposal: Proposal, status: LedgerStatus, result: JsonObject | None
    ) -> LedgerEntry:
        done = status in {LedgerStatus.COMPLETED, LedgerStatus.FAILED}
        entry = LedgerEntry(
            workflow_id=unit.instance.workflow_id,
            idempotency_key=proposal.key,
            tenant=unit.instance.tenant,
            fingerprint=admitted.admission.fingerprint,
            tool=admitted.contract.name,
            tool_version=admitted.contract.version,
            status=status,
            attempt=admitted.context.attempt,
            principal_id=proposal.requester.id,
            owner=None,
            arguments=plain_object(redact(admitted.admission.canonical, admitted.contract.sensitive)),
            result=result,
            audit_ref=admitted.context.audit_ref,
            started_at=admitted.unit.now if admitted.entry is None else admitted.entry.started_at,
            finished_at=unit.now if done else None,
        )
        if admitted.contract.kind is ToolKind.READ:
            return entry
        if admitted.entry is None:
            ledger_rows.insert(unit.connection, entry)
        elif not ledger_rows.update(unit.connection, admitted.entry, entry):
            raise InProgress(
                f"The command {admitted.contract.name} under the key {proposal.key} was taken over elsewhere. Nothing of this attempt was kept; "
                "its stored result is given once it is there.",
                details={"workflowId": unit.instance.workflow_id},
            )
        return entry


@dataclass
class _Admitted(Attempt):
    unit: Unit
    admission: Admission
    approval: ApprovalRequest | None
    entry: LedgerEntry | None


class _Given:
    """A session that is already open."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(self) -> Session:
        return self._session


def unresolved(entry: LedgerEntry) -> OutcomeUnknown:
    """The error for a command that nobody can go on with before a person has resolved it."""
    return OutcomeUnknown(
        f"An attempt of {entry.tool} in the workflow {entry.workflow_id} broke off, and nobody knows whether its effect happened. "
        "The workflow waits. Find out, then resolve it: it happened with this result, or it did not, try again.",
        details={"workflowId": entry.workflow_id, "key": entry.idempotency_key, "tool": entry.tool},
    )


def _admitted(attempt: Attempt) -> _Admitted:
    if not isinstance(attempt, _Admitted):
        raise TypeError("the attempt was not made here")
    return attempt


def _fingerprint(contract: ToolContract, proposal: Proposal) -> str:
    try:
        return contract.fingerprint(contract.parse(proposal.arguments))
    except Exception:
        return ""


__all__ = ["Broken", "Commands", "Outcome", "unresolved"]
