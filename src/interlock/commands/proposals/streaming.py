"""Makes `get_stream_writer()` work in the body of a tool that no graph runs."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import Runtime

from ..running.scope import RUNTIME

written: ContextVar[Callable[[Any], None] | None] = ContextVar("interlock_written", default=None)
"""Receives the chunks that tools write, from any thread. Without a receiver they are dropped."""


@contextlib.contextmanager
def stream_for_tools() -> Iterator[None]:
    """Provide a stream writer for the tools that run in this block, unless they run within a graph, which has its own."""
    around = var_child_runnable_config.get() or {}
    configurable = around.get("configurable") or {}
    if RUNTIME in configurable:
        yield
        return
    runtime: Runtime[Any] = Runtime(stream_writer=written.get() or _dropped)
    token = var_child_runnable_config.set({**around, "configurable": {**configurable, RUNTIME: runtime}})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _dropped(piece: Any) -> None:
    """Drop the chunk, because nobody listens."""


__all__ = ["stream_for_tools", "written"]
