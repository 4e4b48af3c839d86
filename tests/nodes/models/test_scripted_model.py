"""The scripted chat model: it says what its script says, keeps what it was asked, and never goes on in silence."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_chunk_to_message,
)
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

import interlock.testing
from interlock.testing import (
    Call,
    InvalidStep,
    ScriptedChatModel,
    ScriptExhausted,
    ScriptUnfinished,
    call,
)
from interlock.tools.errors import InterlockError


@tool
def order_get(order_id: str) -> str:
    """Look up one order."""
    return f"order {order_id} is on its way"


@tool
def order_cancel(order_id: str) -> str:
    """Cancel one order."""
    return f"order {order_id} is cancelled"


def invoke(model: ScriptedChatModel) -> AIMessage:
    return model.invoke("go on")


def ainvoke(model: ScriptedChatModel) -> AIMessage:
    return asyncio.run(model.ainvoke("go on"))


def stream(model: ScriptedChatModel) -> AIMessage:
    return _sum_of(list(model.stream("go on")))


def astream(model: ScriptedChatModel) -> AIMessage:
    async def gather() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream("go on")]

    return _sum_of(asyncio.run(gather()))


def _sum_of(chunks: list[AIMessageChunk]) -> AIMessage:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    message = message_chunk_to_message(total)
    assert isinstance(message, AIMessage)
    return message


every_way = pytest.mark.parametrize("ask", [invoke, ainvoke, stream, astream])
Ask = Callable[[ScriptedChatModel], AIMessage]


@every_way
def test_steps_are_answered_in_their_order(ask: Ask) -> None:
    model = ScriptedChatModel(["one", AIMessage("two"), call("case.assign", caseId="77")])

    answers = [ask(model), ask(model), ask(model)]

    assert [answer.text for answer in answers] == ["one", "two", ""]
    assert [(made["name"], made["args"]) for made in answers[2].tool_calls] == [("case_assign", {"caseId": "77"})]


@every_way
def test_a_list_proposes_several_calls_in_one_message(ask: Ask) -> None:
    model = ScriptedChatModel(
        [["Let me see.", call("order.get", orderId="W1, and W2"), call("order.get", lines=[{"a": 1}], reason=None)]]
    )

    answer = ask(model)

    assert answer.text == "Let me see."
    assert [made["args"] for made in answer.tool_calls] == [
        {"orderId": "W1, and W2"},
        {"lines": [{"a": 1}], "reason": None},
    ]


@every_way
def test_a_function_decides_from_the_conversation_and_the_offer(ask: Ask) -> None:
    def decide(messages: list[BaseMessage], offered: list[str]) -> str:
        return f"{messages[-1].text}, with {offered}"

    assert ask(ScriptedChatModel([decide])).text == "go on, with []"


@every_way
def test_an_exception_in_the_script_is_raised_as_the_providers_failure(ask: Ask) -> None:
    model = ScriptedChatModel([TimeoutError("the provider is slow today"), "now it works"])

    with pytest.raises(TimeoutError, match="slow today"):
        ask(model)
    assert ask(model).text == "now it works"


@every_way
def test_running_out_fails_and_says_what_was_asked_last(ask: Ask) -> None:
    model = ScriptedChatModel(["only this"])
    ask(model)

    with pytest.raises(
        ScriptExhausted, match=r"script is used up .*1 step.* human 'go on'.*on offer were \[\]"
    ) as failure:
        ask(model)

    assert isinstance(failure.value, InterlockError)
    assert isinstance(failure.value, AssertionError)
    assert len(model.seen) == 2, "the question without an answer is on record too"


@every_way
def test_a_forever_step_goes_on_after_the_others(ask: Ask) -> None:
    model = ScriptedChatModel(["first"], forever=call("order.cancel", orderId="W1"))

    answers = [ask(model) for _ in range(4)]

    assert [bool(answer.tool_calls) for answer in answers] == [False, True, True, True]
    assert len({answer.tool_calls[0]["id"] for answer in answers[1:]}) == 3
    model.assert_exhausted()


def test_steps_left_over_are_told_apart_from_a_script_that_was_used_up() -> None:
    model = ScriptedChatModel(["one", call("case.close")])
    model.invoke("hello")

    with pytest.raises(ScriptUnfinished, match=r"1 of the script's 2 steps .* call\('case_close'\)"):
        model.assert_exhausted()

    model.invoke("and now")
    model.assert_exhausted()


@every_way
def test_ids_of_calls_are_unique_across_calls_and_models(ask: Ask) -> None:
    models = [ScriptedChatModel([[call("a"), call("b")], call("a")]) for _ in range(2)]

    ids = [made["id"] for model in models for _ in range(2) for made in ask(model).tool_calls]

    assert len(ids) == 6
    assert len(set(ids)) == 6


@every_way
@pytest.mark.parametrize("ids", [("", ""), ("same", "same"), ("", "same")])
def test_hostile_ids_are_sent_as_they_are(ask: Ask, ids: tuple[str, str]) -> None:
    model = ScriptedChatModel([[call("order.get", orderId="1").with_id(ids[0]), call("b", c=2).with_id(ids[1])]])

    made = ask(model).tool_calls

    assert tuple(one["id"] for one in made) == ids
    assert [one["args"] for one in made] == [{"orderId": "1"}, {"c": 2}]


def test_the_way_ids_are_minted_can_be_set() -> None:
    numbers = count(1)
    model = ScriptedChatModel([[call("a"), call("b")]], ids=lambda: f"id-{next(numbers)}")

    assert [made["id"] for made in model.invoke("go").tool_calls] == ["id-1", "id-2"]


@every_way
def test_a_call_written_out_is_sent_with_its_dots(ask: Ask) -> None:
    model = ScriptedChatModel([Call("case.assign", {"case_id": "77"})])

    assert ask(model).tool_calls[0]["name"] == "case.assign"


@pytest.mark.parametrize("text", ["{'single': 1}", "[1, 2]", "nonsense", '"text"'])
@every_way
def test_arguments_that_are_no_json_object_arrive_as_an_invalid_tool_call(ask: Ask, text: str) -> None:
    answer = ask(ScriptedChatModel([call("case.assign", text).with_id("c1")]))

    assert answer.tool_calls == []
    assert [(bad["name"], bad["args"], bad["id"]) for bad in answer.invalid_tool_calls] == [("case_assign", text, "c1")]


def test_arguments_that_break_off_are_mended_by_langchain_when_they_are_streamed_and_only_then() -> None:
    broken_off = ScriptedChatModel(forever=call("case.assign", '{"caseId": "7'))

    assert invoke(broken_off).tool_calls == []
    assert stream(broken_off).tool_calls[0]["args"] == {"caseId": "7"}


@every_way
def test_raw_text_that_is_a_json_object_is_an_ordinary_call(ask: Ask) -> None:
    answer = ask(ScriptedChatModel([call("case.assign", '{"caseId": 77}')]))

    assert answer.tool_calls[0]["args"] == {"caseId": 77}
    assert answer.invalid_tool_calls == []


def test_raw_text_and_keywords_do_not_mix() -> None:
    with pytest.raises(TypeError, match="one or the other"):
        call("case.assign", "{}", caseId="77")


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (None, "None is not a step"),
        (7, "7 is not a step"),
        ([], "An empty list is not a step"),
        ([call("a"), 7], "7 is not a step"),
        (HumanMessage("hi"), "is not a step"),
        (call("order.refund", amount=Decimal("1.50")), r"call\('order_refund'\) cannot travel as JSON .*Decimal"),
    ],
)
def test_a_step_that_no_model_could_take_is_refused_when_the_script_is_written(step: Any, problem: str) -> None:
    with pytest.raises(InvalidStep, match=problem):
        ScriptedChatModel(["fine", step])
    with pytest.raises(InvalidStep, match=problem):
        ScriptedChatModel([lambda messages, offered: step]).invoke("go")


def test_the_models_that_tools_were_bound_to_share_the_script_and_the_record() -> None:
    model = ScriptedChatModel(["one", "two", "three"])
    looking, acting = model.bind_tools([order_get]), model.bind_tools([order_get, order_cancel], tool_choice="any")

    answers = [looking.invoke("a"), acting.invoke("b"), model.invoke("c")]

    assert [answer.text for answer in answers] == ["one", "two", "three"]
    assert model.offered == [["order_get"], ["order_get", "order_cancel"], []]
    assert [sent[0].text for sent in model.seen] == ["a", "b", "c"]
    assert [request.options for request in model.requests] == [{}, {"tool_choice": "any"}, {}]
    assert model.requests[0].tools[0]["function"]["parameters"]["required"] == ["order_id"]


def test_every_form_of_a_tool_is_offered_under_its_name() -> None:
    class Refund(BaseModel):
        """Refund an order."""

        amount: str

    def plain(x: int) -> int:
        """Add nothing."""
        return x

    definition = {"type": "function", "function": {"name": "case_assign", "description": "…", "parameters": {}}}
    model = ScriptedChatModel(["done"])

    model.bind_tools([definition, Refund, plain, order_get, {"type": "web_search"}]).invoke("go")

    assert model.offered == [["case_assign", "Refund", "plain", "order_get", "web_search"]]


def test_what_it_was_sent_is_on_record_whole() -> None:
    model = ScriptedChatModel(["fine"])
    conversation = [SystemMessage("You are brief."), HumanMessage("hello")]

    model.invoke(conversation, stop=["\n"])

    assert model.seen == [conversation]
    assert model.requests[0].options == {"stop": ["\n"]}


def test_a_message_used_twice_is_two_messages() -> None:
    step = AIMessage("again")
    model = ScriptedChatModel([step, step])

    first, second = model.invoke("a"), model.invoke("b")

    assert first.id != second.id
    assert step.id is None


@every_way
def test_a_message_keeps_everything_it_carries(ask: Ask) -> None:
    step = AIMessage(
        "Two words",
        id="msg_1",
        tool_calls=[{"name": "a", "args": {"x": "ö, ü"}, "id": "c1"}],
        invalid_tool_calls=[{"type": "invalid_tool_call", "name": "b", "args": "nope", "id": "c2", "error": None}],
        usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        response_metadata={"finish_reason": "tool_calls"},
        additional_kwargs={"extra": "thing"},
    )

    answer = ask(ScriptedChatModel([step]))

    assert answer.model_dump(exclude={"response_metadata"}) == step.model_dump(exclude={"response_metadata"})
    assert step.response_metadata.items() <= answer.response_metadata.items()


@every_way
def test_content_in_blocks_is_kept(ask: Ask) -> None:
    answer = ask(ScriptedChatModel([AIMessage([{"type": "text", "text": "in a block"}])]))

    assert answer.text == "in a block"


@pytest.mark.parametrize("step", ["", AIMessage("")])
@every_way
def test_silence_is_an_answer(ask: Ask, step: Any) -> None:
    answer = ask(ScriptedChatModel([step]))

    assert answer.text == ""
    assert answer.tool_calls == []


def test_a_stream_arrives_in_pieces() -> None:
    model = ScriptedChatModel([["One two three.", call("order.get", orderId="W1", verbose=True)]])

    pieces = list(model.stream("go"))

    assert [piece.text for piece in pieces if piece.text] == ["One ", "two ", "three."]
    arguments = [part["args"] or "" for piece in pieces for part in piece.tool_call_chunks]
    assert len([text for text in arguments if text]) >= 2
    assert json.loads("".join(arguments)) == {"orderId": "W1", "verbose": True}
    assert pieces[-1].chunk_position == "last"


def test_threads_share_the_steps_without_losing_or_doubling_one() -> None:
    model = ScriptedChatModel([str(number) for number in range(400)])
    answers: list[str] = []
    start = threading.Barrier(8)

    def ask_often() -> None:
        start.wait()
        for _ in range(50):
            answers.append(model.invoke("next").text)

    threads = [threading.Thread(target=ask_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers, key=int) == [str(number) for number in range(400)]
    assert len(model.seen) == 400
    model.assert_exhausted()


async def test_concurrent_tasks_share_the_steps() -> None:
    model = ScriptedChatModel([str(number) for number in range(50)])

    answers = await asyncio.gather(*(model.ainvoke("next") for _ in range(50)))

    assert sorted(int(answer.text) for answer in answers) == list(range(50))


def test_an_agent_of_langchain_runs_on_it() -> None:
    model = ScriptedChatModel([call("order.get", order_id="W1"), "It is on its way."])

    end = create_agent(model, [order_get, order_cancel]).invoke({"messages": [HumanMessage("Where is W1?")]})

    assert [message.text for message in end["messages"]] == [
        "Where is W1?", "", "order W1 is on its way", "It is on its way."
    ]  # fmt: skip
    assert model.offered == [["order_get", "order_cancel"]] * 2
    assert isinstance(model.seen[1][-1], ToolMessage)
    model.assert_exhausted()


async def test_an_agent_of_langchain_runs_on_it_asynchronously() -> None:
    model = ScriptedChatModel([[call("order.get", order_id="W1"), call("order.get", order_id="W2")], "Both are."])

    end = await create_agent(model, [order_get]).ainvoke({"messages": [HumanMessage("And W2?")]})

    assert end["messages"][-1].text == "Both are."
    assert [message.text for message in model.seen[1][-2:]] == ["order W1 is on its way", "order W2 is on its way"]


def _one_node_graph(model: ScriptedChatModel) -> Any:
    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.bind_tools([order_get]).invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    return builder.compile()


def test_a_graph_streams_its_tokens_and_the_calls_as_they_come() -> None:
    model = ScriptedChatModel([["On it.", call("order.get", order_id="W1")]])

    pieces = [
        piece
        for piece, _ in _one_node_graph(model).stream({"messages": [("user", "W1?")]}, stream_mode="messages")
        if isinstance(piece, AIMessageChunk)
    ]

    assert [piece.text for piece in pieces if piece.text] == ["On ", "it."]
    assert [(made["name"], made["args"]) for made in _sum_of(pieces).tool_calls] == [("order_get", {"order_id": "W1"})]
    model.assert_exhausted()


def test_the_door_of_the_module_shows_exactly_what_is_public() -> None:
    names = {name for name in vars(interlock.testing) if not name.startswith("_") and name != "annotations"}

    assert names == set(interlock.testing.__all__)
