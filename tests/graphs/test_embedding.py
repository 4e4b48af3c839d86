"""A workflow as a node of a parent graph: its own instance, its questions through the parent, whoever the parent serves."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command

from interlock import Principal, WorkflowGraph
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import WorkflowFinished
from tests.graphs.support import ADA, BEN, Desk, Home, Runner, codes, interrupts, said, shown, thread

REFUND = call("order.refund", orderId="1", amount="5")
HOLD = call("order.hold", orderId="1")


class Parent(TypedDict, total=False):
    messages: Annotated[Sequence[AnyMessage], add_messages]
    state: str
    next_allowed_tools: list[str]
    visited: Annotated[list[str], operator.add]


@dataclass
class Session:
    """What a host application has as its context: who it serves is one thing among others."""

    principal: Principal
    locale: str = "en"


def parent(home: Home, *workflows: tuple[str, WorkflowGraph], context: Any = Principal, saver: bool = True) -> Any:
    builder = StateGraph(Parent, context_schema=context)
    previous = START
    for name, graph in workflows:
        builder.add_node(name, graph)
        builder.add_edge(previous, name)
        previous = name
    builder.add_node("after", lambda state: {"visited": [state["state"]]})
    builder.add_edge(previous, "after").add_edge("after", END)
    given: BaseCheckpointSaver[Any] | None = (home.saver or InMemorySaver()) if saver else None
    return builder.compile(checkpointer=given)


def test_a_workflow_is_a_node_of_a_parent_graph(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    output = run(parent(home, ("desk", graph)), said(), thread())
    assert (output["state"], output["visited"], codes(output)) == ("held", ["held"], ["ok"])
    assert output["next_allowed_tools"] == ["order.get", "order.release"]


def test_an_embedded_workflow_goes_on_in_the_next_turn_of_the_parent(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([HOLD, "on hold", call("order.release", orderId="1"), "released", HOLD, "again"])
    outer = parent(home, ("desk", home.compile(desk.workflow(model))))
    states = [run(outer, said(), thread())["state"] for _ in range(3)]
    assert states == ["held", "open", "held"]
    assert model.offered[2] == ["order_get", "order_release"]


def test_the_approval_of_a_subgraph_is_requested_and_answered_through_the_parent(
    home: Home, run: Runner, desk: Desk
) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    outer = parent(home, ("desk", graph))
    output = run(outer, said(), thread(), context=ADA)
    assert (shown(output), desk.ran) == (["order.refund"], [])
    output = run(outer, Command(resume="approve"), thread(), context=BEN)
    assert (desk.ran, output["state"], output["visited"]) == (["refund 1 5"], "closed", ["closed"])


def test_a_wrong_answer_through_the_parent_is_asked_about_again_with_what_was_wrong(
    home: Home, run: Runner, desk: Desk
) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([REFUND]), approval=True))
    outer = parent(home, ("desk", graph))
    run(outer, said(), thread(), context=ADA)
    output = run(outer, Command(resume="perhaps"), thread(), context=BEN)
    again = next(interrupts(output))
    assert "Nothing was decided" in again.value["problem"]
    output = run(outer, Command(resume={again.id: "approve"}), thread(), context=BEN)
    assert (desk.ran, output["state"]) == (["refund 1 5"], "closed")


def test_a_parent_with_a_context_of_its_own_says_whom_it_serves(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    run(parent(home, ("desk", graph), context=Session), said(), thread(), context=Session(ADA))
    assert [instance.started_by.id for instance in graph.engine.store.instances()] == ["ada"]


def test_two_workflows_under_one_parent_are_two_instances(home: Home, run: Runner, desk: Desk) -> None:
    first = home.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    second = home.compile(desk.workflow(ScriptedChatModel([call("note.add", text="b"), "noted"])))
    output = run(parent(home, ("first", first), ("second", second)), said(), thread())
    assert desk.ran == ["hold 1", "note b"]
    assert output["state"] == "open"
    rows = {row.workflow_id: row.state for graph in (first, second) for row in graph.engine.store.instances()}
    assert sorted(rows.values()) == ["held", "open"]


def test_without_a_checkpointer_the_parent_still_runs_turn_after_turn(home: Home, run: Runner, desk: Desk) -> None:
    model = ScriptedChatModel([HOLD, "on hold", call("order.release", orderId="1"), "released"])
    outer = parent(home, ("desk", home.compile(desk.workflow(model))), saver=False)
    assert run(outer, said(), thread())["state"] == "held"
    assert run(outer, said(), thread())["state"] == "open"
    assert desk.ran == ["hold 1", "release 1"]


def test_a_finished_workflow_refuses_another_turn_of_its_parent(home: Home, run: Runner, desk: Desk) -> None:
    outer = parent(home, ("desk", home.compile(desk.workflow(ScriptedChatModel([REFUND])))))
    assert run(outer, said(), thread())["state"] == "closed"
    with pytest.raises(WorkflowFinished):
        run(outer, said(), thread())


def test_a_workflow_can_be_called_from_a_node_of_the_applications_own(home: Home, run: Runner, desk: Desk) -> None:
    graph = home.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))

    def ask(state: Parent) -> dict[str, Any]:
        inner = graph.invoke({"messages": [("user", "hold")]}, thread("inner"))
        return {"visited": [inner["state"]]}

    builder = StateGraph(Parent)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask").add_edge("ask", END)
    if run.way in {"ainvoke", "astream"}:
        pytest.skip("a sync node is what is shown here")
    assert run(builder.compile(), said(), thread())["visited"] == ["held"]


def test_called_from_such_a_node_without_a_config_it_belongs_to_the_parents_thread(
    home: Home, run: Runner, desk: Desk
) -> None:
    graph = home.compile(
        desk.workflow(ScriptedChatModel([HOLD, "on hold", call("order.release", orderId="1"), "released"]))
    )
    builder = StateGraph(Parent)
    builder.add_node("ask", lambda state: {"visited": [graph.invoke({"messages": [("user", "go")]})["state"]]})
    builder.add_edge(START, "ask").add_edge("ask", END)
    if run.way in {"ainvoke", "astream"}:
        pytest.skip("a sync node is what is shown here")
    outer = builder.compile(checkpointer=home.saver or InMemorySaver())
    assert [run(outer, said(), thread())["visited"][-1] for _ in range(2)] == ["held", "open"]


def test_a_workflow_is_a_runnable_in_a_chain(memory: Home, desk: Desk) -> None:
    graph = memory.compile(desk.workflow(ScriptedChatModel([HOLD, "on hold"])))
    chain = RunnableLambda(said) | graph | (lambda output: output["state"])
    assert chain.invoke("hold it", thread()) == "held"
