"""A workflow's limits in an agent: what one message may hold, how long a turn may go round in circles, and what cannot be kept."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from interlock import Limits, Principal, Workflow, WorkflowStore, command, read
from interlock.checkpointing.store.seal import Seal
from interlock.graphs.agents.calls import Offer, signed_call
from interlock.nodes.conversation import for_model
from interlock.rules.calls import MESSAGE_KEY
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada")


def agent(*steps: Any, limits: Limits | None = None, ran: list[str] | None = None) -> tuple[Any, WorkflowStore]:
    @read("order.get")
    def get(order_id: str) -> str:
        """Look."""
        return order_id

    @command("order.note", effect="transactional")
    def note(order_id: str, amount: float = 0.0) -> str:
        """Note."""
        if ran is not None:
            ran.append(order_id)
        return order_id

    flow = Workflow("desk", limits=limits).add_state("open", tools=[get]).add_edge("open", note, "open")
    store = WorkflowStore.in_memory()
    model = ScriptedChatModel([*steps], forever="Still here.")
    made = create_agent(
        model,
        [],
        middleware=[flow.as_middleware(workflow_store=store)],
        checkpointer=InMemorySaver(),
        context_schema=Principal,
    )
    return made, store


def invoke(made: Any, given: Any) -> Any:
    return made.invoke(given, {"configurable": {"thread_id": "t"}}, context=ADA)


def hello(text: str = "hello") -> dict[str, Any]:
    return {"messages": [("user", text)]}


def codes(output: Any) -> list[str]:
    told = [json.loads(message.text) for message in output["messages"] if message.type == "tool"]
    return ["ok" if answer["ok"] else answer["error"]["code"] for answer in told]


def bad_calls(number: int, name: str = "order_wipe") -> AIMessage:
    calls = [{"name": name, "args": {"i": i}, "id": f"c{i}", "type": "tool_call"} for i in range(number)]
    return AIMessage("", tool_calls=calls)


def test_the_calls_beyond_the_limit_are_answered_in_one_step_with_a_code_of_their_own() -> None:
    made, store = agent(bad_calls(40), limits=Limits(proposals=3, denials=100))
    output = invoke(made, hello())
    assert sorted(codes(output)) == ["too_many_calls"] * 37 + ["unknown_tool"] * 3
    (instance,) = store.instances()
    records = [record.code for record in store.audit(instance.workflow_id) if record.kind.value == "denial"]
    assert records.count("too_many_calls") == 37
    assert output["messages"][-1].text == "Still here."
    assert invoke(made, hello("more"))["messages"][-1].text == "Still here."


def test_the_calls_beyond_the_limit_stay_in_the_message_and_are_sent_back_with_their_answers() -> None:
    made, _ = agent(bad_calls(40), limits=Limits(proposals=3, denials=100))
    output = invoke(made, hello())
    said = next(message for message in output["messages"] if message.type == "ai")
    # Where an agent does not look for the answer of each among all answers.
    assert ([call["id"] for call in said.tool_calls], len(said.invalid_tool_calls)) == (["c0", "c1", "c2"], 37)
    assert json.loads(said.invalid_tool_calls[0]["args"] or "") == {"i": 3}
    sent = for_model(output["messages"])
    place = next(number for number, message in enumerate(sent) if isinstance(message, AIMessage))
    called = [call["id"] for call in cast("AIMessage", sent[place]).tool_calls]
    answered = [cast("ToolMessage", message).tool_call_id for message in sent[place + 1 : place + 41]]
    assert called == answered == [f"c{number}" for number in range(40)]


def test_the_signed_part_of_a_call_does_not_grow_with_earlier_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[int] = []
    mark = Seal.mark

    def counted(self: Seal, purpose: str, *parts: Any) -> str:
        signed.append(len(json.dumps(parts, default=repr)))
        return mark(self, purpose, *parts)

    monkeypatch.setattr(Seal, "mark", counted)
    cost = {}
    for number in (100, 2_000):
        signed.clear()
        made, _ = agent(bad_calls(number), limits=Limits(proposals=3, denials=100))
        invoke(made, hello())
        cost[number] = sum(signed) / number
    assert cost[2_000] <= 1.3 * cost[100]


@pytest.mark.parametrize("changed", ["earlier name", "order"])
def test_a_signed_call_is_nobodys_once_the_calls_before_it_are_others(changed: str) -> None:
    calls = [
        {"name": name, "args": {}, "id": f"c{place}", "type": "tool_call"}
        for place, name in enumerate(("a", "bc", "d"))
    ]
    made, store = agent()
    invoke(made, hello())
    (instance,) = store.instances()
    message = AIMessage("", tool_calls=calls, response_metadata={MESSAGE_KEY: "m"})
    said = Offer(instance, ADA, ["d"]).sign(message)
    assert signed_call(said, 2, instance) is not None
    # The same letters, cut elsewhere; the same calls, in another order.
    others = (
        [{**calls[0], "name": "ab"}, {**calls[1], "name": "c"}] if changed == "earlier name" else [calls[1], calls[0]]
    )
    assert signed_call(said.model_copy(update={"tool_calls": [*others, calls[2]]}), 2, instance) is None


def test_a_turn_that_is_denied_again_and_again_stops_and_can_be_resumed() -> None:
    made, store = agent(*[call("order.nope")] * 8, limits=Limits(denials=3))
    output = invoke(made, hello())
    assert output["__interrupt__"][0].value["type"] == "stopped"
    assert codes(output) == ["unknown_tool"] * 3
    (instance,) = store.instances()
    assert [record.code for record in store.audit(instance.workflow_id)][-1] == "limit_reached"
    again = invoke(made, Command(resume=True))
    assert (again["__interrupt__"][0].value["denials"], len(codes(again))) == (3, 6)
    told = invoke(made, Command(resume="Leave it."))
    assert [message.text for message in told["messages"] if message.type == "human"] == ["hello"]
    assert told["messages"][-1].text == "Still here."


def test_a_new_message_begins_a_turn_that_is_counted_anew() -> None:
    made, _ = agent(*[call("order.nope")] * 3, limits=Limits(denials=3))
    assert "__interrupt__" in invoke(made, hello())
    output = invoke(made, hello("never mind"))
    assert output["messages"][-1].text == "Still here."


def test_a_turn_in_which_the_model_is_called_too_often_stops() -> None:
    made, _ = agent(*[call("order.get", orderId="1")] * 9, limits=Limits(calls=4))
    output = invoke(made, hello())
    assert output["__interrupt__"][0].value["reason"] == "the model was called 4 times in one turn"
    assert codes(output) == ["ok"] * 4


HOSTILE: list[Any] = [
    float("nan"),
    float("inf"),
    "a\ud83d",
    "a\0b",
    2**80,
    10**4_000,
    [[[[[0] * 2] * 2] * 2]] * 9,
    "x" * 300_000,
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("where", ["argument", "name", "id", "unknown"])
def test_whatever_a_model_says_is_denied_and_the_agent_goes_on(value: Any, where: str) -> None:
    args = {"orderId": "1", "amount": value} if where == "argument" else {"x": value}
    text = value if isinstance(value, str) else str(value)[:50]
    name = {"argument": "order_note", "unknown": "order_wipe", "name": text, "id": "order_wipe"}[where]
    message = AIMessage(
        "", tool_calls=[{"name": name, "args": args, "id": text if where == "id" else "1", "type": "tool_call"}]
    )
    ran: list[str] = []
    made, store = agent(message, ran=ran)
    output = invoke(made, hello())
    assert codes(output)[0] in {"invalid_arguments", "unknown_tool"}
    assert ran == []
    (instance,) = store.instances()
    assert "denial" in [record.kind.value for record in store.audit(instance.workflow_id)]
    assert invoke(made, hello("more"))["messages"][-1].text == "Still here."
