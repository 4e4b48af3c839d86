"""A LangSmith tracer for workflows: interrupts are not errors, every run has its state, and secrets are masked."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.tracers.langchain import LangChainTracer
from langchain_core.tracers.schemas import Run
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from typing_extensions import override

from ..tools.sinks import logger_of
from ..tools.storable import type_name
from .client import GuardedClient, guarded
from .outgoing import Outgoing, default_outgoing
from .story import NODE_KIND, OUTPUTS, beginning, node_inputs

logger = logger_of("interlock.tracing")


class InterlockTracer(LangChainTracer):
    """LangChain's tracer for LangSmith, extended for workflows.

    If tracing is enabled, a workflow replaces LangChain's tracer with this one automatically. If the workflow runs inside your own
    graph, pass it in `config["callbacks"]`, so that the runs of that graph do not record interrupts as errors either.

    Args:
        outgoing: The masking rules; secrets and sensitive fields are always masked.
        facts: Metadata for every run, unless the run has the same key already.
        withheld: The metadata keys to leave out: those that LangGraph copies from `configurable`.
        options: The options of LangChain's tracer, such as `project_name`, `client` and `tags`.
    """

    def __init__(
        self,
        *,
        outgoing: Outgoing | None = None,
        facts: Mapping[str, Any] | None = None,
        withheld: frozenset[str] = frozenset(),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.client: Any = guarded(self.client, outgoing or _allowed_by(self.client))
        self.facts = dict(facts or {})
        self.withheld = withheld
        self.about_root: tuple[UUID, Mapping[str, Any]] | None = None
        """The id of the graph run for which this tracer was made, and metadata for that run only."""

    @classmethod
    def adopt(
        cls, tracer: LangChainTracer, *, facts: Mapping[str, Any], withheld: frozenset[str] = frozenset()
    ) -> "InterlockTracer":
        """Make a tracer that replaces another one: with its client, its project and its open runs."""
        if isinstance(tracer, InterlockTracer):
            facts, withheld = {**tracer.facts, **facts}, tracer.withheld | withheld
        return cls(**_options(tracer), facts=facts, withheld=withheld)

    @property
    def outgoing(self) -> Outgoing:
        """The masking rules."""
        client: GuardedClient = self.client
        return client.outgoing

    @override
    def copy_with_metadata_defaults(self, **defaults: Any) -> LangChainTracer:
        # LangChain copies a tracer with its own arguments only.
        copied = super().copy_with_metadata_defaults(**defaults)
        if isinstance(copied, InterlockTracer):
            copied.facts, copied.withheld, copied.about_root = self.facts, self.withheld, self.about_root
        return copied

    @override
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        if isinstance(error, GraphBubbleUp):
            return self.on_chain_end(bubbled(error), run_id=run_id, **kwargs)
        return super().on_chain_error(error, run_id=run_id, **kwargs)

    @override
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        if isinstance(error, GraphBubbleUp):
            return self.on_tool_end(bubbled(error), run_id=run_id, **kwargs)
        return super().on_tool_error(error, run_id=run_id, **kwargs)

    @override
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> Run:
        if isinstance(error, GraphBubbleUp):
            return self.on_retriever_end([], run_id=run_id, **kwargs)
        return super().on_retriever_error(error, run_id=run_id, **kwargs)

    @override
    def _start_trace(self, run: Run) -> None:
        super()._start_trace(run)
        try:
            metadata = run.extra.get("metadata") or {}
            about, more = self.about_root or (None, {})
            run.extra["metadata"] = {**metadata, **self.facts, **(more if run.id == about else {})}
            if self.withheld:
                run.extra["interlock_withheld"] = self.withheld
            if is_node(run):
                run.name = beginning(run.extra["metadata"], run.inputs) or run.name
                run.inputs = node_inputs(run.inputs)
        except Exception:
            logger.exception("the run %s could not be described", run.id)

    @override
    def _end_trace(self, run: Run) -> None:
        shown = run.extra.pop(OUTPUTS, None)
        if shown is not None:
            run.outputs = shown
        super()._end_trace(run)


def _allowed_by(client: Any) -> Outgoing:
    return client.outgoing if isinstance(client, GuardedClient) else default_outgoing()


def is_node(run: Any) -> bool:
    """Whether a run is a workflow's node itself, and not an inner run that inherited its metadata."""
    metadata = run.extra.get("metadata") or {}
    return metadata.get(NODE_KIND) is not None and any(tag.startswith("graph:step:") for tag in run.tags or ())


def bubbled(error: GraphBubbleUp) -> dict[str, Any]:
    """The output of a run that ended with an interrupt or a command to a parent graph, instead of an error."""
    if isinstance(error, GraphInterrupt):
        raised = error.args[0] if error.args else ()
        return {
            "__interrupt__": [
                {"id": getattr(one, "id", None), "value": getattr(one, "value", None)} for one in raised or ()
            ]
        }
    return {f"__{type_name(error)}__": [str(argument) for argument in error.args]}


def _options(tracer: LangChainTracer) -> dict[str, Any]:
    options: dict[str, Any] = {
        "example_id": tracer.example_id,
        "project_name": tracer.project_name,
        "client": tracer.client,
        "tags": [*tracer.tags],
        "run_map": tracer.run_map,
        "order_map": tracer.order_map,
    }
    # Later releases of langchain-core have these; they are passed on if present.
    for name, attribute in {
        "address": "address",
        "metadata": "tracing_metadata",
        "_external_run_ids": "_external_run_ids",
    }.items():
        if hasattr(tracer, attribute):
            options[name] = getattr(tracer, attribute)
    return options
