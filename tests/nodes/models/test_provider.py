"""A provider's protocol, with the real client package: what the stand-in refuses, the provider refuses as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import openai
import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from interlock.testing import Call, ScriptedChatModel, call
from tests.support.provider import KEY, Provider


def client(provider: Provider) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4.1", base_url=provider.base_url, api_key=SecretStr(KEY), max_retries=0)


def definition(name: str, **parameters: Any) -> dict[str, Any]:
    schema = parameters or {"type": "object", "properties": {"caseId": {"type": "string"}}, "required": ["caseId"]}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": schema}}


Model: TypeAlias = Runnable[LanguageModelInput, Any]


def invoke(model: Model, messages: Any) -> AIMessage:
    answer = model.invoke(messages)
    assert isinstance(answer, AIMessage)
    return answer


def ainvoke(model: Model, messages: Any) -> AIMessage:
    answer = asyncio.run(model.ainvoke(messages))
    assert isinstance(answer, AIMessage)
    return answer


def stream(model: Model, messages: Any) -> AIMessage:
    total: AIMessageChunk | None = None
    for chunk in model.stream(messages):
        total = chunk if total is None else total + chunk
    assert total is not None
    return total


every_way = pytest.mark.parametrize("ask", [invoke, ainvoke, stream])
Ask: TypeAlias = Callable[[Model, Any], AIMessage]


@every_way
def test_a_tool_name_with_dots_is_refused(ask: Ask) -> None:
    with Provider(["never said"]) as provider:
        model = client(provider).bind_tools([definition("case.assign")])

        with pytest.raises(
            openai.BadRequestError, match=r"tools\[0\].function.name.*does not match pattern"
        ) as refusal:
            ask(model, "Case 77 goes to billing")

        assert refusal.value.status_code == 400
        assert refusal.value.param == "tools[0].function.name"
        assert provider.left == 1


@every_way
def test_its_wire_name_is_accepted_and_called(ask: Ask) -> None:
    with Provider([call("case.assign", caseId="77").with_id("call_1")]) as provider:
        answer = ask(client(provider).bind_tools([definition("case_assign")]), "Case 77 goes to billing")

        assert [(made["name"], made["args"], made["id"]) for made in answer.tool_calls] == [
            ("case_assign", {"caseId": "77"}, "call_1")
        ]
        assert provider.offered == [["case_assign"]]


@every_way
def test_several_calls_and_texts_come_through(ask: Ask) -> None:
    with Provider([[call("a", x="ö" * 20), call("b", y=[1, 2])], "That is all."]) as provider:
        model = client(provider)

        proposals, text = ask(model, "go"), ask(model, "go")

        assert [made["args"] for made in proposals.tool_calls] == [{"x": "ö" * 20}, {"y": [1, 2]}]
        assert text.text == "That is all."


def test_arguments_that_are_not_json_reach_the_client_as_an_invalid_call() -> None:
    with Provider([Call("case_assign", "{'caseId': 77}")]) as provider:
        answer = client(provider).invoke("go")

        assert answer.tool_calls == []
        assert answer.invalid_tool_calls[0]["args"] == "{'caseId': 77}"


def test_the_scripted_model_and_the_real_client_give_the_same_message_for_the_same_script() -> None:
    script: list[list[Call] | str] = [[call("a", x=1).with_id("c1"), Call("b", "{'no': 'json'}", "c2")], "done"]
    scripted = ScriptedChatModel(script)
    with Provider(script) as provider:
        real = client(provider)
        for _ in script:
            one, other = scripted.invoke("go"), real.invoke("go")

            assert one.text == other.text
            assert one.tool_calls == other.tool_calls
            assert [bad["args"] for bad in one.invalid_tool_calls] == [bad["args"] for bad in other.invalid_tool_calls]


ASKED = HumanMessage("go")
PROPOSED = AIMessage("", tool_calls=[{"name": "a", "args": {}, "id": "c1"}, {"name": "b", "args": {}, "id": "c2"}])
ONE, TWO = ToolMessage("1", tool_call_id="c1"), ToolMessage("2", tool_call_id="c2")
WITH_DOTS = AIMessage("", tool_calls=[{"name": "case.assign", "args": {}, "id": "c1"}])


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        pytest.param([], "empty array", id="no messages"),
        pytest.param([ASKED, PROPOSED, ONE], "did not have response messages: c2", id="one call unanswered at the end"),
        pytest.param(
            [ASKED, PROPOSED, ONE, ASKED], "did not have response messages: c2", id="unanswered before the user"
        ),
        pytest.param([ASKED, PROPOSED, AIMessage("so")], "response messages: c1, c2", id="unanswered before the model"),
        pytest.param([ASKED, ONE], "must be a response to a preceeding", id="an answer to nothing"),
        pytest.param(
            [ASKED, PROPOSED, ONE, ONE, TWO], "must be a response to a preceeding", id="one call answered twice"
        ),
        pytest.param(
            [ASKED, PROPOSED, ONE, TWO, AIMessage("so"), ONE], "must be a response to a preceeding", id="a late answer"
        ),
        pytest.param([ASKED, WITH_DOTS, ONE], r"function.name.*does not match", id="dots in the history"),
        pytest.param(
            [ASKED, AIMessage("", tool_calls=[{"name": "a", "args": {}, "id": "c" * 41}])],
            "maximum length 40",
            id="an id that is too long",
        ),
        pytest.param(
            [ASKED, AIMessage("", tool_calls=[{"name": "a", "args": {}, "id": "c1"}] * 2)],
            "Duplicate",
            id="one id twice",
        ),
    ],
)
def test_a_conversation_that_breaks_the_protocol_is_refused(messages: list[BaseMessage], problem: str) -> None:
    with Provider(["never said"]) as provider:
        with pytest.raises(openai.BadRequestError, match=problem):
            client(provider).invoke(messages)

        assert len(provider.refused) == 1
        assert provider.left == 1


def test_a_conversation_that_keeps_the_protocol_is_answered() -> None:
    with Provider(["fine"]) as provider:
        answer = client(provider).invoke([ASKED, PROPOSED, TWO, ONE, AIMessage("so"), HumanMessage("thanks")])

        assert answer.text == "fine"
        assert provider.refused == []


@pytest.mark.parametrize(
    ("tool", "problem"),
    [
        pytest.param(definition("x" * 65), "maximum length 64", id="a name that is too long"),
        pytest.param(definition("case assign"), "does not match pattern", id="a name with a space"),
        pytest.param(definition("a", type="string"), "must be a JSON Schema of", id="parameters that are no object"),
        pytest.param(
            definition("a", type="object", properties={"x": {"type": "text"}}), "Invalid schema", id="no schema"
        ),
        pytest.param(
            definition("a", type="object", properties={"x": {"anyOf": [{"type": "array"}, {"type": "null"}]}}),
            "array schema missing items",
            id="an array of nothing",
        ),
    ],
)
def test_a_tool_definition_that_breaks_the_protocol_is_refused(tool: dict[str, Any], problem: str) -> None:
    with Provider() as provider, pytest.raises(openai.BadRequestError, match=problem):
        client(provider).bind_tools([tool]).invoke("go")


def test_a_wrong_key_is_refused() -> None:
    with Provider() as provider, pytest.raises(openai.AuthenticationError):
        ChatOpenAI(model="gpt-4.1", base_url=provider.base_url, api_key=SecretStr("another"), max_retries=0).invoke(
            "go"
        )


def test_a_model_named_by_a_string_finds_the_stand_in_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with Provider(["hello"]) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)

        assert init_chat_model("openai:gpt-4.1").invoke("hi").text == "hello"


def test_an_agent_of_langchain_runs_on_the_stand_in() -> None:
    @tool
    def order_get(order_id: str) -> str:
        """Look up one order."""
        return f"order {order_id} is on its way"

    with Provider([call("order.get", order_id="W1"), "It is on its way."]) as provider:
        end = create_agent(client(provider), [order_get]).invoke({"messages": [HumanMessage("Where is W1?")]})

        assert end["messages"][-1].text == "It is on its way."
        assert [message["role"] for message in provider.accepted[1]["messages"]] == ["user", "assistant", "tool"]
