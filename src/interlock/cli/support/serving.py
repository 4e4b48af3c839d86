"""The ready-made workflows for LangGraph's own server: what `langgraph.json` names, so that `langgraph dev` and Studio load them.

The server brings the checkpointer, which `checkpointer` gives it; the workflow store lives in the same database, so a thread and
its workflow instance are kept together. The model is the one that INTERLOCK_MODEL names, such as `openai:gpt-5`; without it, the
demo's own model plays the demo's cases, which need no account.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator

from langchain_core.messages import BaseMessage, HumanMessage

from ...checkpointing import SQLCheckpointer, WorkflowStore
from ...checkpointing.encryption import Encryption
from ...graphs import WorkflowGraph
from ...testing import Answer, ScriptedChatModel
from ...workflows.retail import open_shop, retail_workflow
from ..demo.cases import CASES, next_step

DATABASE = "INTERLOCK_DB"
MODEL = "INTERLOCK_MODEL"
DEFAULT_DATABASE = "sqlite:///interlock-served.db"


def database_url() -> str:
    """Where the served workflows are kept: the URL in INTERLOCK_DB, or a SQLite file in the current folder."""
    given = os.environ.get(DATABASE) or DEFAULT_DATABASE
    return given if "://" in given else f"sqlite:///{given}"


async def retail() -> WorkflowGraph:
    """The retail desk over the sample shop, compiled for a host that brings the checkpointer."""
    # Opening a database touches the disk, which the server's event loop must not wait for.
    return await asyncio.to_thread(_retail)


@functools.cache
def _retail() -> WorkflowGraph:
    store = WorkflowStore(database_url(), encryption=Encryption.from_environment())
    open_shop(store)
    desk = retail_workflow(os.environ.get(MODEL) or ScriptedChatModel(forever=_play))
    return desk.compile(workflow_store=store)


@contextlib.asynccontextmanager
async def checkpointer() -> AsyncIterator[SQLCheckpointer]:
    """The checkpointer of the same database."""
    async with await asyncio.to_thread(SQLCheckpointer, database_url()) as saver:
        yield saver


def _play(messages: list[BaseMessage], offered: list[str]) -> Answer:
    said = next((message.text for message in messages if isinstance(message, HumanMessage)), "")
    known = [case.turns[0].says for case in CASES]
    if said in known:
        return next_step(messages, offered)
    lines = "\n".join(f"- {line}" for line in known)
    return (
        f"This is the demo's model, which knows only these customers. Start a thread with one of their lines, or set {MODEL} to serve "
        f"anybody:\n{lines}"
    )
