"""Generated conversations of a graph, alone and inside another one: whatever happens, providers take what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from interlock import Principal, SQLCheckpointer
from tests.graphs.agents.test_middleware_messages import (
    ANN,
    BOB,
    HAPPENS,
    Says,
    calling,
    one_step,
    outputs,
    shop,
    tool_call,
)
from tests.support.sent import check_sent

CONFIG: Any = {"configurable": {"thread_id": "t-1"}}


def go_through(graph: Any, happens: list[str]) -> Any:
    """A turn, what happens after it, and approvals of whatever still waits."""
    out = graph.invoke({"messages": [("user", "first")]}, CONFIG, context=ANN)
    for what in [*happens, *["approve"] * 12]:
        waiting = out.get("__interrupt__") or ()
        if what == "say":
            out = graph.invoke({"messages": [("user", "and?")]}, CONFIG, context=ANN)
        elif waiting and waiting[0].value["type"] == "stopped":
            out = graph.invoke(Command(resume="go on"), CONFIG, context=ANN)
        elif waiting and what in {"approve", "reject"}:
            out = graph.invoke(Command(resume={one.id: {"type": what} for one in waiting}), CONFIG, context=BOB)
    return out


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(one_step, max_size=4), st.lists(st.sampled_from(HAPPENS), max_size=5))
def test_each_call_is_answered_once_by_its_own_result(steps: list[AIMessage], happens: list[str]) -> None:
    steps = [as_a_provider_gives_it(step) for step in steps]
    model = Says(*steps)  # it checks what it is sent by the providers' rules
    out = go_through(shop(model).compile(), happens)

    assert not out.get("__interrupt__")
    check_sent([one for one in out["messages"] if not _says_nothing(one)])
    allowed = {"unknown_tool", "approval_rejected"}
    for made, answer in outputs(out["messages"]):
        assert answer in {f"stock of {made['sku']}", f"ordered {made['sku']}", f"refunded {made['sku']}", *allowed}
    assert len([one for step in steps for one in step.tool_calls]) >= len(outputs(out["messages"]))


def as_a_provider_gives_it(step: AIMessage, **more: Any) -> AIMessage:
    """With names that it takes back as they are: in the conversation itself a call keeps the name that the model gave it."""
    calls = [{**made, "name": made["name"].replace(".", "_").replace(" ", "_")} for made in step.tool_calls]
    return calling(*calls, **{"id": step.id, "content": str(step.content).strip(), **more})


def _says_nothing(message: Any) -> bool:
    """Whether a model said nothing at all, which no provider takes back and which stays in the conversation as it was."""
    return isinstance(message, AIMessage) and not (message.tool_calls or str(message.content).strip())


def parent_of(model: Any, own: Any) -> Any:
    """A graph that hands every message to a workflow, and then to a model of its own."""
    builder = StateGraph(MessagesState, context_schema=Principal)
    builder.add_node("desk", shop(model).compile())
    builder.add_node("own", lambda state: {"messages": [own.invoke(state["messages"])]})
    builder.add_edge(START, "desk").add_edge("desk", "own")
    return builder.compile(InMemorySaver())


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(one_step, max_size=3), st.lists(st.sampled_from(HAPPENS), max_size=4))
def test_a_parent_graph_is_given_a_valid_order_too(steps: list[AIMessage], happens: list[str]) -> None:
    steps = [as_a_provider_gives_it(step, content=str(step.content).strip() or "words") for step in steps]
    own = Says()

    out = go_through(parent_of(Says(*steps), own), happens)

    assert own.seen, "it was asked, and checked what it was sent as it is"
    check_sent(out["messages"])


@pytest.mark.parametrize("durable", [True, False])
def test_an_answer_that_moves_to_its_call_stays_there_when_the_conversation_is_loaded_again(
    durable: bool, tmp_path: Any
) -> None:
    steps = [calling(tool_call("order_refund", "c0", sku="A")), calling(tool_call("order_refund", "c0", sku="B"))]
    with SQLCheckpointer(f"sqlite:///{tmp_path}/shop.db") if durable else _Nothing() as saver:
        graph = shop(Says(*steps)).compile(*([saver] if durable else []))
        go_through(graph, ["say", "approve", "say", "approve"])
        kept = graph.get_state(CONFIG).values["messages"]
    if durable:
        with SQLCheckpointer(f"sqlite:///{tmp_path}/shop.db") as saver:
            kept = shop(Says()).compile(saver).get_state(CONFIG).values["messages"]

    assert [one.type for one in kept[:4]] == ["human", "ai", "tool", "human"]
    assert outputs(kept) == [({"sku": "A"}, "refunded A"), ({"sku": "B"}, "refunded B")]


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
