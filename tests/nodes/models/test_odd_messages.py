"""Messages in shapes that no provider documents, and that client packages and proxies make all the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from interlock import Principal, Workflow, WorkflowStore, command, read
from tests.graphs.agents.test_middleware_messages import Says
from tests.support.sent import check_sent

ANN = Principal("ann")
A, B = {"sku": "A"}, {"sku": "BB"}


@read("stock.get")
def stock(sku: str) -> str:
    """Look up the stock."""
    return f"stock of {sku}"


@command("shop.close", effect="transactional")
def close() -> str:
    """Close."""
    return "closed"


def shop(model: Any = None) -> Workflow:
    made = Workflow("shop", model=model)
    made.add_state("open", tools=[stock])
    made.add_state("closed", final=True)
    made.add_edge("open", close, "closed")
    return made


def graph(model: Any) -> Any:
    return shop(model).compile()


def agent(model: Any) -> Any:
    middleware: Any = shop().as_middleware(workflow_store=WorkflowStore.in_memory())
    return create_agent(model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal)


def inside(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parent(model: Any) -> Any:
        builder = StateGraph(MessagesState, context_schema=Principal)
        builder.add_node("desk", make(model))
        builder.add_edge(START, "desk")
        return builder.compile(InMemorySaver())

    return parent


WHERE = pytest.mark.parametrize(
    ("make", "is_async"),
    [(graph, False), (agent, False), (inside(graph), True), (inside(agent), True)],
    ids=["graph", "agent", "in a graph", "agent in a graph"],
)


def one(call_id: Any, arguments: Any, **more: Any) -> Any:
    return {"name": "stock_get", "args": arguments, "id": call_id, "type": "tool_call", **more}


def block(kind: str, call_id: Any, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": call_id, "name": "stock_get", "input": arguments, **more}


def said(*calls: Any, content: Any = "", **more: Any) -> AIMessage:
    """A message that nobody checked, as `model_copy` makes it."""
    return AIMessage(content, **more).model_copy(update={"tool_calls": [*calls]})


def without(key: str) -> Any:
    return {name: value for name, value in one("c", A).items() if name != key}


def response(call_id: str, arguments: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "stock_get", "arguments": json.dumps(arguments)}


def chunk(call_id: Any, arguments: Any, index: int) -> Any:
    text = json.dumps(arguments)
    return {"name": "stock_get", "args": text, "id": call_id, "index": index, "type": "tool_call_chunk"}


BAD: Any = {"name": None, "args": None, "id": "c", "error": None, "type": "invalid_tool_call"}
BOTH = ["stock of A", "stock of BB"]
ODD: dict[str, tuple[AIMessage, list[str]]] = {
    "the Responses API's, one id twice": (
        said(one("c", A), one("c", B), content=[response("c", A), response("c", B)]), BOTH),
    "a block without an id": (
        said(one(None, A), content=[{"type": "text", "text": "hm"}, block("tool_call", None, A)]), BOTH[:1]),
    "a call that has no block": (said(one("x", A), one("y", B), content=[block("tool_use", "x", A)]), BOTH),
    "a thought before it": (
        said(one("c", A), content=[{"type": "thinking", "thinking": "t", "signature": "s"}, block("tool_use", "c", A)]),
        BOTH[:1]),
    "long ids": (said(one("x" * 500, A), one("x" * 500, B)), BOTH),
    "ids with spaces": (said(one(" a b", A), one("a b ", B)), BOTH),
    "ids of several lines": (said(one("a\nb", A), one("a\nb", B)), BOTH),
    "ids of other alphabets": (said(one("é", A), one("\N{GRINNING FACE}", B)), BOTH),
    "halves of characters": (said(one("a\ud83d", A), one("a\ud83d", B)), BOTH),
    "a number": (said(one(7, A), one(7, B)), BOTH),
    "the word None beside none": (said(one("None", A), one(None, B)), BOTH),
    "chunks without ids": (AIMessageChunk("", tool_call_chunks=[chunk("", A, 0), chunk("", B, 1)]), BOTH),
    "nothing known of an invalid call": (said(one("c", A), invalid_tool_calls=[BAD, BAD]), [BOTH[0], "unknown_tool", "unknown_tool"]),
    "a signature under no id": (said(one("", A), additional_kwargs={"function_call": {"name": "stock_get"}}), BOTH[:1]),
    "no type": (said(without("type")), BOTH[:1]),
    "no id": (said(without("id")), BOTH[:1]),
    "no arguments": (said(without("args")), ["invalid_arguments"]),
    "no name": (said(without("name")), ["unknown_tool"]),
    "an empty name": (said(one("c", A, name="")), ["unknown_tool"]),
    "no call": (said(None, one("c", A)), [BOTH[0], "unknown_tool"]),
    "text for a call": (said("stock_get", one("c", A)), [BOTH[0], "unknown_tool"]),
}  # fmt: skip


def outcome(message: Any) -> str:
    answer = json.loads(message.text)
    return str(answer["output"] if answer["ok"] else answer["error"]["code"])


def run(made: Any, given: Any, config: Any, *, is_async: bool) -> Any:
    if is_async:
        return asyncio.run(made.ainvoke(given, config, context=ANN))
    return made.invoke(given, config, context=ANN)


@WHERE
def test_each_call_is_answered_and_providers_take_what_is_sent(make: Any, is_async: bool) -> None:
    for name, (message, expected) in ODD.items():
        model = Says(message, message)  # and then that it is done; it checks what it is sent by the providers' rules
        made, config = make(model), {"configurable": {"thread_id": name}}
        for text in ("first", "second"):
            given = {"messages": [("user", text)]}
            out = run(made, given, config, is_async=is_async)

        check_sent(out["messages"])  # by a parent graph's own model, for one
        told = [outcome(answer) for answer in out["messages"] if answer.type == "tool"]
        assert told[: len(expected)] == expected, name
        assert len(model.seen) >= 3, name
