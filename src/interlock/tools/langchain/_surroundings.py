"""The LangGraph environment of a running tool: state, store, config and runtime.

It is read from the current run immediately before a tool runs, and never stored.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_GIVEN: ContextVar[Any] = ContextVar("interlock_tool_runtime", default=None)

# Keys of `configurable` from which LangGraph reads a tool's state. It has no public names for them.
_READ_STATE = "__pregel_read_state"
_READ = "__pregel_read"


@contextlib.contextmanager
def inside(runtime: Any) -> Iterator[None]:
    """Provide the tools that run in this block with the `ToolRuntime` of an agent, with the agent's state."""
    token = _GIVEN.set(runtime)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def state() -> Any:
    """The state of the surrounding graph, as LangGraph's own tool node passes it.

    Raises:
        LookupError: There is no graph around it.
    """
    given = _GIVEN.get()
    if given is not None:
        return given.state
    configurable = _config().get("configurable", {})
    if (read_state := configurable.get(_READ_STATE)) is not None and isinstance(found := read_state(), dict) and found:
        return found
    read = configurable.get(_READ)
    if read is None:
        raise LookupError
    channels = [name for name in read.args[1] if not name.startswith(("__", "branch:"))]
    return read(channels, True)


def store() -> Any:
    """The store that the graph was compiled with.

    Raises:
        LookupError: There is none.
    """
    given = _GIVEN.get()
    found = given.store if given is not None else _runtime().store
    if found is None:
        raise LookupError
    return found


def tool_runtime(call_id: str) -> Any:
    """A `ToolRuntime` for one call.

    Raises:
        LookupError: There is no graph around it.
    """
    given = _GIVEN.get()
    if given is not None:
        return dataclasses.replace(given, tool_call_id=call_id)
    from langgraph.prebuilt import ToolRuntime  # noqa: PLC0415 -- heavy, and not everybody's

    runtime = _runtime()
    known = {field.name for field in dataclasses.fields(ToolRuntime)}
    shared = {name: getattr(runtime, name) for name in known if hasattr(runtime, name)}
    return ToolRuntime(**{**shared, "state": state(), "config": _config(), "tool_call_id": call_id})


def _config() -> Any:
    from langgraph.config import get_config  # noqa: PLC0415 -- see above

    try:
        return get_config()
    except RuntimeError:
        raise LookupError from None


def _runtime() -> Any:
    found = _config().get("configurable", {}).get("__pregel_runtime")
    if found is None:
        raise LookupError
    return found
