"""What a tool streams from outside a graph, and the config that it finds around it."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from interlock.commands.proposals.streaming import stream_for_tools, written
from interlock.commands.running.scope import RUNTIME


def test_a_tool_that_streams_outside_a_graph_keeps_the_config_around_it() -> None:
    chunks: list[Any] = []
    token = var_child_runnable_config.set({"tags": ["nightly"], "configurable": {"region": "eu"}})
    receiver = written.set(chunks.append)
    try:
        with stream_for_tools():
            around: Any = var_child_runnable_config.get()
            around["configurable"][RUNTIME].stream_writer("half")
            assert (around["tags"], around["configurable"]["region"]) == (["nightly"], "eu")
            with stream_for_tools():
                assert var_child_runnable_config.get() is around, "a graph has its own"
        assert var_child_runnable_config.get() == {"tags": ["nightly"], "configurable": {"region": "eu"}}
    finally:
        written.reset(receiver)
        var_child_runnable_config.reset(token)
    assert chunks == ["half"]
