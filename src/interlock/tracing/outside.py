"""Traces a command that is executed outside the graph, as a run below its caller."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from langchain_core.callbacks import CallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.types import Command

from ..tools.sinks import logger_of
from .runs import tracers_of, with_tracers
from .story import NODE_KIND
from .tracer import InterlockTracer
from .watch import watching

logger = logger_of("interlock.tracing")

Tell = Callable[[Mapping[str, Any]], None]
"""Takes the result of the command in wire form."""


@contextlib.contextmanager
def outside_call(facts: Mapping[str, Any], proposal: Mapping[str, Any]) -> Iterator[Tell]:
    """Trace a command outside the graph.

    Args:
        facts: Metadata of the run.
        proposal: The proposal of the command.
    """
    run: Any = None
    metadata = {NODE_KIND: "execution", "langgraph_node": f"{proposal.get('state')}/{proposal.get('tool')}"}
    config: RunnableConfig = {"metadata": metadata}
    try:
        run = _begun(facts, proposal, metadata)
        if run is not None:
            config["callbacks"] = run.get_child()
    except Exception:
        logger.exception("a command could not be traced; it is executed anyway")
    told: dict[str, Any] = {}
    try:
        with watching(config, {"proposal": proposal}, lambda: facts) as watch:

            def tell(result: Mapping[str, Any]) -> None:
                told.update(result)
                if watch is not None:
                    update = {"last_result": dict(result), "progress": [("done", {"key": proposal.get("key")})]}
                    watch.record_result(Command(update={**update, "state": result.get("currentState")}))

            yield tell
    except BaseException as error:
        if run is not None:
            run.on_chain_error(error)
        raise
    if run is not None:
        run.on_chain_end(told)


def _begun(facts: Mapping[str, Any], proposal: Mapping[str, Any], metadata: Mapping[str, Any]) -> Any:
    callbacks = ensure_config().get("callbacks")
    tracers = tracers_of(callbacks)
    if not tracers:
        return None
    known = {name: value for name, value in facts.items() if value is not None}
    replaced = {id(tracer): InterlockTracer.adopt(tracer, facts=known) for tracer in tracers}
    manager = CallbackManager.configure(
        inheritable_callbacks=with_tracers(callbacks, replaced), local_metadata=dict(metadata)
    )
    inputs = {"tool": proposal.get("tool"), "arguments": proposal.get("arguments")}
    return manager.on_chain_start(cast("Any", None), inputs, name=str(proposal.get("tool")))


__all__ = ["outside_call"]
