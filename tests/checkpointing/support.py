"""What tests of the checkpointer share: places, puts, and a small conversation."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph

from interlock.checkpointing import SQLCheckpointer
from interlock.tools.errors import ConflictError

SECRET = "only-for-your-eyes-7712"


def config(thread_id: Any = "t", checkpoint_id: str | None = None, **more: Any) -> Any:
    place = {"thread_id": thread_id, "checkpoint_ns": "", **more}
    return {"configurable": place if checkpoint_id is None else {**place, "checkpoint_id": checkpoint_id}}


def put(saver: Any, at: Any, values: dict[str, Any] | None = None, source: str = "loop", **metadata: Any) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["id"] = str(uuid6())
    checkpoint["channel_values"] = values or {}
    checkpoint["channel_versions"] = {name: saver.get_next_version(None, None) for name in values or {}}
    return saver.put(
        at,
        checkpoint,
        {"source": source, "step": -1 if source == "input" else 1, "parents": {}, **metadata},
        checkpoint["channel_versions"],
    )


def chat(saver: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [AIMessage(f"{SECRET} answer {len(state['messages'])}")]})
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


def say(graph: Any, text: str = "question", thread_id: str = "t") -> Any:
    return graph.invoke({"messages": [("user", f"{SECRET} {text}")]}, config(thread_id))


def texts(graph: Any, thread_id: str = "t") -> list[str]:
    return [message.text for message in graph.get_state(config(thread_id)).values["messages"]]


def take_turns(url: str, name: str, threads: int, turns: int, errors: str) -> None:
    """Have turns on each of these threads, in a process of its own, again where another was faster; keep what it complains of."""
    with pathlib.Path(errors).open("wb") as kept:
        os.dup2(kept.fileno(), sys.stderr.fileno())
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda _: {"messages": [AIMessage(f"answer of {name}")]})
    graph.add_edge(START, "answer")
    with SQLCheckpointer(url) as saver:
        compiled = graph.compile(checkpointer=saver)
        for turn in range(turns):
            for thread in range(threads):
                while True:
                    with contextlib.suppress(ConflictError):
                        compiled.invoke({"messages": [("user", f"{name}.{turn}")]}, config(str(thread)))
                        break
