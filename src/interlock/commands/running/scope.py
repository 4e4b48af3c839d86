"""The scope of a node's run: instance, thread, principal and checkpoint. All of it is read from LangGraph's config here."""

import asyncio
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from ...checkpointing.identifiers import named
from ...tools.errors import MissingThreadId
from ...tools.ids import derive
from ...tools.principal import Principal
from .checkpoint_lookup import FromThreads, Saved
from .principals import is_named, principal_of, served_of

# Keys that LangGraph keeps in `configurable`. It has no public names for them; they are tested against each supported version.
RUNTIME = "__pregel_runtime"
CHECKPOINTER = "__pregel_checkpointer"
DURABILITY = "__pregel_durability"
CHECKPOINT_MAP = "checkpoint_map"
CHECKPOINT_NS = "checkpoint_ns"
THREAD_ID = "thread_id"
WORKFLOW_ID = "workflow_id"
INPUT_KEY = "input_key"
"""Interlock's own key in `configurable` for an idempotent input."""
SCRATCHPAD = "__pregel_scratchpad"
_TASK_ID = "__pregel_task_id"
_SEND = "__pregel_send"
RESUMING = "__pregel_resuming"
_PREGEL = "__pregel_"
_PLAIN = frozenset({DURABILITY, "__pregel_strict_resume", "__pregel_stream_messages_v2"})
"""Those of LangGraph's own keys that have plain values also in the config of an outermost run."""


def is_nested(configurable: Mapping[str, Any]) -> bool:
    """Whether a graph runs inside another one, so that its answers come through the parent.

    A task id proves nothing, because a client's request can contain one; the parent's writer for the task is a function.
    """
    return _TASK_ID in configurable and callable(configurable.get(_SEND))


def is_resumed_by_parent(configurable: Mapping[str, Any]) -> bool:
    """Whether a graph runs inside another one that is being resumed; LangGraph then ignores its input."""
    return is_nested(configurable) and bool(configurable.get(RESUMING))


def forged_keys(configurable: Mapping[str, Any]) -> list[str]:
    """The keys under which plain data poses as internal values that LangGraph passes to a graph inside another one."""
    if is_nested(configurable):
        return []
    return sorted(
        key
        for key, value in configurable.items()
        if isinstance(key, str)
        and key.startswith(_PREGEL)
        and key not in _PLAIN
        and isinstance(value, (str, int, float, list, dict))
    )


def segments_of(configurable: Mapping[str, Any]) -> list[str]:
    """The nodes, with their tasks, in which a graph is embedded at the start of its run; empty for an outermost graph."""
    namespace = str(configurable.get(CHECKPOINT_NS) or "")
    return namespace.split("|") if namespace and is_nested(configurable) else []


@dataclass(frozen=True)
class Scope:
    """The scope of a node's run."""

    workflow_id: str
    thread_id: str | None
    namespace: str
    """The checkpoint namespace of the workflow's graph; empty if it is not embedded."""
    task_key: str
    """Unique for this task of this checkpoint, and the same when the task runs again after a crash or an interrupt."""
    principal: Principal
    """The principal of the run: the requester, or on a resume the approver."""
    served: str | None
    """The id of the person whom a new instance is to serve, if the application names one."""
    root_checkpoint: str | None
    """The checkpoint of the outermost graph on which this step runs."""
    own_checkpoint: str | None
    """The checkpoint of the workflow's own graph; the outermost one if it is not embedded."""
    durability: str
    checkpointer: Saved | None
    config: RunnableConfig
    is_named: bool = True
    """Whether a principal was named, even an anonymous one; otherwise the application acts."""

    @property
    def is_resuming(self) -> bool:
        """Whether the run resumes an interrupted one; otherwise it starts with an input."""
        return bool(self.config.get("configurable", {}).get(RESUMING))

    def emit(self, event: Mapping[str, Any]) -> None:
        """Send a typed event to consumers of the stream mode `custom`."""
        runtime = self.config.get("configurable", {}).get(RUNTIME)
        if runtime is not None:
            runtime.stream_writer(dict(event))


def scope_of(config: RunnableConfig, workflow: str, loop: asyncio.AbstractEventLoop | None = None) -> Scope:
    """Read the scope of a node of the named workflow.

    Args:
        loop: The event loop of an asynchronous run.

    Raises:
        MissingThreadId: The config names neither a thread nor a workflow instance.
        PrincipalError: The run's context names no usable principal.
    """
    configurable = config.get("configurable", {})
    task_key = str(configurable.get(CHECKPOINT_NS, ""))
    segments = task_key.split("|")[:-1] if task_key else []
    runtime = configurable.get(RUNTIME)
    saver = configurable.get(CHECKPOINTER)
    roots = configurable.get(CHECKPOINT_MAP) or {}
    context = None if runtime is None else runtime.context
    return Scope(
        workflow_id=workflow_id_of(configurable, workflow, segments),
        thread_id=None if (thread := configurable.get(THREAD_ID)) is None else str(thread),
        namespace="|".join(segments),
        task_key=task_key,
        principal=principal_of(configurable, context),
        served=served_of(configurable, context),
        # Without a checkpointer, these checkpoints are not stored, and no later run can follow them.
        root_checkpoint=roots.get("") if isinstance(saver, BaseCheckpointSaver) else None,
        own_checkpoint=roots.get("|".join(segments)),
        durability=str(configurable.get(DURABILITY) or "async"),
        checkpointer=_saved(saver, loop),
        config=config,
        is_named=is_named(configurable, context),
    )


def _saved(saver: object, loop: asyncio.AbstractEventLoop | None) -> Saved | None:
    if not isinstance(saver, BaseCheckpointSaver):
        return None
    return saver if loop is None else FromThreads(saver, loop)


def outside_scope(workflow_id: str, principal: Principal) -> Scope:
    """The scope of an operation on an instance from outside its graph."""
    return Scope(
        workflow_id=workflow_id,
        thread_id=None,
        namespace="",
        task_key="",
        principal=principal,
        served=None,
        root_checkpoint=None,
        own_checkpoint=None,
        durability="sync",
        checkpointer=None,
        config={},
    )


def workflow_id_of(configurable: Mapping[str, Any], workflow: str, segments: list[str] | None = None) -> str:
    """The instance of a config: the named one, or the one of workflow, thread and the nodes in which the graph is embedded.

    Task ids are left out of the namespace, so that the instance is the same in all turns of its thread.

    Raises:
        MissingThreadId: The config names neither.
        InputError: The given `workflow_id` cannot be stored unchanged.
    """
    given = configurable.get(WORKFLOW_ID)
    if given is not None:
        return named("workflow_id", given, 64)
    thread = configurable.get(THREAD_ID)
    if thread is None or str(thread) == "":
        raise MissingThreadId(
            f"The workflow {workflow} was run without saying which instance is meant. Nothing was done. "
            'Pass a config such as {"configurable": {"thread_id": "t-1"}}.'
        )
    return _instance_on(workflow, str(thread), tuple(segment.split(":", 1)[0] for segment in segments or ()))


@functools.lru_cache(maxsize=4096)
def _instance_on(workflow: str, thread: str, nodes: tuple[str, ...]) -> str:
    """The id of the instance on a thread; cached, because each step needs it several times."""
    return derive("wf", workflow, thread, [*nodes])
