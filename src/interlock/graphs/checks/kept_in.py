"""The checks of the arguments of `compile()`: the checkpointer, the workflow store and the options."""

import inspect
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph

from ...checkpointing.store import WorkflowStore
from ...tools.errors import WorkflowDefinitionError

_OURS = frozenset({"in_memory", "destructive_in_memory"})
_LANGGRAPHS = frozenset(inspect.signature(StateGraph.compile).parameters) - {"self", "checkpointer"}


def check_kept_in(name: str, checkpointer: object, store: object) -> None:
    """Refuse arguments that are not a checkpointer or a workflow store, and say what was probably meant.

    Raises:
        WorkflowDefinitionError: One of the two is something else.
    """
    if checkpointer is not None and not isinstance(checkpointer, BaseCheckpointSaver):
        if isinstance(checkpointer, WorkflowStore):
            advice = "That is a workflow store: pass it as compile(workflow_store=...)."
        elif isinstance(checkpointer, type) and issubclass(checkpointer, BaseCheckpointSaver):
            advice = f"That is the class; pass an object of it: {checkpointer.__name__}(...)."
        elif isinstance(checkpointer, PurePath):
            advice = f"That is a path; pass SQLCheckpointer('sqlite:///{checkpointer}')."
        elif hasattr(checkpointer, "cursor") or hasattr(checkpointer, "dialect"):
            advice = "That is a connection or an engine, not a checkpointer; pass SQLCheckpointer('sqlite:///desk.db')."
        elif hasattr(checkpointer, "__enter__") or hasattr(checkpointer, "__aenter__"):
            advice = (
                "That is a context manager: open it, as in `with ... as checkpointer:`, and compile inside the block."
            )
        else:
            advice = "Give it a database, compile(SQLCheckpointer('sqlite:///desk.db')), or nothing to keep it in memory: compile()."
        raise WorkflowDefinitionError(
            f"The workflow {name!r} is compiled with {checkpointer!r} as its checkpointer. {advice}"
        )
    if store is not None and not isinstance(store, WorkflowStore):
        advice = (
            "A checkpointer is passed first, compile(checkpointer), and brings its store with it."
            if isinstance(store, BaseCheckpointSaver)
            else "Pass WorkflowStore('sqlite:///desk.db'), or WorkflowStore.in_memory()."
        )
        raise WorkflowDefinitionError(
            f"The workflow {name!r} is compiled with {store!r} as its workflow store. {advice}"
        )


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuse an option that neither Interlock's nor LangGraph's `compile` has.

    Raises:
        WorkflowDefinitionError: There is such an option.
    """
    unknown = sorted({*options} - _OURS - _LANGGRAPHS)
    if unknown:
        raise WorkflowDefinitionError(
            f"The workflow {name!r} is compiled with {', '.join(unknown)}, which compile() does not know. What a workflow is goes to "
            f"Workflow(...); compile() takes checkpointer, workflow_store, in_memory, destructive_in_memory, {', '.join(sorted(_LANGGRAPHS))}."
        )


__all__ = ["check_kept_in", "check_options"]
