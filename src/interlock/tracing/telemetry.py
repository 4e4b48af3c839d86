"""OpenTelemetry: spans and metrics of workflows, through `opentelemetry-api` alone.

| metric | kind | labels |
|---|---|---|
| `interlock.workflow.runs` | counter | workflow, outcome (`completed`, `interrupted`, `failed`), resumed |
| `interlock.workflow.duration` | histogram, s | workflow, outcome |
| `interlock.tool.executions` | counter | workflow, tool, outcome (`done`, `replayed`, `denied`, `refused`) |
| `interlock.tool.duration` | histogram, s | workflow, tool |
| `interlock.denials` | counter | workflow, tool, code |
| `interlock.origins` | counter | workflow, tool, origin (the least trusted one of a call), ruling (`allowed`, `asked`, `denied`) |
| `interlock.retries` | counter | workflow, tool |
| `interlock.approvals` | counter | workflow, tool, decision |
| `interlock.overrides` | counter | workflow, tool, decision: a person changed or turned down what a model proposed |
| `interlock.approval.wait` | histogram, s | workflow, tool |
| `interlock.outbox.lag` | histogram, s | none: from the commit to the publication of an event |

Labels are names from the definition and closed sets, so their number is bounded; a tool name that a model invented counts as `unknown`.
Spans: `invoke_workflow NAME` for each run of a graph and, below it, `execute_tool NAME`, `state NAME`, `approval NAME`. A span
ends when its run does, also at an interrupt; a resume starts a new span that is linked to it.

Nothing of OpenTelemetry is imported, and nothing is measured, until the program sets a provider or calls `use`.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph.errors import GraphBubbleUp

from ..tools.errors import InterlockError
from ..tools.sinks import logger_of
from ..tools.storable import type_name
from .reference import TraceReference
from .story import NODE_KIND, WORKFLOW, beginning

logger = logger_of("interlock.tracing")

_UNKNOWN = "unknown"
_TRUST = {name: place for place, name in enumerate(("user", "app", "record", "listed", "nowhere"))}
"""The origins of `TrustedOrigins`, the most trusted one first; those of other policies count as unknown."""
_OVERRIDES = frozenset({"edit", "reject", "respond"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_WAITING = (1, 10, 60, 300, 900, 3600, 14400, 86400, 604800)


class _Instruments:
    """The tracer and the instruments, created when a provider is first set."""

    def __init__(self, tracer_provider: Any = None, meter_provider: Any = None) -> None:
        from opentelemetry import metrics, trace  # noqa: PLC0415 -- an extra, imported when it is used

        self.tracer = trace.get_tracer("interlock", tracer_provider=tracer_provider)
        meter = metrics.get_meter("interlock", meter_provider=meter_provider)
        self.runs = meter.create_counter("interlock.workflow.runs", "{run}", "Runs of workflow graphs")
        self.run_seconds = meter.create_histogram(
            "interlock.workflow.duration", "s", "How long runs took", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.executions = meter.create_counter("interlock.tool.executions", "{execution}", "Proposals answered")
        self.tool_seconds = meter.create_histogram(
            "interlock.tool.duration", "s", "How long tools took", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.denials = meter.create_counter("interlock.denials", "{denial}", "Proposals that the gate refused")
        self.origins = meter.create_counter("interlock.origins", "{call}", "Calls whose arguments were traced")
        self.retries = meter.create_counter("interlock.retries", "{retry}", "Attempts after the first")
        self.approvals = meter.create_counter("interlock.approvals", "{decision}", "Decisions of approvers")
        self.overrides = meter.create_counter(
            "interlock.overrides", "{decision}", "Decisions that changed or turned down a proposal"
        )
        self.approval_wait = meter.create_histogram(
            "interlock.approval.wait", "s", "From asking to deciding", explicit_bucket_boundaries_advisory=_WAITING
        )
        self.outbox_lag = meter.create_histogram(
            "interlock.outbox.lag", "s", "From commit to publication", explicit_bucket_boundaries_advisory=_SECONDS
        )


_instruments: _Instruments | None = None


def use(*, tracer_provider: Any = None, meter_provider: Any = None) -> None:
    """Send spans and metrics to these providers instead of OpenTelemetry's global ones.

    Raises:
        InterlockError: `opentelemetry-api` is not installed.
    """
    global _instruments  # noqa: PLW0603 -- OpenTelemetry's own providers are global too
    try:
        _instruments = _Instruments(tracer_provider, meter_provider)
    except ImportError as error:
        raise InterlockError(
            "OpenTelemetry is not installed, so there is nothing to send spans and metrics with. Workflows run as before; "
            "install langgraph-interlock[otel].",
            code="not_installed",
        ) from error


def listens() -> bool:
    """Whether spans or metrics are sent anywhere: `use` was called, or the program set an OpenTelemetry provider."""
    return _active() is not None


def _active() -> _Instruments | None:
    global _instruments  # noqa: PLW0603
    if _instruments is None and _has_provider():
        try:
            _instruments = _Instruments()
        except Exception:
            logger.exception("OpenTelemetry could not be used; workflows run without it")
    return _instruments


def _has_provider() -> bool:
    api = sys.modules.get("opentelemetry.trace"), sys.modules.get("opentelemetry.metrics")
    providers = (api[0] and api[0].get_tracer_provider(), api[1] and api[1].get_meter_provider())
    # Without a provider, the API returns a proxy that drops everything.
    return any(provider is not None and "Proxy" not in type(provider).__name__ for provider in providers)


@dataclass
class GraphSpan:
    """The span of one run of a graph; it is current only while the graph runs, never while its caller does."""

    span: Any
    workflow: str
    resumed: bool
    began: float = field(default_factory=time.monotonic)

    @property
    def traceparent(self) -> str | None:
        """The W3C header of the span."""
        return _traceparent(self.span)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make it the parent of spans that start in this block."""
        from opentelemetry import trace  # noqa: PLC0415

        with trace.use_span(self.span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """End the span, and count the run."""
        with _harmless():
            active = _active()
            if error is not None:
                _failed(self.span, error)
            self.span.set_attribute("interlock.outcome", outcome)
            self.span.end()
            if active is not None:
                labels = {"workflow": self.workflow, "outcome": outcome}
                active.runs.add(1, {**labels, "resumed": self.resumed})
                active.run_seconds.record(time.monotonic() - self.began, labels)


def graph_run(
    workflow: str,
    *,
    version: int,
    workflow_id: str | None,
    thread_id: str | None,
    resumed: bool = False,
    caused_by: TraceReference | None = None,
) -> GraphSpan | None:
    """Start the span of one run of a graph; None without a provider."""
    active = _active()
    if active is None:
        return None
    try:
        span = active.tracer.start_span(
            f"invoke_workflow {workflow}",
            attributes=_attributes(
                {
                    "gen_ai.operation.name": "invoke_workflow",
                    "gen_ai.workflow.name": workflow,
                    "gen_ai.conversation.id": thread_id,
                    "interlock.workflow.version": version,
                    "interlock.workflow.id": workflow_id,
                    "interlock.resumed": resumed,
                }
            ),
            links=_links(caused_by),
        )
        return GraphSpan(span, workflow, resumed)
    except Exception:
        logger.exception("a span could not be begun; the workflow runs without it")
        return None


@contextlib.contextmanager
def below(reference: TraceReference) -> Iterator[None]:
    """Make spans of this block children of a caller's span, or of the current span if there is one."""
    context = _span_context(reference) if listens() else None
    if context is None:
        yield
        return
    from opentelemetry import trace  # noqa: PLC0415

    if trace.get_current_span().get_span_context().is_valid:
        yield
        return
    with trace.use_span(trace.NonRecordingSpan(context), record_exception=False, set_status_on_exception=False):
        yield


@contextlib.contextmanager
def step(facts: Mapping[str, Any], metadata: Mapping[str, Any], value: Any) -> Iterator[str | None]:
    """The span of one node's run. Yields its `traceparent`, or None without a provider."""
    active = _active()
    if active is None:
        yield None
        return
    began = time.monotonic()
    span: Any = None
    with _harmless():
        span = _step_span(active, facts, metadata, value)
    if span is None:
        yield None
        return
    from opentelemetry import trace  # noqa: PLC0415

    try:
        with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield _traceparent(span)
    except GraphBubbleUp:
        span.set_attribute("interlock.outcome", "interrupted")
        raise
    except BaseException as error:
        _failed(span, error)
        raise
    finally:
        with _harmless():
            for name in ("audit_ref", "denial_code", "replayed", "attempt", "approval_id", "state_after", "origins"):
                if facts.get(name) is not None:
                    span.set_attribute(f"interlock.{name}", facts[name])
            span.end()
            if metadata.get(NODE_KIND) in {"execution", "reads"}:
                tool = str(beginning({**metadata, WORKFLOW: facts.get(WORKFLOW)}, value))
                active.tool_seconds.record(
                    time.monotonic() - began, {"workflow": str(facts.get(WORKFLOW)), "tool": tool}
                )


def answered(facts: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Count an answered proposal."""
    active = _active()
    if active is None:
        return
    error = result.get("error")
    code = error.get("code") if isinstance(error, Mapping) else None
    own = code in {"refused", "tool_failed", "invalid_output"}
    labels = {
        "workflow": str(facts.get(WORKFLOW)),
        "tool": _UNKNOWN if code == "unknown_tool" else str(facts.get("tool")),
    }
    outcome = "replayed" if facts.get("replayed") else "done" if code is None else "refused" if own else "denied"
    active.executions.add(1, {**labels, "outcome": outcome})
    if outcome == "denied":
        active.denials.add(1, {**labels, "code": str(code)})


def traced(workflow: str, tool: str, origins: Mapping[str, str], ruling: str) -> None:
    """Count a call by the least trusted origin of its arguments."""
    with _harmless():
        active = _active()
        if active is not None:
            found = max(origins.values(), key=lambda origin: _TRUST.get(origin, len(_TRUST)))
            labels = {"workflow": workflow, "tool": tool, "ruling": ruling}
            active.origins.add(1, {**labels, "origin": found if found in _TRUST else _UNKNOWN})


def retried(workflow: str, tool: str) -> None:
    """Count an attempt after the first."""
    with _harmless():
        active = _active()
        if active is not None:
            active.retries.add(1, {"workflow": workflow, "tool": tool})


def decided(workflow: str, tool: str, decision: str, waited: float) -> None:
    """Count a person's decision, and record the seconds that it took."""
    with _harmless():
        active = _active()
        if active is not None:
            labels = {"workflow": workflow, "tool": tool}
            active.approvals.add(1, {**labels, "decision": decision})
            active.approval_wait.record(waited, labels)
            if decision in _OVERRIDES:
                active.overrides.add(1, {**labels, "decision": decision})


def published(lag: float) -> None:
    """Record the seconds between the commit of an event and its publication."""
    with _harmless():
        active = _active()
        if active is not None:
            active.outbox_lag.record(lag)


def _step_span(active: _Instruments, facts: Mapping[str, Any], metadata: Mapping[str, Any], value: Any) -> Any:
    name = str(beginning({**metadata, WORKFLOW: None}, value))
    kind = metadata.get(NODE_KIND)
    proposal = value.get("proposal") if isinstance(value, Mapping) else None
    proposed = TraceReference.from_json(proposal.get("trace")) if isinstance(proposal, Mapping) else None
    common = {"interlock.workflow.id": facts.get("workflow_id"), "gen_ai.conversation.id": facts.get("thread_id")}
    if kind in {"execution", "reads"}:
        title = f"execute_tool {name}"
        common |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    else:
        title = name if kind == "approval" else f"{kind} {name}"
        title = title.replace("approval: ", "approval ")
    return active.tracer.start_span(title, attributes=_attributes(common), links=_links(proposed))


def _traceparent(span: Any) -> str | None:
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _links(reference: TraceReference | None) -> list[Any]:
    context = _span_context(reference)
    if context is None:
        return []
    from opentelemetry import trace  # noqa: PLC0415

    return [trace.Link(context)]


def _span_context(reference: TraceReference | None) -> Any:
    if reference is None or reference.traceparent is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415

    try:
        _, trace_id, span_id, flags = reference.traceparent.split("-")
        context = trace.SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(int(flags, 16))
        )
    except ValueError:  # another system sent it
        return None
    return context if context.is_valid else None


def _attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _failed(span: Any, error: BaseException) -> None:
    from opentelemetry import trace  # noqa: PLC0415

    # Only the type: the text of an exception may contain data that must not be sent.
    span.set_attribute("error.type", type_name(error))
    span.set_status(trace.StatusCode.ERROR, type_name(error))


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("telemetry could not be recorded; the workflow is not touched by it")
