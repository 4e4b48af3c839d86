"""Traces one run of a compiled workflow."""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from ..commands.running.scope import workflow_id_of
from ..operations.compiled import CompiledWorkflow, Config
from ..tracing.reference import TraceReference
from ..tracing.runs import GraphRun, graph_run
from ..tracing.trail import last_reference


def traced_run(graph: CompiledWorkflow, config: Config | None, configurable: Mapping[str, Any], given: Any) -> GraphRun:
    """Prepare the tracing of a run of the graph.

    Args:
        graph: The workflow.
        config: The config of the run.
        configurable: The same with the graph's own.
        given: Its input, or the command that resumes it.
    """
    engine = graph.engine
    resume = given.resume if isinstance(given, Command) else None
    resumes = given is None or resume is not None

    def instance() -> str | None:
        if configurable.get("workflow_id") is not None:
            return str(configurable["workflow_id"])
        if configurable.get("checkpoint_ns") or configurable.get("thread_id") is None:
            return None  # inside another graph, the nodes have it from their own config
        return workflow_id_of(configurable, engine.definition.name)

    def cause() -> TraceReference | None:
        known = instance() if resumes else None
        return None if known is None else last_reference(engine.store, known)

    return graph_run(
        cast("RunnableConfig | None", config),
        graph.config,
        workflow=engine.definition.name,
        version=engine.definition.version,
        resume=resume,
        resumes=resumes,
        workflow_id=instance,
        cause=cause,
    )


__all__ = ["traced_run"]
