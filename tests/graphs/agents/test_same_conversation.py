"""An existing agent of tools of many kinds has the same conversation with and without the middleware, where nothing is gated."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver

from interlock import Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.langchain import contract_from_tool
from tests.tools.langchain.langchain_tools import RUNS

CALLS: list[tuple[BaseTool, dict[str, Any]]] = [*{made.name: (made, arguments) for made, arguments in RUNS}.values()]
"""One call of each tool. That it ends when a tool has answered (`return_direct`) is an agent's matter, and not followed."""
CALLS = [(made, arguments) for made, arguments in CALLS if not made.return_direct]


def script() -> list[Any]:
    """The calls one by one, with the ids that a provider gives."""
    return [
        *(call(made.name, arguments).with_id(f"call_{number}") for number, (made, arguments) in enumerate(CALLS)),
        "Done.",
    ]


def sent(model: ScriptedChatModel) -> list[list[str]]:
    """All that the model was sent, each time that it was asked, as text."""
    return [[told(message) for message in request.messages] for request in model.requests]


def told(message: BaseMessage) -> str:
    parts = {"type", "content", "name", "tool_call_id", "status", "tool_calls"}
    kept = message.model_dump(mode="json", include=parts)
    return json.dumps(kept, ensure_ascii=False)


def run(model: ScriptedChatModel, tools: list[BaseTool], middleware: list[Any], *, is_async: bool) -> None:
    # Without one where it is plain: one of the tools leaves an artifact that no saver writes, and there that ends the run.
    saver = InMemorySaver() if middleware else None
    agent = create_agent(model, tools, middleware=middleware, checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "t-1"}, "recursion_limit": 200}
    given: Any = {"messages": [("user", "go")]}
    if is_async:
        asyncio.run(agent.ainvoke(given, config))
    else:
        agent.invoke(given, config)


@command("w.end", effect="transactional")
def end() -> str:
    """End."""
    return "ended"


def everything() -> Any:
    """All tools as reads of one state: nothing is gated."""
    workflow = Workflow("everything")
    contracts = [contract_from_tool(made, kind="read", answers="plain") for made, _ in CALLS]
    workflow.add_state("open", tools=contracts)
    workflow.add_state("closed", final=True)
    workflow.add_edge("open", end, "closed", guard=lambda view: False)  # a way out there must be; it is not offered
    return workflow.as_middleware(workflow_store=WorkflowStore.in_memory())


@pytest.mark.parametrize("is_async", [False, True], ids=["invoke", "ainvoke"])
def test_the_request_to_the_model_is_the_same_byte_for_byte(is_async: bool) -> None:
    assert len(CALLS) >= 12
    plainly, with_ours = ScriptedChatModel(script()), ScriptedChatModel(script())

    run(plainly, [made for made, _ in CALLS], [], is_async=is_async)
    run(with_ours, [], [everything()], is_async=is_async)

    assert len(plainly.requests) == len(CALLS) + 1
    assert sent(with_ours) == sent(plainly)
    assert with_ours.offered == plainly.offered
