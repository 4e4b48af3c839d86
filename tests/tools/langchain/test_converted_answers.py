"""What converted LangChain tools answer, report and leave beside their answers; and which tools are refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.tools import (
    BaseTool,
    StructuredTool,
    ToolException,
    tool,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from interlock import SQLCheckpointer, Workflow, WorkflowStore
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import ContractError, InvalidArguments, InvalidOutput, Refused
from interlock.tools.langchain import contract_from_tool
from tests.tools.langchain.langchain_tools import (
    booking,
    by_name,
    by_name_async,
    in_a_workflow,
    plain,
)

# What tools say


@tool
def failing(q: str) -> str:
    """Fail."""
    raise ToolException("no such thing")


HANDLERS: list[tuple[Any, str]] = [
    (False, "no such thing"),
    (True, "no such thing"),
    ("in other words", "in other words"),
    (lambda error: f"handled {error}", "handled no such thing"),
]


@pytest.mark.parametrize(("handler", "said"), HANDLERS)
def test_what_a_tool_reports_as_its_error_is_its_own_no(handler: Any, said: str) -> None:
    made = failing.model_copy(update={"handle_tool_error": handler})
    contract = contract_from_tool(made)

    with pytest.raises(Refused) as caught:
        contract.call(contract.bind({"q": "a"}).parsed)
    assert caught.value.message == said


@pytest.mark.parametrize(
    ("handler", "said"),
    [("Give a number, please.", "Give a number, please."), (lambda _: "So not.", "not on a Monday")],
)
def test_what_a_tool_says_of_arguments_that_do_not_fit_is_said(handler: Any, said: str) -> None:
    made = booking.model_copy(update={"handle_validation_error": handler})

    with pytest.raises(InvalidArguments, match=said):
        contract_from_tool(made).bind({"start": 8})


class Async(BaseTool):
    name: str = "only_async"
    description: str = "It has only an asynchronous function."

    def _run(self, q: str) -> str:
        raise NotImplementedError("use it asynchronously")

    async def _arun(self, q: str) -> str:
        return f"async {q}"


def test_a_tool_that_does_its_work_asynchronously_does_so_in_an_asynchronous_run() -> None:
    for made in (Async(), StructuredTool.from_function(coroutine=by_name_async, name="only_async")):
        assert in_a_workflow(made, {"q": "a"}, is_async=True).startswith("async a")


# What is refused


def commanding() -> list[Callable[[], BaseTool]]:
    class Sending(BaseTool):
        name: str = "sending"
        description: str = "Send the graph elsewhere."

        def _run(self, q: str) -> Command[Any]:
            return Command(goto=q)

    def one(q: str) -> Command[Any]:
        """Send the graph elsewhere."""
        return Command(goto=q)

    def several(q: str) -> str | list[Command[Any] | ToolMessage]:
        """Send the graph elsewhere."""
        return [Command(goto=q)]

    async def later(q: str) -> Command[Any] | None:
        """Send the graph elsewhere."""
        return Command(goto=q)

    return [
        Sending,
        lambda: StructuredTool.from_function(one),
        lambda: StructuredTool.from_function(several),
        lambda: StructuredTool.from_function(coroutine=later),
        lambda: StructuredTool.from_function(by_name, coroutine=later),
    ]


@pytest.mark.parametrize("made", commanding())
def test_a_tool_that_says_that_it_returns_a_command_is_refused(made: Callable[[], BaseTool]) -> None:
    with pytest.raises(ContractError, match="Command"):
        contract_from_tool(made())


@pytest.mark.parametrize(
    "answer", [Command(goto="x"), [Command(goto="x"), ToolMessage("x", tool_call_id="x")]], ids=["one", "several"]
)
def test_a_tool_that_returns_a_command_without_saying_so_is_told_what_to_do(answer: Any) -> None:
    def untold(q: str):  # type: ignore[no-untyped-def]
        """Send the graph elsewhere."""
        return answer

    contract = contract_from_tool(StructuredTool.from_function(untold), kind="read")
    with pytest.raises(InvalidOutput, match="Command"):
        contract.call(contract.bind({"q": "a"}).parsed)

    workflow = Workflow("w", model=ScriptedChatModel([call("untold", q="a")], forever="done"))
    workflow.add_state("open", tools=[contract]).add_state("done", final=True).add_edge(
        "open", contract_from_tool(plain), "done"
    )
    output = workflow.compile(destructive_in_memory=True).invoke(
        {"messages": [("user", "go")]}, {"configurable": {"thread_id": "1"}}
    )
    told = json.loads(next(one.content for one in output["messages"] if isinstance(one, ToolMessage)))
    assert told["error"]["code"] == "invalid_output"
    assert "only edges do that" in told["error"]["message"]


@pytest.mark.parametrize(
    "given", [by_name, "plain", None, convert_to_openai_tool(plain)], ids=["function", "name", "none", "dict"]
)
def test_what_is_no_langchain_tool_is_refused_with_what_to_use(given: Any) -> None:
    with pytest.raises(ContractError, match="contract_from_schema"):
        contract_from_tool(given)


# Artifacts


@tool(response_format="content_and_artifact")
def reading(q: str, keepable: bool = True) -> tuple[str, Any]:
    """Read something."""
    return f"read {q}", [Document(q), {"pages": [1, 2]}] if keepable else object()


def run_reading(place: str, home: Any, **arguments: Any) -> ToolMessage:
    contract = contract_from_tool(reading, kind="command" if "command" in place else "read")
    script = [call("reading", q="a", **arguments)]
    saver: Any = home if "sql" in place else InMemorySaver()
    store = None if "sql" in place else WorkflowStore.in_memory()
    workflow = Workflow("w", model=ScriptedChatModel(script, forever="done"))
    workflow.add_state("open", tools=[] if "command" in place else [contract]).add_state("done", final=True)
    workflow.add_edge("open", contract if "command" in place else contract_from_tool(plain), "done")
    graph: Any
    if "middleware" in place:
        middleware = workflow.as_middleware(workflow_store=store or WorkflowStore.in_memory())
        graph = create_agent(ScriptedChatModel(script, forever="done"), [], middleware=[middleware], checkpointer=saver)
    else:
        graph = workflow.compile(saver, workflow_store=store, destructive_in_memory=True)
    config: Any = {"configurable": {"thread_id": "1"}}
    given = {"messages": [("user", "go")]}
    asyncio.run(graph.ainvoke(given, config)) if "async" in place else graph.invoke(given, config)
    kept = graph.get_state(config).values["messages"]
    return next(message for message in kept if isinstance(message, ToolMessage))


@pytest.mark.parametrize(
    "place",
    ["graph", "graph, async", "graph, sql", "graph, command", "middleware", "middleware, async", "middleware, sql"],
)
def test_an_artifact_stands_on_the_message_as_in_a_plain_agent(place: str, tmp_path: Any) -> None:
    saver = SQLCheckpointer(f"sqlite:///{tmp_path}/w.db")

    message = run_reading(place, saver)

    # Our own saver gives back what went in; LangGraph's give plain data.
    plainly = [one.model_dump() if isinstance(one, Document) else one for one in message.artifact]
    assert plainly == artifact_in_a_plain_agent()
    assert message.artifact[1] == {"pages": [1, 2]}
    assert "pages" not in message.content
    saver.close()


def artifact_in_a_plain_agent() -> Any:
    """As its checkpoint has it: LangGraph's savers write what is in it as plain data."""
    agent = create_agent(
        ScriptedChatModel([call("reading", q="a")], forever="done"), [reading], checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    agent.invoke({"messages": [("user", "go")]}, config)
    kept = agent.get_state(config).values["messages"]
    return next(message.artifact for message in kept if isinstance(message, ToolMessage))


@pytest.mark.parametrize("place", ["graph", "graph, sql"])
def test_an_artifact_that_no_checkpointer_can_write_is_left_out_and_the_answer_stays(place: str, tmp_path: Any) -> None:
    saver = SQLCheckpointer(f"sqlite:///{tmp_path}/w.db")

    message = run_reading(place, saver, keepable=False)

    assert message.artifact is None
    assert "read a" in message.content
    saver.close()
