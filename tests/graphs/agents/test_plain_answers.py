"""An existing agent's conversation, byte for byte the same for its model where a workflow stands in it and nothing is gated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, ToolException, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import JsonValue, SecretStr

from interlock import Principal, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.langchain import contract_from_tool
from tests.support.anthropic_provider import anthropic_provider
from tests.support.provider import KEY, Provider
from tests.tools.langchain.langchain_tools import DIFFERING, RUNS

ANN, BOB = Principal("ann"), Principal("bob")


@tool
def failing(q: str) -> str:
    """Say no."""
    raise ToolException(f"no {q}")


failing.handle_tool_error = True


@command("shop.close", effect="transactional")
def close() -> str:
    """Close the shop."""
    return "closed"


@tool(response_format="content_and_artifact")
def picture(q: str) -> tuple[Any, Any]:
    """Give a picture."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    return [{"type": "text", "text": q}, image], {"kept": "here"}


# Not those that OpenAI takes no schema of, that no checkpointer keeps, or that end the agent's loop.
KINDS: dict[str, tuple[BaseTool, dict[str, Any]]] = {
    one.name: (one, arguments)
    for one, arguments in [*RUNS, (failing, {"q": "a"}), (picture, {"q": "a"})]
    if one.name not in {"typed", "an_image", "direct"}
}


def script() -> list[Any]:
    """Every tool once, the first three in one message, and again at the end."""
    made = [
        call(name, **arguments).with_id(f"toolu_{number}")
        for number, (name, (_, arguments)) in enumerate(KINDS.items())
    ]
    return [made[:3], *made[3:], call("plain", q="again").with_id("toolu_again"), "All done."]


def gated(**options: Any) -> Any:
    """A workflow of the same tools, reads and commands by turns, in which everything is allowed."""
    contracts = [
        contract_from_tool(one, kind="command" if number > 3 and number % 2 else "read", name=f"shop.tool{number}")
        for number, (one, _) in enumerate(KINDS.values())
    ]
    workflow = Workflow("shop")
    workflow.add_state("open", tools=contracts)
    workflow.add_state("end", final=True)
    workflow.add_edge("open", close, "end", guard=lambda _: False)
    return workflow.as_middleware(workflow_store=WorkflowStore.in_memory(), answers="plain", **options)


@contextmanager
def openai(answers: list[Any]) -> Iterator[tuple[Any, Any]]:
    with Provider(answers) as provider:
        yield (
            provider,
            ChatOpenAI(model="gpt-4.1", base_url=provider.base_url, api_key=SecretStr(KEY), max_retries=0),
        )


@contextmanager
def anthropic(answers: list[Any]) -> Iterator[tuple[Any, Any]]:
    with anthropic_provider(answers) as provider:
        yield (
            provider,
            ChatAnthropic(  # type: ignore[call-arg]
                model="claude-sonnet-5", base_url=provider.base_url, api_key=SecretStr(KEY), max_retries=0
            ),
        )


PROVIDERS = pytest.mark.parametrize("at", [openai, anthropic])


def sent(at: Any, middleware: list[Any], how: str) -> list[dict[str, Any]]:
    with at(script()) as (provider, model):
        agent: Any = create_agent(
            model,
            [one for one, _ in KINDS.values()],
            middleware=middleware,
            checkpointer=InMemorySaver(),
            context_schema=Principal,
            system_prompt="Be kind.",
        )
        config: Any = {"configurable": {"thread_id": "1"}}
        given: Any = {"messages": [HumanMessage("go")]}
        agent.invoke(given, config, context=ANN)
        assert provider.refused == []
        return list(provider.accepted)


@PROVIDERS
def test_an_agent_of_many_kinds_of_tools_tells_its_model_the_same_with_and_without_the_workflow(at: Any) -> None:
    assert len(KINDS) >= 12
    without, within = sent(at, [], "invoke"), sent(at, [gated()], "invoke")

    assert [json.dumps(body["messages"]) for body in within] == [json.dumps(body["messages"]) for body in without]
    assert all(one.keys() == other.keys() for one, other in zip(without, within, strict=True))


@PROVIDERS
def test_the_tools_are_offered_as_langchain_offers_them_but_for_what_it_loses(at: Any) -> None:
    def offered(body: dict[str, Any]) -> dict[str, Any]:
        tools = [one.get("function", one) for one in body["tools"]]
        return {one["name"]: one for one in tools if one["name"] not in DIFFERING}

    without, within = offered(sent(at, [], "invoke")[0]), offered(sent(at, [gated()], "invoke")[0])

    assert within.keys() == without.keys()
    for name, one in without.items():
        assert within[name]["description"] == one["description"]


# What is plain, and what is told whole


@read("look", answers="plain")
def look(sku: str) -> JsonValue:
    """Look."""
    found: dict[str, JsonValue] = {"text": sku, "list": [sku], "dict": {"ü": sku}, "none": None}
    return found[sku]


@command("stay", effect="transactional")
def stay() -> str:
    """Stay where we are."""
    return "stayed"


def shop(**options: Any) -> Workflow:
    workflow = Workflow("shop", **options)
    workflow.add_state("open", tools=[look, stay])
    workflow.add_state("end", final=True)
    workflow.add_edge("open", close, "end", approval=True)
    return workflow


def told(output: Any) -> list[Any]:
    return [message.content for message in output["messages"] if message.type == "tool"]


@pytest.mark.parametrize("answers", ["envelope", "plain"])
def test_a_graph_tells_outputs_plainly_where_it_is_asked_to_and_denials_and_moves_whole(answers: str) -> None:
    looks = [call("look", sku=sku) for sku in ("text", "list", "dict", "none")]
    model = ScriptedChatModel([looks, call("stay"), call("nowhere"), call("shop.close")])
    graph = shop(model=model, answers=answers).compile()
    config: Any = {"configurable": {"thread_id": "1"}}

    graph.invoke({"messages": [("user", "go")]}, config, context=ANN)
    output = graph.invoke(Command(resume="approve"), config, context=BOB)

    contents = told(output)
    assert contents[:4] == ["text", '["list"]', '{"ü": "dict"}', "null"], "the contract's own word counts in both"
    staying = contents[4] if answers == "plain" else json.loads(contents[4])["output"]
    assert staying == "stayed"
    assert json.loads(contents[5])["error"]["code"] == "unknown_tool"
    assert json.loads(contents[6])["currentState"] == "end"


def test_a_dict_and_a_list_of_a_langchain_tool_are_encoded_once_in_the_whole_result() -> None:
    names = ["a_dict", "a_list", "a_number", "plain"]
    contracts = [contract_from_tool(KINDS[name][0], kind="read") for name in names]
    model = ScriptedChatModel([[call(name, **KINDS[name][1]) for name in names]], forever="done")
    workflow = Workflow("shop", model=model)
    workflow.add_state("open", tools=contracts)
    workflow.add_state("end", final=True)
    workflow.add_edge("open", close, "end")

    output = workflow.compile().invoke(
        {"messages": [("user", "go")]}, {"configurable": {"thread_id": "1"}}, context=ANN
    )

    outputs = [json.loads(content)["output"] for content in told(output)]
    assert outputs == [{"q": "a", "ü": [1, 2.5, None]}, [{"q": "a"}], "1.5", "a 3 None"]


def test_answers_are_one_of_two_words() -> None:
    for make in (lambda: Workflow("x", answers="short"), lambda: read("a.b", answers="short")(stay.function)):
        with pytest.raises(Exception, match="answers='short'; give 'envelope' or 'plain'"):
            make()
