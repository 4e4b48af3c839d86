"""Explains the state of an instance for a person on call; reads it in one transaction, and returns one typed result."""

from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot
from sqlalchemy.engine import Connection

from ..checkpointing.store import (
    ApprovalRequest,
    ApprovalStatus,
    AuditKind,
    AuditRecord,
    Instance,
    LedgerEntry,
    Unit,
    approval_listing,
)
from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import audit as audit_rows
from ..checkpointing.store import instances as instance_rows
from ..checkpointing.store import ledger as ledger_rows
from ..checkpointing.store import waits as wait_rows
from ..checkpointing.store.settled import claims
from ..checkpointing.store.waits import Wait
from ..commands.approvals.payload import after_deadline, decided_by, moment
from ..commands.execution.history import LedgerHistory
from ..commands.execution.ledger_status import is_running
from ..commands.running.access import looked_at, ownership_of
from ..commands.running.driver import arun, run
from ..commands.running.engine import Engine
from ..commands.running.operations import Either, Look, Steps, in_store
from ..commands.running.scope import workflow_id_of
from ..pictures.picture_data import asked
from ..pictures.record_text import reason_of, result_of
from ..rules.definition import Edge
from ..rules.explaining import Blocked, Now, blocked
from ..tools.errors import RuleError
from ..tools.explanation import (
    AllowedTool,
    ApprovalHere,
    AttemptHere,
    BlockedTool,
    Explanation,
    FailedTry,
    Happened,
    LastDenial,
    WaitHere,
)
from ..tools.ids import TraceId, WorkflowId
from ..tools.principal import Principal
from ..tools.redaction import Secrets
from ..tools.sinks import short
from .compiled import CompiledWorkflow, Which
from .explained_words import ThreadStatus, if_nobody_acts, next_steps, waits_for

_DENIALS = (AuditKind.DENIAL, AuditKind.REFUSAL, AuditKind.DECISION_REFUSED, AuditKind.LIMIT)
_TOLD = tuple(kind for kind in AuditKind if kind not in {AuditKind.PROPOSAL, AuditKind.UNGATED, AuditKind.ATTEMPT})
SO_FAR = 8
"""The number of shown records of the history."""


@dataclass(frozen=True)
class _Found:
    """The SQL data of one instance at one moment."""

    instance: Instance
    approvals: list[ApprovalHere]
    wait: Wait | None
    attempts: list[AttemptHere]
    tries: list[claims.Resumption]
    denial: AuditRecord | None
    so_far: list[AuditRecord]
    offered: dict[str, Edge]
    blocked: tuple[Blocked, ...]
    judged_for: Principal


class Explaining:
    """Explains the state of the instances of one compiled workflow."""

    _graph: CompiledWorkflow
    _engine: Engine

    def explain(self, which: Which, *, by: Principal | None = None, principal: Principal | None = None) -> Explanation:
        """Explain the current state of an instance: what it waits for, who may decide, why a call was denied, what happens if nobody acts,
        and what to do.

        Args:
            which: The instance: its workflow ID, or the config of its thread.
            by: The principal who looks. Without one, the application itself looks.
            principal: The principal for whom the tools are judged; by default the person whose turn it is.

        Returns:
            The explanation, with the sensitive fields of the data masked.

        Raises:
            InputError: There is no such instance.
            RunError: The tenant of `by` has no such instance.
            PrincipalError: The instance serves somebody other than `by`.
            UnknownState: This definition does not have the instance's state.
        """
        return run(self._engine.store, self._explain(which, by, principal))

    async def aexplain(
        self, which: Which, *, by: Principal | None = None, principal: Principal | None = None
    ) -> Explanation:
        """Asynchronous form of `explain`, with the same arguments, result and errors."""
        return await arun(self._engine.store, self._explain(which, by, principal))

    def _explain(self, which: Which, by: Principal | None, principal: Principal | None) -> Steps[Explanation]:
        instance: Instance = yield Look(lambda: self._seen(which, by))
        thread = yield from self._thread(instance)
        found: _Found = yield from in_store(
            lambda connection: self._found(connection, instance.workflow_id, principal), write=False
        )
        return self._explanation(found, thread)

    def _seen(self, which: Which, by: Principal | None) -> Instance:
        name = self._engine.definition.name
        configurable = {"workflow_id": which} if isinstance(which, str) else which.get("configurable", {})
        if by is not None:
            return looked_at(self._engine, configurable, by)
        return self._engine.store.get(workflow_id_of(configurable, name))

    def _thread(self, instance: Instance) -> Steps[ThreadStatus]:
        """The position of the thread, if the workflow has a thread and its own checkpointer."""
        graph: Any = self._graph
        # A middleware has no graph of its own: its threads are the agent's.
        has_own = instance.thread_id is not None and not instance.checkpoint_ns and hasattr(graph, "get_state")
        if not has_own or not graph.checkpointer:
            return ThreadStatus(has_own=has_own)
        config: RunnableConfig = {"configurable": {"thread_id": instance.thread_id}}
        state: StateSnapshot = yield Either(lambda: graph.get_state(config), lambda: graph.aget_state(config))
        shown = [one.value for one in state.interrupts if isinstance(one.value, dict)]
        return ThreadStatus(
            has_own=True,
            is_known=True,
            asks=frozenset(
                str(value[key]) for value in shown for key in ("approvalId", "waitId", "key") if key in value
            ),
            is_on_its_way=bool(state.tasks) and not state.interrupts,
            since=state.created_at,
        )

    def _found(self, connection: Connection, workflow_id: str, principal: Principal | None) -> _Found:
        engine = self._engine
        row = instance_rows.load(connection, workflow_id)
        instance = engine.store.get(workflow_id) if row is None else row
        judged_for = principal or instance.proposer
        unit = Unit(connection, instance, engine.store.now(connection), writes=False)
        entries = ledger_rows.unsettled_of(connection, workflow_id)
        approvals = approval_listing.open_ones(connection, workflow_id)
        engine.definition.state(instance.state)
        view, broken = engine.view(instance, judged_for, unit), dict[str, RuleError]()
        offered = {} if instance.finished else {edge.tool.name: edge for edge in engine.edges(view, broken)}
        now = Now(
            view,
            unit.now,
            LedgerHistory(unit, principal_id=judged_for.id, key=""),
            ledger_rows.carried_out(connection, workflow_id),
            under_way=next((one.tool for one in entries if one.idempotency_key == instance.running_key), None),
            asked_about={one.tool: one.approval_id for one in approvals if one.status is ApprovalStatus.REQUESTED},
        )
        return _Found(
            instance,
            [_approval(connection, one, instance) for one in approvals],
            wait_rows.open_of(connection, workflow_id),
            [_attempt(unit, one) for one in entries],
            claims.of_instance(connection, workflow_id),
            next(iter(audit_rows.latest(connection, workflow_id, _DENIALS, limit=1)), None),
            audit_rows.latest(connection, workflow_id, _TOLD, limit=SO_FAR)[::-1],
            offered,
            blocked(engine.definition, offered, broken, now),
            judged_for,
        )

    def _explanation(self, found: _Found, thread: ThreadStatus) -> Explanation:
        engine, instance = self._engine, found.instance
        sensitive = engine.definition.sensitive
        secrets = Secrets()
        data = secrets.redacted(instance.data, sensitive)
        not_allowed = tuple(
            BlockedTool(tool=one.tool, why=one.why.value, reason=secrets.text(one.reason)) for one in found.blocked
        )
        closed = {one.tool for one in not_allowed}
        approvals = tuple(
            one
            for one in found.approvals
            if one.status == ApprovalStatus.REQUESTED.value
            or one.proposed_outside
            or not thread.is_known
            or one.approval_id in thread.asks
            or thread.is_on_its_way
        )
        facts: dict[str, Any] = {
            "approvals": approvals,
            "waits": () if found.wait is None else (self._wait(found.wait),),
            "attempts": tuple(found.attempts),
            "failed_tries": tuple(_try(one) for one in found.tries if one.attempts),
        }
        explained = Explanation(
            workflow_id=WorkflowId(instance.workflow_id),
            workflow=instance.workflow,
            version=instance.workflow_version,
            state=instance.state,
            revision=instance.revision,
            finished=instance.finished,
            tenant=instance.tenant,
            thread_id=instance.thread_id,
            trace_id=TraceId(instance.trace_id),
            started_by=instance.started_by.id,
            started_at=moment(instance.created_at),
            changed_at=moment(instance.updated_at),
            served=instance.served,
            run_by=str(ownership_of(engine, instance).run_by) if instance.served else "everybody of its tenant",
            data=None if engine.definition.data_model is None else data,
            waits_for="",
            judged_for=found.judged_for.id,
            allowed=tuple(_allowed(edge) for name, edge in found.offered.items() if name not in closed),
            not_allowed=not_allowed,
            last_denial=None if found.denial is None else _denial(found.denial, secrets),
            so_far=tuple(_happened(one, secrets) for one in found.so_far),
            **facts,
        )
        return explained.model_copy(
            update={
                "waits_for": waits_for(explained, thread),
                "if_nobody_acts": if_nobody_acts(explained, thread),
                "next_steps": next_steps(explained, thread),
            }
        )

    def _wait(self, wait: Wait) -> WaitHere:
        rule = self._engine.definition.waits.get(wait.state)
        return WaitHere(
            wait_id=wait.wait_id,
            state=wait.state,
            expects=() if rule is None else tuple(event.name_on_wire for event in rule.events),
            settled=wait.settled,
            needed=wait.needed,
            leads_to=None if rule is None else rule.then,
            since=moment(wait.opened_at),
            deadline=None if wait.due_at is None else moment(wait.due_at),
            after_deadline=None if rule is None else rule.on_timeout,
        )


def _approval(connection: Connection, approval: ApprovalRequest, instance: Instance) -> ApprovalHere:
    rule, waits = approval.rule, approval.status is ApprovalStatus.REQUESTED
    decided = approval_rows.taken(connection, approval.approval_id)
    by = f"{decided[-1].principal.id}" if decided else "nobody"
    return ApprovalHere(
        approval_id=approval.approval_id,
        tool=approval.tool,
        kind="confirmation" if rule.confirmation else "approval",
        status=approval.status.value,
        requested_by=approval.requester.id,
        requested_at=moment(approval.requested_at),
        decided_by=decided_by(rule, instance.served) if waits else by,
        role=rule.role,
        agreed=approval_rows.standing(connection, approval).agreed if waits else (),
        deadline=None if approval.expires_at is None else moment(approval.expires_at),
        after_deadline=None if approval.expires_at is None else after_deadline(rule),
        proposed_outside=approval.is_at_the_door,
    )


def _attempt(unit: Unit, entry: LedgerEntry) -> AttemptHere:
    return AttemptHere(
        key=entry.idempotency_key,
        tool=entry.tool,
        attempt=entry.attempt,
        status="under_way" if is_running(unit, entry) else "unknown",
        since=moment(entry.started_at),
        requested_by=entry.principal_id,
    )


def _allowed(edge: Edge) -> AllowedTool:
    return AllowedTool(
        tool=edge.tool.name,
        kind=edge.tool.kind.value,
        leads_to=edge.target,
        asks=None if edge.approval is None else asked(edge.approval),
    )


def _denial(record: AuditRecord, secrets: Secrets) -> LastDenial:
    payload = record.payload or {}
    error: Any = payload.get("error")
    said = reason_of(error) if isinstance(error, dict) else str(payload.get("reason") or "")
    return LastDenial(
        audit_ref=record.audit_ref,
        number=record.number,
        at=moment(record.recorded_at),
        by=record.principal_id,
        tool=record.tool,
        code=record.code,
        reason=secrets.text(short(said or "its payload was erased", 600)),
    )


def _happened(record: AuditRecord, secrets: Secrets) -> Happened:
    return Happened(
        number=record.number,
        at=moment(record.recorded_at),
        kind=record.kind.value,
        tool=record.tool,
        by=record.principal_id,
        what=secrets.text(short(result_of(record), 400)),
    )


def _try(tried: claims.Resumption) -> FailedTry:
    return FailedTry(
        kind=tried.kind,
        id=tried.stop_id,
        attempts=tried.attempts,
        error=tried.error,
        next_attempt_at=moment(tried.next_attempt_at),
    )


__all__ = ["Explaining"]
