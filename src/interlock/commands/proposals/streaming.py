"""What a tool writes to LangGraph's stream when no graph runs it: `get_stream_writer()` works in its body there, too."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.runtime import Runtime

from ..running.scope import RUNTIME

written: ContextVar[Callable[[Any], None] | None] = ContextVar("interlock_written", default=None)
"""Takes what tools write, one piece after another, from whatever thread they run in. Where nobody takes it, it is dropped."""


@contextlib.contextmanager
def stream_for_tools() -> Iterator[None]:
    """Give the tools that run inside a stream writer, unless they run within a graph, which has its own."""
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
    """Nobody listens."""


__all__ = ["stream_for_tools", "written"]
