"""Traces one run of a workflow's graph: its name, an id known in advance, and a tracer for workflows."""

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tracers.context import tracing_v2_callback_var
from langchain_core.tracers.langchain import LangChainTracer

from ..tools.sinks import logger_of
from ..tools.trace_reference import current_trace
from . import telemetry
from .outgoing import default_outgoing
from .reference import TraceReference
from .story import resumed
from .tracer import InterlockTracer

logger = logger_of("interlock.tracing")

_SHOWN_CONFIGURABLE = frozenset({"thread_id", "workflow_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map"})
_DECISIONS = {
    "approve": "approve",
    "accept": "approve",
    "edit": "edit",
    "reject": "reject",
    "ignore": "reject",
    "respond": "respond",
    "response": "respond",
}


@dataclass
class GraphRun:
    """One call of a graph's `stream`.

    Attributes:
        config: The config for the graph.
        reference: The trace reference of the run, known before it starts, so that earlier records can have it.
    """

    config: RunnableConfig | None
    reference: TraceReference | None = None
    span: telemetry.GraphSpan | None = None
    waits: bool = field(default=False)

    @contextlib.contextmanager
    def before(self) -> Iterator[None]:
        """Assign the records of the block to this run, while answers are processed before the graph runs."""
        token = current_trace.set(None if self.reference is None else self.reference.to_json())
        try:
            yield
        finally:
            current_trace.reset(token)

    def drive(self, chunks: Iterator[Any]) -> Iterator[Any]:
        """Yield the graph's chunks, and trace the run."""
        if self.span is None:
            yield from chunks
            return
        with self._ending():
            try:
                while True:
                    with self._current():
                        try:
                            chunk = next(chunks)
                        except StopIteration:
                            return
                    yield chunk
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()

    async def adrive(self, chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the graph's chunks, and trace the run."""
        if self.span is None:
            async for chunk in chunks:
                yield chunk
            return
        with self._ending():
            while True:
                with self._current():
                    try:
                        chunk = await anext(chunks)
                    except StopAsyncIteration:
                        return
                yield chunk

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        token = _running.set(self)
        try:
            with cast("telemetry.GraphSpan", self.span).current():
                yield
        finally:
            _running.reset(token)

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        span = cast("telemetry.GraphSpan", self.span)
        try:
            yield
        except GeneratorExit:
            span.end("abandoned")
            raise
        except BaseException as error:
            span.end("failed", error)
            raise
        else:
            span.end("interrupted" if self.waits else "completed")


_running: ContextVar[GraphRun | None] = ContextVar("interlock_graph_run", default=None)


def run_waits() -> None:
    """Mark the current run of the graph as interrupted."""
    run = _running.get()
    if run is not None:
        run.waits = True


def graph_run(
    config: RunnableConfig | None,
    own: RunnableConfig | None,
    *,
    workflow: str,
    version: int,
    resume: Any = None,
    resumes: bool = False,
    workflow_id: Callable[[], str | None],
    cause: Callable[[], TraceReference | None],
) -> GraphRun:
    """Prepare the tracing of one run of a graph; without tracing, the config stays unchanged.

    Args:
        config: The config of the run.
        own: The graph's own config.
        workflow: The workflow's name.
        version: Its version.
        resume: The resume payload, or None.
        resumes: Whether it resumes an interrupted run, with or without an answer.
        workflow_id: Returns the instance; called only with tracing.
        cause: Returns the run or event that this run continues; called only with tracing.
    """
    try:
        return _prepared(
            config,
            own,
            workflow=workflow,
            version=version,
            resume=resume,
            resumes=resumes,
            workflow_id=workflow_id,
            cause=cause,
        )
    except Exception:
        logger.exception("the run could not be prepared for tracing; the workflow is not touched by it")
        return GraphRun(config)


def _prepared(
    config: RunnableConfig | None,
    own: RunnableConfig | None,
    *,
    workflow: str,
    version: int,
    resume: Any,
    resumes: bool,
    workflow_id: Callable[[], str | None],
    cause: Callable[[], TraceReference | None],
) -> GraphRun:
    effective = ensure_config(cast("RunnableConfig", {**(own or {}), **(config or {})}))
    callbacks = effective.get("callbacks")
    tracers = tracers_of(callbacks)
    listens = telemetry.listens()
    if not tracers and not listens:
        return GraphRun(config)
    configurable = {**((own or {}).get("configurable") or {}), **(effective.get("configurable") or {})}
    thread = configurable.get("thread_id")
    thread_id = None if thread is None else str(thread)
    instance, caused = workflow_id(), cause()
    run = GraphRun(config)
    if listens:
        run.span = telemetry.graph_run(
            workflow,
            version=version,
            workflow_id=instance,
            thread_id=thread_id,
            resumed=resumes,
            caused_by=caused,
        )
    traceparent = None if run.span is None else run.span.traceparent
    run.reference = None if traceparent is None else TraceReference(traceparent=traceparent)
    if not tracers:
        return run
    facts = {"workflow": workflow, "workflow_version": version, "workflow_id": instance, "thread_id": thread_id}
    given = frozenset((config or {}).get("metadata") or {}) | frozenset((own or {}).get("metadata") or {})
    outgoing = tracers[0].outgoing if isinstance(tracers[0], InterlockTracer) else default_outgoing()
    shown = _SHOWN_CONFIGURABLE | given | frozenset(outgoing.configurable)
    replaced = {
        id(tracer): InterlockTracer.adopt(
            tracer,
            facts={name: value for name, value in facts.items() if value is not None},
            withheld=frozenset(map(str, configurable)) - shown,
        )
        for tracer in tracers
    }
    run_id = effective.get("run_id") or _run_id()
    for tracer in replaced.values():
        tracer.about_root = (run_id, _root_facts(resume, caused))
    traced_config = dict(config or {})
    traced_config["callbacks"] = with_tracers(callbacks, replaced)
    traced_config["run_id"] = run_id
    if resumes and effective.get("run_name") is None:
        traced_config["run_name"] = (
            f"{workflow}: continued" if resume is None else resumed(workflow, decisions_in(resume))
        )
    run.config = cast("RunnableConfig", traced_config)
    run.reference = replace(_reference(run_id, callbacks, tracers[0]), traceparent=traceparent)
    return run


def _root_facts(resume: Any, caused: TraceReference | None) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if resume is not None:
        facts["decision"] = ", ".join(dict.fromkeys(decisions_in(resume))) or None
    if caused is not None:
        facts |= {"caused_by_trace": caused.trace, "caused_by_run": caused.run}
    return {name: value for name, value in facts.items() if value is not None}


def decisions_in(resume: Any) -> list[str]:
    """The kinds of decision in an answer, in any shape that user interfaces send."""
    match resume:
        case Mapping():
            kind = resume.get("type")
            if isinstance(kind, str) and kind in _DECISIONS:
                return [_DECISIONS[kind]]
            return [decision for item in resume.values() for decision in decisions_in(item)]
        case list() | tuple():
            return [decision for item in resume for decision in decisions_in(item)]
        case _:
            kind = getattr(resume, "kind", None)
            value = getattr(kind, "value", None)
            return [_DECISIONS[value]] if value in _DECISIONS else []


def tracers_of(callbacks: Any) -> list[LangChainTracer]:
    """The LangSmith tracers of these callbacks, including the one that the environment enables."""
    handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or ()
    found = [handler for handler in handlers if isinstance(handler, LangChainTracer)]
    if found:
        return found
    from langsmith import get_tracing_context  # noqa: PLC0415 -- by now langchain-core has imported it, or tracing is off
    from langsmith.utils import tracing_is_enabled  # noqa: PLC0415

    ambient = tracing_v2_callback_var.get()
    if ambient is not None:
        return [ambient]
    enabled = tracing_is_enabled()
    if not enabled:
        return []
    if enabled == "local":  # an evaluation without uploads
        return [LangChainTracer(client=cast("Any", _Nowhere()))]
    context = get_tracing_context()
    parent = context.get("parent")
    return [
        LangChainTracer(
            project_name=context.get("project_name") if parent is None else parent.session_name,
            client=context.get("client") if parent is None else parent.client,
            tags=context.get("tags"),
        )
    ]


class _Nowhere:
    """A client that sends nothing."""

    def create_run(self, *_: Any, **__: Any) -> None:
        """Send nothing."""

    def update_run(self, *_: Any, **__: Any) -> None:
        """Send nothing."""

    def flush(self, *_: Any, **__: Any) -> None:
        """There is nothing to send."""


def with_tracers(callbacks: Any, replaced: Mapping[int, InterlockTracer]) -> Any:
    """Replace LangChain's tracers in the callbacks with the workflow's own, or add them."""
    if isinstance(callbacks, BaseCallbackManager):
        copied = callbacks.copy()
        copied.handlers = [replaced.get(id(handler), handler) for handler in callbacks.handlers]
        copied.inheritable_handlers = [replaced.get(id(handler), handler) for handler in callbacks.inheritable_handlers]
        for tracer in replaced.values():
            if tracer not in copied.handlers:
                copied.add_handler(tracer)
        return copied
    listed = [replaced.get(id(handler), handler) for handler in callbacks or ()]
    return [*listed, *(tracer for tracer in replaced.values() if tracer not in listed)]


def _reference(run_id: uuid.UUID, callbacks: Any, tracer: LangChainTracer) -> TraceReference:
    from langsmith import get_current_run_tree  # noqa: PLC0415
    from langsmith.utils import get_tracer_project  # noqa: PLC0415

    parent = tracer.run_map.get(str(getattr(callbacks, "parent_run_id", None))) or get_current_run_tree()
    project = parent.session_name if parent is not None else tracer.project_name or get_tracer_project()
    trace = run_id if parent is None else parent.trace_id
    return TraceReference(
        trace=str(trace), run=str(run_id), project=project, start_time=dt.datetime.now(dt.UTC).isoformat()
    )


def _run_id() -> uuid.UUID:
    try:
        from langsmith import uuid7  # noqa: PLC0415 -- of later releases
    except ImportError:
        return uuid.uuid4()
    return uuid7()
