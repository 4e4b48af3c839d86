"""Reads checkpoints from within nodes: synchronously, or in an asynchronous run from one of the store's threads."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from ...checkpointing.checkpointer import SQLCheckpointer
from ...checkpointing.saver.reading import LOOKING

_SECONDS = 60.0


def looking_at(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    """A config for only reading a checkpoint. A normal load would tell our checkpointer that a run continues from it."""
    configurable = {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id, LOOKING: True}
    return {"configurable": configurable}


class Saved(Protocol):
    """The part of a checkpointer that nodes need."""

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a config names."""


class FromThreads:
    """Reads a checkpointer from other threads than its event loop's.

    An asynchronous checkpointer may lack working synchronous methods (LangGraph's for SQLite, LangGraph Server's), so an asynchronous
    run calls its asynchronous ones, on its loop. Interlock's checkpointer is read in the calling thread: its asynchronous methods
    would need another of the database's threads, and if all of them wait, there is none.

    Args:
        saver: The checkpointer.
        loop: The loop that the run belongs to.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.saver = saver
        self._loop = loop

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that a config names."""
        if _running() is self._loop:  # waiting for the loop on the loop would deadlock
            if in_greenlet():  # inside the transaction of an asynchronous tool
                return await_only(self.saver.aget_tuple(config))
            return self.saver.get_tuple(config)
        if isinstance(self.saver, SQLCheckpointer):
            return self.saver.get_tuple(config)
        return asyncio.run_coroutine_threadsafe(self.saver.aget_tuple(config), self._loop).result(_SECONDS)

    def parents(self, config: RunnableConfig) -> Mapping[str, str | None] | None:
        """The parents on a checkpoint's line; None where they have to be looked up one at a time."""
        if isinstance(self.saver, SQLCheckpointer) and _running() is not self._loop:
            return self.saver.parents(config)
        return None

    def has(self, config: RunnableConfig, metadata: dict[str, Any]) -> bool:
        """Whether a thread has a checkpoint with these values in its metadata."""
        if isinstance(self.saver, SQLCheckpointer):
            return next(iter(self.saver.list(config, filter=metadata, limit=1)), None) is not None

        async def look() -> bool:
            async for _ in self.saver.alist(config, filter=metadata, limit=1):
                return True
            return False

        return asyncio.run_coroutine_threadsafe(look(), self._loop).result(_SECONDS)


def parents_on_line(saver: Saved, config: RunnableConfig) -> Mapping[str, str | None] | None:
    """The parents of a checkpoint and of those before it, in one query without their values; None where the checkpointer has no such query."""
    return saver.parents(config) if isinstance(saver, (SQLCheckpointer, FromThreads)) else None


def parent_of(saver: Saved, config: RunnableConfig) -> str | None:
    """The id of a checkpoint's parent; None at the root, or if the checkpoint is missing."""
    inner = saver.saver if isinstance(saver, FromThreads) else saver
    if type(inner) is InMemorySaver:  # it keeps parents apart from values, which need not be deserialized for them
        place = config["configurable"]
        namespaces = inner.storage.get(place["thread_id"], {})
        kept = namespaces.get(place["checkpoint_ns"], {}).get(place["checkpoint_id"])
        return None if kept is None else kept[2]
    found = saver.get_tuple(config)
    above = None if found is None else found.parent_config
    return None if above is None else str(above["configurable"]["checkpoint_id"])


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
