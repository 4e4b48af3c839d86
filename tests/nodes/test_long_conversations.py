"""What a turn costs in a long conversation: nothing of ours goes through it more often than it has to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.callbacks import manager
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from interlock import Principal, Workflow, WorkflowStore, command, read
from interlock.nodes import conversation
from interlock.nodes.conversation import for_model, pair, put_in_order
from interlock.rules.calls import kinds_of, turns_of
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada")


@read("order.get")
def get(order_id: str) -> str:
    """Look."""
    return order_id


@command("order.note", effect="transactional")
def note(order_id: str) -> str:
    """Note."""
    return order_id


def desk(model: Any) -> Workflow:
    return Workflow("desk", model=model).add_state("open", tools=[get]).add_edge("open", note, "open")


ODD_CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["t", "a.b", "", "n" * 65]),
            "args": st.sampled_from(
                [{}, {"a": "b"}, {"a": "\ud83d"}, {"\ud83d": 1}, {"a": [1.5]}, {"a": float("nan")}, {"a": True}]
            ),
            "id": st.sampled_from(["a", "b", "", None, "ü", "i" * 65]),
        }
    ),
    max_size=2,
)


@given(st.sampled_from(["", "hi", " ", "ü", "a\ud83d"]), ODD_CALLS, st.sets(st.sampled_from("ab")))
def test_a_message_with_calls_that_needs_nothing_is_shown_as_it_is(content: str, calls: Any, known: set[str]) -> None:
    message = AIMessage(content, tool_calls=calls)

    if conversation._needs_nothing(message, known):
        assert conversation._shown(message, known) is message
    if calls == [{"name": "t", "args": {"a": "b"}, "id": "a"}] and content == "hi" and not known:
        assert conversation._needs_nothing(message, known)


@pytest.mark.parametrize("form", ["graph", "agent"])
def test_no_model_call_has_the_conversation_written_as_one_text(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    whole = manager.get_buffer_string

    def counted(messages: Any, *given: Any, **more: Any) -> str:
        written.append(len(messages))
        return whole(messages, *given, **more)

    monkeypatch.setattr(manager, "get_buffer_string", counted)
    model = ScriptedChatModel([call("order.get", orderId="1")], forever="Done.")
    if form == "graph":
        runnable: Any = desk(model).compile()
    else:
        middleware = desk(None).as_middleware(workflow_store=WorkflowStore.in_memory())
        runnable = create_agent(
            model, [], middleware=[middleware], checkpointer=InMemorySaver(), context_schema=Principal
        )
    output = runnable.invoke({"messages": [("user", "look")]}, {"configurable": {"thread_id": "t"}}, context=ADA)
    assert output["messages"][-1].text == "Done."
    assert written == []


def answered(message: AIMessage) -> list[BaseMessage]:
    """A message with calls, and an answer to each of them directly behind it."""
    return [message, *(ToolMessage("döne", tool_call_id=str(one["id"])) for one in message.tool_calls)]


MESSAGES = st.lists(
    st.one_of(
        st.builds(HumanMessage, st.sampled_from(["hello", "", " ", "grüß", "a\ud83d"])).map(lambda one: [one]),
        st.builds(AIMessage, st.sampled_from(["hi", "", "\n", "ü"])).map(lambda one: [one]),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
            lambda ids: [AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": one} for one in ids])]
        ),
        st.sampled_from("abc").map(lambda one: [ToolMessage("done", tool_call_id=one)]),
        st.builds(AIMessage, st.sampled_from(["", "hi", " "]), tool_calls=ODD_CALLS).map(answered),
        st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True).map(
            lambda ids: answered(
                AIMessage("", tool_calls=[{"name": "t", "args": {"a": 1}, "id": f"c{one}"} for one in ids])
            )
        ),
    ),
    max_size=9,
).map(lambda parts: [message for part in parts for message in part])


@given(MESSAGES)
def test_a_conversation_is_sent_alike_however_much_of_it_is_seen_at_once(messages: list[BaseMessage]) -> None:
    at_once = for_model(messages)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("are_plain", "are_sendable"):
            patch.setattr(conversation, name, lambda *_: False)
        patch.setattr(conversation, "answered_calls", lambda *_: None)
        one_by_one = for_model(messages)  # type: ignore[arg-type]
    assert at_once == one_by_one


@given(MESSAGES)
def test_what_is_plain_to_see_is_what_the_whole_look_finds(messages: list[BaseMessage]) -> None:
    kinds = kinds_of(messages)
    if conversation.answered_calls(messages, kinds, turns_of(messages, kinds)) is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(conversation, "answered_calls", lambda *_: None)
            assert conversation._are_in_order(messages)
    if conversation._are_in_order(messages):
        assert pair(messages).is_in_order
        assert put_in_order(messages) is None


@given(MESSAGES)
def test_a_message_that_is_sent_as_it_is_is_one_that_nothing_would_change(messages: list[BaseMessage]) -> None:
    def plain_of(messages: list[BaseMessage]) -> list[BaseMessage]:
        turns = turns_of(messages, kinds_of(messages))
        return [one for place, one in enumerate(messages) if place not in turns and conversation.are_plain([one], [])]

    plain = plain_of(messages)
    for message in plain:
        shown = conversation._shown(message, set()) if isinstance(message, AIMessage) else conversation._sent(message)
        assert shown is message
        assert not isinstance(message, ToolMessage)
    sent = for_model(messages)  # type: ignore[arg-type]
    assert [id(message) for message in plain_of(sent) if message in plain] == [*map(id, plain)]


def test_a_usual_conversation_is_seen_to_be_sendable_at_once() -> None:
    calls = [{"name": "t", "args": {"text": "note", "count": 1}, "id": f"c{number}"} for number in range(3)]
    usual = [HumanMessage("grüß"), *answered(AIMessage("", tool_calls=calls)), AIMessage("Done.")]
    kinds = kinds_of(usual)
    turns = turns_of(usual, kinds)
    found = conversation.answered_calls(usual, kinds, turns)
    assert found is not None
    assert conversation.are_plain(usual, turns)
    assert conversation.are_sendable(found, usual, kinds, turns)
    assert conversation.for_model([*usual, HumanMessage("and?")], "Be kind.")[1:-1] == usual  # type: ignore[list-item]
