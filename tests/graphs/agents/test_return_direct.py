"""What a LangChain tool with `return_direct` answers ends the turn, as it does in a plain agent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from interlock import Principal, Workflow, WorkflowStore, command
from interlock.testing import ScriptedChatModel, call
from interlock.tools.langchain import contract_from_tool

CONFIG: Any = {"configurable": {"thread_id": "t-1"}}
ANN = Principal("ann")
SAID: Any = {"messages": [("user", "go")]}


@tool(return_direct=True)
def report(day: str) -> str:
    """Give the report of a day."""
    if day == "never":
        raise ToolException("there is no such day")
    return f"The report of {day}."


@tool
def count(what: str) -> str:
    """Count something."""
    return f"3 {what}"


@command("w.end", effect="transactional")
def end() -> str:
    """End."""
    return "ended"


def workflow(model: Any, *, moves: bool = False, asks: bool = False) -> Workflow:
    made = Workflow("desk", model=model, answers="plain")
    contracts = [contract_from_tool(count, kind="read")]
    made.add_state("open", tools=[*contracts, *([] if moves else [contract_from_tool(report, kind="read")])])
    made.add_state("next", tools=contracts)
    made.add_state("closed", final=True)
    if moves:
        made.add_edge("open", contract_from_tool(report), "next", approval=True if asks else None)
    made.add_edge("open", end, "next")
    made.add_edge("next", end, "closed")
    return made


def graph(model: Any, **how: Any) -> Any:
    return workflow(model, **how).compile(destructive_in_memory=True)


def told(messages: list[Any]) -> list[tuple[str, str]]:
    return [(message.type, str(message.text)) for message in messages]


DIRECTLY = [("human", "go"), ("ai", ""), ("tool", "The report of today.")]


def by_invoke(made: Any) -> Any:
    return made.invoke(SAID, CONFIG, context=ANN)["messages"]


def by_ainvoke(made: Any) -> Any:
    return asyncio.run(made.ainvoke(SAID, CONFIG, context=ANN))["messages"]


def by_stream(made: Any) -> Any:
    return [*made.stream(SAID, CONFIG, context=ANN, stream_mode="values")][-1]["messages"]


def inside(made: Any) -> Any:
    builder = StateGraph(MessagesState, context_schema=Principal)
    builder.add_node("desk", made)
    builder.add_edge(START, "desk")
    return by_invoke(builder.compile(InMemorySaver()))


@pytest.mark.parametrize("run", [by_invoke, by_ainvoke, by_stream, inside])
@pytest.mark.parametrize("moves", [False, True])
def test_the_answer_of_a_return_direct_tool_ends_the_turn(run: Any, moves: bool) -> None:
    model = ScriptedChatModel([call("report", day="today")])

    messages = run(graph(model, moves=moves))

    assert [kind for kind, _ in told(messages)] == ["human", "ai", "tool"]
    assert "The report of today." in messages[-1].text
    assert len(model.requests) == 1


def test_the_turn_after_a_return_direct_tool_calls_the_model() -> None:
    model = ScriptedChatModel([call("report", day="today"), "You are welcome."])
    made = graph(model)
    by_invoke(made)

    messages = by_invoke(made)

    assert told(messages) == [*DIRECTLY, ("human", "go"), ("ai", "You are welcome.")]


def test_an_approved_return_direct_tool_ends_the_turn() -> None:
    model = ScriptedChatModel([call("report", day="today")])
    made = graph(model, moves=True, asks=True)
    by_invoke(made)

    done = made.invoke(Command(resume="approve"), CONFIG, context=Principal("bob"))

    assert done["state"] == "next"
    assert done["messages"][-1].type == "tool"


@pytest.mark.parametrize(
    "said",
    [
        call("report", day="never"),
        call("report", day=7),
        [call("report", day="today"), call("count", what="shoes")],
    ],
    ids=["its own no", "a denial", "beside another one"],
)
def test_the_model_is_asked_again_where_something_is_left_to_say(said: Any) -> None:
    model = ScriptedChatModel([said, "That is how it is."])

    assert by_invoke(graph(model))[-1].text == "That is how it is."


@pytest.mark.parametrize("run", [by_invoke, by_ainvoke, by_stream])
@pytest.mark.parametrize(
    "said",
    [call("report", day="today"), call("report", day="never"), [call("report", day="today"), call("count", what="s")]],
    ids=["alone", "an error", "beside another one"],
)
def test_an_agent_ends_with_the_middleware_where_it_ends_without(run: Any, said: Any) -> None:
    handled = report.model_copy(update={"handle_tool_error": True})
    found = []
    for is_ours in (False, True):
        model = ScriptedChatModel([said], forever="Done.")
        gated = workflow(None).as_middleware(workflow_store=WorkflowStore.in_memory()) if is_ours else None
        made = create_agent(
            model,
            [] if is_ours else [count, handled],
            middleware=[gated] if gated else [],
            checkpointer=InMemorySaver(),
            context_schema=Principal,
        )
        kinds = [kind for kind, _ in told(run(made))]
        found.append((len(model.requests), kinds))

    assert found[0] == found[1]


def test_a_contract_as_a_plain_tool_keeps_it() -> None:
    assert contract_from_tool(report).as_tool().return_direct
    assert not contract_from_tool(count).as_tool().return_direct
