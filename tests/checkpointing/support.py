"""What tests of the checkpointer share: places, puts, and a small conversation."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph

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
