"""A check of the model's own words: they pass, are replaced or are stopped, before the conversation or a stream has them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from interlock import GuardView, ToolContext, Workflow, command
from interlock.rules.speech.checking import WITHHELD, text_of, with_words
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import WorkflowDefinitionError
from tests.graphs.case_rules.support import ANN, Case, Place, codes

PROMISE = "Good news: your refund of 40 is on its way to you."
CAREFUL = "I have not refunded anything yet."


class Desk(BaseModel):
    done: int = 0


@command("order.refund", effect="transactional")
def refund(amount: int, ctx: ToolContext[Desk]) -> int:
    """Refund an order."""
    ctx.data.done += amount
    return amount


def no_promise(words: str, view: GuardView) -> bool | str:
    if "secret" in words:
        return False
    if "refund" in words and not view.carried_out(refund):
        return CAREFUL
    return True


def broken(words: str, view: GuardView) -> bool | str:
    raise ValueError(words)


def flow(speech: Any = no_promise) -> Any:
    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("refunds", model=model, data=Desk, speech=speech)
        workflow.add_state("open")
        workflow.add_edge("open", refund, "open")
        return workflow

    return made


def words(output: dict[str, Any]) -> list[str]:
    return [text_of(one) for one in output["messages"] if isinstance(one, AIMessage)]


def records(case: Case) -> list[Any]:
    return [one for one in case.instances.audit(case.id) if one.kind == "speech"]


@pytest.mark.parametrize("way", ["graph", "middleware"])
def test_words_are_replaced_where_no_tool_did_what_they_promise(way: str, home: Place) -> None:
    case = home.open(flow(), [PROMISE], way=way)
    assert words(case.say()) == [CAREFUL]
    (record,) = records(case)
    assert (record.payload["outcome"], record.payload["characters"]) == ("replaced", len(PROMISE))
    assert PROMISE not in json.dumps(record.to_json())
    again = home.open(flow(), [call("order.refund", amount=40), PROMISE], way=way)
    output = again.say("and now?")
    assert words(output)[0] == CAREFUL
    assert words(output)[-1] == PROMISE  # it was carried out
    assert PROMISE not in str(output["messages"][:2])
    assert len(records(again)) == 1


@pytest.mark.parametrize("way", ["graph", "middleware"])
def test_words_that_are_stopped_are_neither_said_nor_kept_and_their_calls_do_not_run(way: str, file: Place) -> None:
    said = AIMessage("The secret is 81.", tool_calls=[{"name": "order_refund", "args": {"amount": 40}, "id": "1"}])
    case = file.open(flow(), [said], way=way)
    output = case.say()
    assert words(output) == [WITHHELD]
    assert not any(isinstance(one, ToolMessage) for one in output["messages"])
    assert case.row.data["done"] == 0
    (record,) = records(case)
    assert (record.payload["outcome"], record.payload["callsDropped"]) == ("stopped", 1)
    with case.engine.store.read() as connection:
        raw = " ".join(str(row) for row in connection.exec_driver_sql("SELECT body FROM conversation_messages"))
    assert "secret" not in raw


@pytest.mark.parametrize("way", ["graph", "middleware"])
@pytest.mark.parametrize("speech", [broken, lambda words, view: None, lambda words, view: "  ", lambda words, view: 1])
def test_a_check_that_breaks_or_gives_no_answer_stops_the_words(speech: Any, way: str, file: Place) -> None:
    case = file.open(flow(speech), [PROMISE], way=way)
    assert words(case.say()) == [WITHHELD]
    (record,) = records(case)
    assert (record.payload["outcome"], record.code) == ("broken", "rule_error")
    assert "the check of speech" in record.payload["problem"]
    assert PROMISE not in json.dumps(record.to_json())


def test_words_beside_a_call_are_replaced_and_the_call_runs(file: Place) -> None:
    said = AIMessage(
        [{"type": "text", "text": "Your refund is done."}, {"type": "text", "text": " Really."}],
        tool_calls=[{"name": "order_refund", "args": {"amount": 40}, "id": "1"}],
        additional_kwargs={
            "copy": "Your refund is done. Really.",
            "parts": [{"text": "Your refund is done. Really."}],
        },
    )
    case = file.open(flow(), [said, "Bye."])
    output = case.say()
    assert codes(output) == ["ok"]
    assert words(output) == [CAREFUL, "Bye."]
    assert "Really" not in str(output["messages"])
    assert case.row.data["done"] == 40


def test_a_state_may_have_a_check_of_its_own(file: Place) -> None:
    def made(model: ScriptedChatModel) -> Workflow:
        workflow = Workflow("refunds", model=model, data=Desk, speech=no_promise)
        workflow.add_state("open", speech=lambda words, view: f"{view.state}: {words.upper()}")
        workflow.add_edge("open", refund, "open")
        return workflow

    assert words(file.open(made, ["hello"]).say()) == ["open: HELLO"]


def _streamed(case: Case) -> list[str]:
    given = {"messages": [("user", "please")]}
    chunks = case.graph.stream(given, case.config, context=ANN, stream_mode=["messages", "updates", "values"])
    seen = []
    for mode, chunk in chunks:
        if mode == "messages" and isinstance(chunk[0], (AIMessage, AIMessageChunk)):
            seen.append(text_of(chunk[0]))
        assert PROMISE not in str(chunk)
    return seen


def test_no_stream_of_the_graph_has_words_before_the_check(file: Place) -> None:
    assert _streamed(file.open(flow(), [PROMISE])) == [CAREFUL]


def proposing(**how: Any) -> Any:
    """A workflow whose state's proposer is no model of its own."""

    def made(model: ScriptedChatModel) -> Workflow:
        given = {name: make(model) for name, make in how.items()}
        workflow = Workflow("refunds", data=Desk)
        workflow.add_state("open", speech=no_promise, **given)
        workflow.add_edge("open", refund, "open")
        return workflow

    return made


def inner_graph(model: ScriptedChatModel) -> Any:
    """A graph of its own, which asks the model."""
    graph = StateGraph(MessagesState)
    graph.add_node("talk", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "talk")
    return graph.compile()


PROPOSERS: dict[str, Any] = {
    "a function that gives a text": {"decide": lambda model: lambda view: PROMISE},
    "a function that gives a message": {"decide": lambda model: lambda view: AIMessage(PROMISE)},
    "a node": {"node": lambda model: lambda state: {"messages": [AIMessage(PROMISE)]}},
    "a node that asks a model": {"node": lambda model: lambda state: {"messages": [model.invoke(state["messages"])]}},
    "a graph": {"node": inner_graph},
}


@pytest.mark.parametrize("how", PROPOSERS.values(), ids=PROPOSERS)
def test_the_words_of_whatever_proposes_are_checked_before_a_stream_has_them(how: Any, file: Place) -> None:
    case = file.open(proposing(**how), [PROMISE])
    assert _streamed(case)[-1:] == [CAREFUL]
    assert words(case.graph.get_state(case.config).values) == [CAREFUL]
    (record,) = records(case)
    assert (record.payload["outcome"], record.payload["characters"]) == ("replaced", len(PROMISE))


@pytest.mark.parametrize("how", ["decide", "node"])
def test_words_of_a_function_or_a_node_that_are_stopped_take_their_calls_with_them(how: str, file: Place) -> None:
    said = AIMessage("The secret is 81.", tool_calls=[{"name": "order_refund", "args": {"amount": 40}, "id": "1"}])
    given: Any = {
        "decide": {"decide": lambda model: lambda view: said.model_copy()},
        "node": {"node": lambda model: lambda state: {"messages": [said.model_copy()]}},
    }[how]
    case = file.open(proposing(**given), [])
    assert words(case.say()) == [WITHHELD]
    assert case.row.data["done"] == 0
    assert [record.payload["outcome"] for record in records(case)] == ["stopped"]


def test_each_message_of_a_node_is_checked_alone(file: Place) -> None:
    said = [AIMessage(PROMISE), AIMessage("Hello."), AIMessage("The secret is 81.")]
    case = file.open(proposing(node=lambda model: lambda state: {"messages": said}), [])
    assert words(case.say()) == [CAREFUL, "Hello.", WITHHELD]
    assert [record.payload["outcome"] for record in records(case)] == ["replaced", "stopped"]


async def test_no_asynchronous_stream_has_words_before_the_check(file: Place) -> None:
    case = file.open(flow(), [PROMISE])
    given = {"messages": [("user", "please")]}
    seen = []
    async for chunk, _ in case.graph.astream(given, case.config, context=ANN, stream_mode="messages"):
        seen += [text_of(chunk)] if isinstance(chunk, (AIMessage, AIMessageChunk)) else []
    assert seen == [CAREFUL]
    await asyncio.sleep(0)


def test_without_a_check_the_words_stream_as_they_come(file: Place) -> None:
    case = file.open(flow(None), [PROMISE])
    given = {"messages": [("user", "please")]}
    chunks = case.graph.stream(given, case.config, context=ANN, stream_mode="messages")
    assert "".join(text_of(chunk) for chunk, _ in chunks if isinstance(chunk, AIMessageChunk)) == PROMISE


def test_an_invalid_speech_check_is_refused_when_the_workflow_is_made() -> None:
    async def later(words: str, view: GuardView) -> bool:
        return True

    for speech in (later, "no", 1):
        with pytest.raises(WorkflowDefinitionError, match="speech"):
            Workflow("refunds", speech=speech)  # type: ignore[arg-type]
        with pytest.raises(WorkflowDefinitionError, match="speech"):
            Workflow("refunds").add_state("open", speech=speech)  # type: ignore[arg-type]


def test_replaced_words_keep_the_blocks_that_are_not_text() -> None:
    message = AIMessage([{"type": "image", "url": "x"}, "a", {"type": "text", "text": "b"}], id="m-1")
    changed = with_words(message, "ab", "c")
    assert changed.content == [{"type": "text", "text": "c"}, {"type": "image", "url": "x"}]
    assert (changed.id, text_of(message)) == ("m-1", "ab")
