"""Traces the run of a node: its trace, metadata and duration. Nothing here affects the workflow."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Command
from sqlalchemy.engine import Connection

from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import outbox as outbox_rows
from ..checkpointing.store.audit import AuditEntry, AuditKind, listeners
from ..checkpointing.tables.workflow import outbox
from ..tools.canonical import JsonObject
from ..tools.sinks import logger_of, short
from ..tools.trace_reference import current_trace
from . import feedback, story, telemetry
from .client import GuardedClient
from .reference import TraceReference, reference_of, runs_of
from .runs import run_waits

logger = logger_of("interlock.tracing")

_MEASURED = 500
"""The number of events per round whose lag is measured; SQL statements have a maximum length."""
STEP_FAILED = "a run could not be described; the workflow is not touched by it"


@dataclass
class Watch:
    """The tracing state of one run of a node."""

    config: RunnableConfig
    value: Any
    """The input of the node."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Metadata, added as it becomes known."""
    reference: TraceReference | None = None

    def recorded_as(self) -> JsonObject | None:
        """The trace references for audit records: of this run, and of the run that made the proposal."""
        if self.reference is None:
            return None
        proposal = self.value.get("proposal") if isinstance(self.value, Mapping) else None
        proposed = TraceReference.from_json(proposal.get("trace")) if isinstance(proposal, Mapping) else None
        return self.reference.to_json() | ({} if proposed is None else {"proposal": proposed.to_json()})

    def record_result(self, command: Any) -> None:
        """Record the node's result."""
        with _harmless():
            update = command.update if isinstance(command, Command) else None
            if not isinstance(update, Mapping):
                return
            name: str | None = None
            told = story.place(update)
            operations = dict(tuple(operation) for operation in update.get("progress") or ())
            done, proposed = operations.get("done"), operations.get("propose")
            result = update.get("last_result")
            if isinstance(done, Mapping) and isinstance(result, Mapping):
                name, more = story.outcome(self._proposal(done.get("key")), result)
                told |= more
                telemetry.answered(self.facts | told, result)
                self.facts.update(told)
            shown: dict[str, Any] = {"state": update.get("state"), "goto": _gotos(command)}
            if isinstance(result, Mapping):
                shown["result"] = result
            if isinstance(proposed, Mapping):
                proposals = proposed.get("proposals") or ()
                told["proposed"] = ", ".join(str(proposal.get("tool")) for proposal in proposals)
                shown["proposals"] = [
                    {"tool": proposal.get("tool"), "arguments": proposal.get("arguments")} for proposal in proposals
                ]
            self._tell(name, told, shown)

    def interrupted(self, error: GraphBubbleUp) -> None:
        """Record that the node waits for an answer."""
        with _harmless():
            run_waits()
            raised = error.args[0] if isinstance(error, GraphInterrupt) and error.args else ()
            told: dict[str, Any] = {"waits_for": "an answer"} if raised else {}
            for one in raised:
                value = getattr(one, "value", None)
                if isinstance(value, Mapping):
                    told |= {
                        "waits_for": value.get("type"),
                        "approval_id": value.get("approvalId"),
                        "tool": value.get("tool"),
                        "state_before": value.get("state"),
                        "state_after": value.get("state"),
                    }
            self._tell(None, told, None)

    def _tell(self, name: str | None, told: Mapping[str, Any], shown: Mapping[str, Any] | None) -> None:
        metadata = self.config.get("metadata") or {}
        workflow = self.facts.get(story.WORKFLOW)
        facts = {name: value for name, value in (self.facts | dict(told)).items() if value is not None}
        tags = ["denied"] if "denial_code" in facts else []
        known = name or story.beginning({**metadata, story.WORKFLOW: workflow}, self.value)
        for run in runs_of(self.config):
            if known:
                run.name = known
            # Copied, because runs share the dict.
            run.extra["metadata"] = {**(run.extra.get("metadata") or {}), **facts}
            if tags:
                run.tags = [*(run.tags or ()), *tags]
            if shown is not None and isinstance(run.ls_client, GuardedClient):
                run.extra[story.OUTPUTS] = shown
        for run in _graph_runs(self.config):
            place: dict[str, Any] = {
                key: facts[key] for key in ("state_after", "revision", "next_allowed_tools") if key in facts
            }
            if (run.extra.get("metadata") or {}).get("state_before") is None:
                stood = self.value.get("state") if isinstance(self.value, Mapping) else None
                place["state_before"] = stood or facts.get("state_before") or facts.get("state_after")
            run.extra["metadata"] = {**(run.extra.get("metadata") or {}), **place}

    def _proposal(self, key: Any) -> Mapping[str, Any]:
        if not isinstance(self.value, Mapping):
            return {}
        if "proposal" in self.value:
            found: Mapping[str, Any] = self.value["proposal"]
            return found
        pending = (self.value.get("progress") or {}).get("pending") or ()
        return next((proposal for proposal in pending if proposal.get("key") == key), {})


_watched: ContextVar[Watch | None] = ContextVar("interlock_watch", default=None)


@contextlib.contextmanager
def watching(config: RunnableConfig, value: Any, facts: Callable[[], Mapping[str, Any]]) -> Iterator[Watch | None]:
    """Trace the block: its audit records get the trace reference, and `note` adds metadata.

    Args:
        config: The node's config, which has the tracers.
        value: The input of the node.
        facts: Returns the initial metadata; called only with tracing.

    Yields None without tracing, at almost no cost.
    """
    try:
        watch = _begun(config, value, facts)
    except Exception:
        logger.exception(STEP_FAILED)
        watch = None
    if watch is None:
        yield None
        return
    caller = (current_trace.get() or {}).get("traceparent")
    with telemetry.step(watch.facts, config.get("metadata") or {}, value) as traceparent:
        with _harmless():
            # Without its own span, the step belongs to the caller's trace.
            watch.reference = reference_of(config, traceparent or (str(caller) if caller else None))
        token = _watched.set(watch)
        under = current_trace.set(watch.recorded_as())
        try:
            yield watch
        except GraphBubbleUp as error:
            watch.interrupted(error)
            raise
        finally:
            current_trace.reset(under)
            _watched.reset(token)


def note(**facts: Any) -> None:
    """Add metadata to the current run. Does nothing without tracing."""
    watch = _watched.get()
    if watch is not None:
        watch.facts.update(facts)


def watched() -> bool:
    """Whether the current run is traced; for metadata that is expensive to compute."""
    return _watched.get() is not None


def reference_now() -> TraceReference | None:
    """The trace reference of the current run."""
    watch = _watched.get()
    return None if watch is None else watch.reference


def heard(connection: Connection, workflow_id: str, entry: AuditEntry, now: int) -> None:
    """Listener for every audit record: passes its content to traces, metrics and feedback."""
    with _harmless():
        payload = entry.payload
        watch = _watched.get()
        if watch is not None:
            known = {
                "attempt": payload.get("attempt"),
                "approval_id": payload.get("approvalId"),
                "decision": payload.get("decision"),
                "origins": _origins(payload),
            }
            watch.facts.update({name: value for name, value in known.items() if value is not None})
            if entry.kind is AuditKind.ATTEMPT and (payload.get("attempt") or 1) > 1:
                telemetry.retried(str(watch.facts.get(story.WORKFLOW)), str(entry.tool))
            for ruling in _traced(payload):
                if (told := _RULED.get((entry.kind, str(ruling.get("ruling"))))) is not None:
                    telemetry.traced(str(watch.facts.get(story.WORKFLOW)), str(entry.tool), ruling["origins"], told)
    if entry.kind is not AuditKind.DECISION:
        return
    if telemetry.listens():
        with _harmless():
            approval = approval_rows.load_by_id(connection, str(entry.payload.get("approvalId")))
            if approval is not None:
                waited = max(0, now - approval.requested_at) / 1_000_000
                telemetry.decided(approval.workflow, approval.tool, str(entry.payload.get("decision")), waited)
    # Errors propagate: this is part of the transaction, which a failed statement would abort anyway.
    feedback.queue(connection, workflow_id, entry, now)


_RULED = {
    (AuditKind.APPROVAL, "require_approval"): "asked",
    (AuditKind.DENIAL, "deny"): "denied",
    (AuditKind.TRANSITION, "allow"): "allowed",
    (AuditKind.READ, "allow"): "allowed",
}
"""The metric label by kind of record and ruling. A call that needed an approval is not counted again when it runs."""
_LONGEST_ORIGINS = 500


def _traced(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rulings of the policies that traced a call's arguments."""
    error = payload.get("error")
    details = error.get("details") if isinstance(error, Mapping) else None
    rulings = payload.get("policies") or (details.get("rulings") if isinstance(details, Mapping) else None)
    return [one for one in rulings or () if one.get("origins")]


def _origins(payload: Mapping[str, Any]) -> str | None:
    """The origins of arguments, in one line: only the refused ones if the call needs an approval, else all."""
    found = [f"{name}={origin}" for ruling in _traced(payload) for name, origin in ruling["origins"].items()]
    return short(", ".join(found), _LONGEST_ORIGINS) if found else None


def heard_published(connection: Connection, positions: Sequence[int], now: int) -> None:
    """Listener for published events: measures how long they waited."""
    if telemetry.listens():
        with _harmless():
            waited = sa.select(outbox.c.created_at).where(outbox.c.position.in_(positions[:_MEASURED]))
            for (created_at,) in connection.execute(waited):
                telemetry.published(max(0, now - created_at) / 1_000_000)


listeners.append(heard)
outbox_rows.listeners.append(heard_published)


def is_watched(config: RunnableConfig) -> bool:
    """Whether anything traces the run of this config; True if the check fails, so that `watching` logs the error."""
    try:
        return bool(runs_of(config)) or telemetry.listens()
    except Exception:
        return True


def _begun(config: RunnableConfig, value: Any, facts: Callable[[], Mapping[str, Any]]) -> Watch | None:
    return Watch(config, value, dict(facts())) if runs_of(config) or telemetry.listens() else None


def _graph_runs(config: RunnableConfig) -> list[Any]:
    """The graph runs that contain the node."""
    manager = config.get("callbacks")
    maps = [getattr(handler, "run_map", {}) for handler in getattr(manager, "handlers", ())]
    parents = {str(run.parent_run_id) for run in runs_of(config) if run.parent_run_id is not None}
    return [runs[parent] for runs in maps for parent in parents if parent in runs]


def _gotos(command: Any) -> list[str]:
    goto = command.goto if isinstance(command.goto, (list, tuple)) else [command.goto]
    return [to if isinstance(to, str) else to.node for to in goto]


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception(STEP_FAILED)
