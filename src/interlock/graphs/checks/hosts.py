"""Checks the graph or agent around a workflow at run time: its checkpointer has to fit the workflow's store."""

from collections.abc import Mapping
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config

from ...checkpointing import SQLCheckpointer
from ...checkpointing.store import ApprovalRequest
from ...commands.running.engine import Engine
from ...commands.running.scope import CHECKPOINTER
from ...tools.errors import InputError


def check_parent(engine: Engine, around: Mapping[str, Any]) -> None:
    """Refuse a workflow in memory inside a graph with a durable checkpointer, unless memory is intended.

    Raises:
        InputError: After a restart, the graph would continue with an instance that no longer exists.
    """
    saver = around.get(CHECKPOINTER)
    if engine.is_kept_as_meant or saver is None or isinstance(saver, InMemorySaver):
        return
    if isinstance(saver, SQLCheckpointer) and "vfs=memdb" in str(saver.database.engine.url):
        return
    name = engine.definition.name
    raise InputError(
        f"The workflow {name} keeps its instances in this process's memory, and runs inside a graph whose checkpoints are kept "
        f"({type(saver).__name__}): after a restart the graph would continue with an "
        "instance that no longer exists. Nothing was done. Compile the workflow with a database, "
        "compile(workflow_store=WorkflowStore(url)), or confirm that memory is intended: "
        "compile(in_memory=True).",
        code="store_in_memory",
    )


def check_answerable(waiting: ApprovalRequest) -> None:
    """Refuse to wait for a person in an agent that cannot be resumed.

    Raises:
        InputError: The agent has no checkpointer.
    """
    if get_config().get("configurable", {}).get(CHECKPOINTER) is None:
        raise InputError(
            f"{waiting.tool} asks a person, and the agent has no checkpointer, so this run could never resume. The tool was not run; the request "
            f"{waiting.approval_id} stays on record. Give the agent one, create_agent(..., checkpointer=SQLCheckpointer(url)), and run it again.",
            code="no_checkpointer",
        )


__all__ = ["check_answerable", "check_parent"]
