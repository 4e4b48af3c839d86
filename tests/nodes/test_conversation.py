"""Whatever a conversation holds, what a model is sent of it is what providers take: each call answered once, by its own answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from interlock.nodes.conversation import (
    UNANSWERED,
    for_model,
    in_order,
    join,
    missing_answers,
    pair,
    put_in_order,
    unanswered,
)
from interlock.rules.calls import INVALID_JSON, all_calls, cut_off, finished, repaired, with_own_ids
from tests.support.sent import check_sent

IDS: list[Any] = ["c0", "c1", "functions.get:0", "", None, "two words", "x" * 300, "None", "\ud800"]
NAMES: list[Any] = ["stock_get", "stock.get", "functions.stock_get", "", " stock_get", "n" * 99, None]
ARGUMENTS: list[Any] = [{}, {"sku": "A"}, ["A"], None, '{"sku": "A"}', {"n": [float("nan")]}, {"\ud83d": ["\ud83d"]}]


def tool_call(call_id: Any, name: Any = "stock_get", args: Any = None) -> dict[str, Any]:
    return {"type": "tool_call", "name": name, "args": {} if args is None else args, "id": call_id}


def invalid_call(call_id: Any, name: Any = "stock_get", args: Any = "{bad") -> dict[str, Any]:
    return {"type": "invalid_tool_call", "name": name, "args": args, "id": call_id, "error": None}


def block_of(kind: str, call: dict[str, Any]) -> dict[str, Any]:
    if kind == "tool_use":
        return {"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}}
    return {"type": kind, "call_id": call["id"], "id": "fc_1", "name": call["name"], "arguments": "{}"}


calls = st.builds(
    lambda call_id, name, args: {**tool_call(call_id, name), "args": args},
    st.sampled_from(IDS),
    st.sampled_from(NAMES),
    st.sampled_from(ARGUMENTS),
)
invalid_calls = st.builds(
    invalid_call, st.sampled_from(IDS), st.sampled_from(NAMES), st.sampled_from([None, "", "{bad", "[1]"])
)


@st.composite
def messages_of_models(draw: Any) -> AIMessage:
    """A message such as no client package would build, but a proxy, a cache or a hand did."""
    made = draw(st.lists(calls, max_size=3))
    broken = draw(st.lists(invalid_calls, max_size=2))
    text: Any = draw(st.sampled_from(["", " ", "words", [], [{"type": "text", "text": "words"}]]))
    if isinstance(text, list):
        kind = draw(st.sampled_from(["tool_use", None]))
        strays = draw(st.lists(calls, max_size=1))
        text = [*text, *(block_of(kind, call) for call in [*made, *strays] if kind)]
    return AIMessage("").model_copy(update={"content": text, "tool_calls": made, "invalid_tool_calls": broken})


messages = st.one_of(
    st.builds(HumanMessage, st.sampled_from(["hello", "again", "half \ud83d", [{"type": "text", "text": "\ud83d"}]])),
    messages_of_models(),
    st.builds(lambda call_id: ToolMessage("told", tool_call_id=str(call_id)), st.sampled_from(IDS)),
)
conversations = st.lists(messages, max_size=12).map(lambda more: [HumanMessage("first"), *more])


@settings(max_examples=400, deadline=None)
@given(conversations)
def test_any_conversation_is_sent_as_providers_take_it(conversation: list[BaseMessage]) -> None:
    sent = for_model(conversation)

    check_sent(sent)
    assert for_model(sent) == sent
    json.dumps([one.model_dump() for one in sent], allow_nan=False, ensure_ascii=False).encode()
    people = [one.id for one in conversation if isinstance(one, HumanMessage)]
    assert [one.id for one in sent if isinstance(one, HumanMessage)] == people


@st.composite
def runs(draw: Any) -> list[BaseMessage]:
    """What a workflow leaves: calls with whatever ids, each answered before the next message of a model, and people in between."""
    conversation: list[BaseMessage] = [HumanMessage("first")]
    for turn in range(draw(st.integers(1, 4))):
        made = [
            tool_call(call_id, args={"token": f"{turn}.{number}"})
            for number, call_id in enumerate(draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=3)))
        ]
        conversation.append(AIMessage("", tool_calls=made))
        if draw(st.booleans()):
            conversation.append(HumanMessage("while an approval waits"))
        conversation += [ToolMessage(call["args"]["token"], tool_call_id=str(call["id"])) for call in made]
        conversation.append(HumanMessage("go on"))
    return conversation


@settings(max_examples=300, deadline=None)
@given(runs())
def test_each_call_is_followed_by_its_own_answer_whatever_ids_recur(conversation: list[BaseMessage]) -> None:
    for shown in (for_model(conversation), in_order(conversation)):
        for place, message in enumerate(shown):
            if isinstance(message, AIMessage):
                tokens = [call["args"]["token"] for call in message.tool_calls]
                assert [answer.content for answer in shown[place + 1 : place + 1 + len(tokens)]] == tokens


@settings(max_examples=100, deadline=None)
@given(runs())
def test_nothing_is_lost_where_answers_are_put_in_order(conversation: list[BaseMessage]) -> None:
    assert sorted(map(id, in_order(conversation))) == sorted(map(id, conversation))


@settings(max_examples=300, deadline=None)
@given(conversations)
def test_the_last_message_alone_says_which_of_its_calls_have_no_answer(conversation: list[BaseMessage]) -> None:
    last = max((place for place, one in enumerate(conversation) if isinstance(one, AIMessage)), default=-1)
    answers = pair(conversation).answers.get(last, [])
    left = [number for number, answer in enumerate(answers) if answer is None]

    assert unanswered(conversation) == ((last, left) if left else None)


@settings(max_examples=300, deadline=None)
@given(st.one_of(conversations, runs()))
def test_only_a_conversation_that_is_out_of_order_is_put_in_order(conversation: list[BaseMessage]) -> None:
    ordered = in_order([*conversation, *missing_answers(conversation)])
    is_same = list(map(id, ordered)) == list(map(id, conversation))

    put = put_in_order(conversation)

    assert put is None if is_same else [*map(type, put or [])] == [*map(type, ordered)]
    assert put is None or pair(put).is_in_order


def test_the_ids_of_a_whole_conversation_are_not_gone_through_for_each_of_its_messages() -> None:
    class Ids(set[str]):
        def __iter__(self) -> Any:
            raise AssertionError("went through all ids")

    message = AIMessage("", tool_calls=[tool_call("c1"), tool_call("c2"), tool_call("c2")])

    made = with_own_ids(message, Ids({"c1"}), lambda number: f"new{number}")

    assert [call["id"] for call in made.tool_calls] == ["new1", "c2", "new3"]


def test_a_conversation_that_is_in_order_is_sent_message_by_message_as_it_is() -> None:
    conversation = [
        SystemMessage("be kind"),
        HumanMessage("hello"),
        AIMessage("let me see", tool_calls=[tool_call("c1"), tool_call("c2")]),
        ToolMessage("one", tool_call_id="c1"),
        ToolMessage("two", tool_call_id="c2"),
        AIMessage([{"type": "tool_use", "id": "c3", "name": "stock_get", "input": {}}], tool_calls=[tool_call("c3")]),
        ToolMessage("three", tool_call_id="c3"),
        AIMessage("done"),
    ]

    assert [*map(id, for_model(conversation))] == [*map(id, conversation)]


def test_answers_whose_call_was_removed_are_left_out_and_calls_without_an_answer_get_one() -> None:
    trimmed = [
        ToolMessage("old", tool_call_id="c0"),
        HumanMessage("hello"),
        AIMessage("", tool_calls=[tool_call("c1")]),
    ]

    sent = for_model([*trimmed, HumanMessage("and?")])

    assert [one.type for one in sent] == ["human", "ai", "tool", "human"]
    assert sent[2].content == UNANSWERED


def test_a_person_between_a_call_and_its_answer_stands_behind_both_in_the_channel_too() -> None:
    conversation = [HumanMessage("refund", id="1"), AIMessage("", id="2", tool_calls=[tool_call("c1")])]
    conversation = join(conversation, [HumanMessage("what about it?", id="3")])
    assert unanswered(conversation) == (1, [0])

    conversation = join(conversation, [ToolMessage("done", tool_call_id="c1", id="4")])

    assert [one.id for one in conversation] == ["1", "2", "4", "3"]
    assert unanswered(conversation) is None
    assert [one.id for one in join(conversation, [RemoveMessage("1")])] == ["2", "4", "3"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "length"},
        {"finish_reason": "lengthlength"},
        {"finish_reason": "MAX_TOKENS"},
        {"finish_reason": "model_length"},
        {"finish_reason": "content_filter"},
        {"finish_reason": "content-filter"},
        {"finish_reason": "SAFETY"},
        {"finish_reason": "MALFORMED_FUNCTION_CALL"},
        {"finish_reason": "error"},
        {"finish_reason": "ERROR_LIMIT"},
        {"finish_reason": "insufficient_system_resource"},
        {"finish_reason": "abort"},
        {"stop_reason": "max_tokens"},
        {"stop_reason": "model_context_window_exceeded"},
        {"stop_reason": "refusal"},
        {"stopReason": "guardrail_intervened"},
        {"done_reason": "length"},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        {"status": "failed"},
    ],
)
def test_a_call_of_a_message_that_was_cut_off_is_invalid(metadata: dict[str, Any]) -> None:
    message = AIMessage("", tool_calls=[tool_call("c1", args={"sku": "A"})], response_metadata=metadata)

    (broken,) = finished(message).invalid_tool_calls

    assert (broken["id"], broken["name"], broken["args"]) == ("c1", "stock_get", '{"sku": "A"}')
    assert "cut off" in str(broken["error"])
    assert finished(message).tool_calls == []


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"finish_reason": None},
        {"finish_reason": "stop"},
        {"finish_reason": "STOPSTOP"},
        {"finish_reason": "tool_calls"},
        {"finish_reason": "function_call"},
        {"finish_reason": "eos_token"},
        {"finish_reason": "COMPLETE"},
        {"stop_reason": "tool_use"},
        {"stop_reason": "end_turn"},
        {"stop_reason": "pause_turn"},
        {"stop_reason": "stop_sequence"},
        {"stopReason": "tool_use"},
        {"done_reason": "stop"},
        {"status": "completed", "incomplete_details": None},
    ],
)
def test_a_message_that_ended_by_itself_is_not_cut_off(metadata: dict[str, Any]) -> None:
    message = AIMessage("", tool_calls=[tool_call("c1")], response_metadata=metadata)

    assert cut_off(message) is None
    assert finished(message) is message


def test_streamed_arguments_that_are_no_whole_object_make_an_invalid_call() -> None:
    def chunk(text: str, call_id: str, index: int) -> AIMessageChunk:
        made: Any = {"name": "refund", "args": text, "id": call_id, "index": index, "type": "tool_call_chunk"}
        return AIMessageChunk("", tool_call_chunks=[made])

    message = finished(chunk('{"cents": 1', "c1", 0) + chunk('{"cents": 12}', "c2", 1) + chunk("", "c3", 2))

    assert type(message) is AIMessage
    assert [call["id"] for call in message.tool_calls] == ["c2", "c3"]
    assert [(call["id"], call["args"]) for call in message.invalid_tool_calls] == [("c1", '{"cents": 1')]


@pytest.mark.parametrize("given", [None, "", "c0", "two words", "x" * 300, "\ud800"])
def test_a_call_gets_an_id_of_its_own_in_every_place_of_the_message(given: Any) -> None:
    signatures = {"c0": "signed"}
    message = AIMessage("").model_copy(
        update={
            "tool_calls": [tool_call(given, "a"), tool_call(given, "b")],
            "content": [
                {"type": "text", "text": "see"},
                block_of("tool_use", tool_call(given, "a")),
                block_of("function_call", tool_call(given, "b")),
                {"type": "server_tool_use", "id": given, "name": "web_search"},
            ],
            "additional_kwargs": {"tool_calls": [{"id": given}], "signatures": signatures, "other": {"a": 1}},
        }
    )

    done = repaired(message, "msg_1", [AIMessage("", tool_calls=[tool_call("c0")])])

    ids = [str(call["id"]) for call in all_calls(done)]
    assert len({*ids, "c0", given}) == 4 if given != "c0" else len({*ids, "c0"}) == 3
    content: Any = done.content
    assert [content[1]["id"], content[2]["call_id"], content[2]["id"]] == [*ids, "fc_1"]
    assert content[3]["id"] == given
    assert "tool_calls" not in done.additional_kwargs
    assert done.additional_kwargs["other"] == {"a": 1}
    if given == "c0":
        assert done.additional_kwargs["signatures"] == dict.fromkeys(ids, "signed")


def test_a_message_whose_ids_are_its_own_keeps_them() -> None:
    message = AIMessage("", id="m2", tool_calls=[tool_call("functions.get:1")])
    known = [AIMessage("", id="m1", tool_calls=[tool_call("functions.get:0")])]

    done = repaired(message, "msg_1", known)

    assert (done.id, done.tool_calls) == ("m2", message.tool_calls)


def test_a_message_whose_id_another_one_has_gets_a_new_one() -> None:
    known = [HumanMessage("x", id="h"), AIMessage("first", id="resp_1")]

    done = repaired(AIMessage("second", id="resp_1"), "msg_1", known)

    assert done.id not in {"h", "resp_1", None}
    assert [one.content for one in join(known, [done])] == ["x", "first", "second"]


def test_the_text_of_a_call_that_could_not_be_read_goes_back_as_one_argument() -> None:
    message = AIMessage("", invalid_tool_calls=[invalid_call("c1")])

    sent = for_model([HumanMessage("x"), message, ToolMessage("no", tool_call_id="c1")])

    assert isinstance(sent[1], AIMessage)
    assert sent[1].tool_calls == [tool_call("c1", args={INVALID_JSON: "{bad"})]
    assert sent[1].invalid_tool_calls == []
