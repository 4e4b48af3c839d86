"""An answer counts only for what was asked: a checkpoint that shows something else is no evidence of what was decided."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Interrupt

from interlock import Approval, Workflow, WorkflowStore, command
from interlock.nodes.channels import Channels
from interlock.testing import ScriptedChatModel, call
from interlock.tools import InvalidResume
from tests.commands.approvals.support import ADA, BEN, said, thread

RULE = Approval(role="supervisor", count=1)
RAN: list[str] = []


@command("order.wipe", effect="transactional", preview=lambda order_id: {"deletes": order_id})
def wipe(order_id: str) -> str:
    """Delete an order and all that belongs to it."""
    RAN.append(order_id)
    return order_id


def desk(steps: list[Any], **options: Any) -> Workflow:
    flow = Workflow("desk", model=options.pop("model", ScriptedChatModel(steps, forever="Done.")), **options)
    flow.add_state("open")
    flow.add_state("closed", final=True)
    flow.add_edge("open", wipe, "closed", approval=RULE)
    return flow


WIPE = call("order.wipe", orderId="W1")


def in_its_graph(saver: InMemorySaver, store: WorkflowStore) -> Any:
    return desk([WIPE]).compile(saver, workflow_store=store, destructive_in_memory=True)


def in_a_parent(saver: InMemorySaver, store: WorkflowStore) -> Any:
    inner = desk([WIPE]).compile(workflow_store=store, destructive_in_memory=True)
    parent: Any = StateGraph(Channels)
    parent.add_node("desk", inner)
    parent.add_edge(START, "desk")
    parent.add_edge("desk", END)
    return parent.compile(saver)


def in_an_agent(saver: InMemorySaver, store: WorkflowStore) -> Any:
    from interlock import Principal

    middleware = desk([], model=None).as_middleware(workflow_store=store)
    model = ScriptedChatModel([WIPE], forever="Done.")
    return create_agent(model, [], middleware=[middleware], checkpointer=saver, context_schema=Principal)


Change = Callable[[dict[str, Any]], Any]


def rewrite(saver: InMemorySaver, change: Change, interrupt_id: str | None = None) -> None:
    """Change what every pending interrupt shows, as whoever can write checkpoints could."""
    for key, writes in saver.writes.items():
        for place, (task, channel, stored, path) in list(writes.items()):
            if channel == "__interrupt__":
                shown = [copy.deepcopy(one) for one in saver.serde.loads_typed(stored)]
                for one in shown:
                    change(one.value)
                shown = [Interrupt(value=one.value, id=interrupt_id or one.id) for one in shown]
                saver.writes[key][place] = (task, channel, saver.serde.dumps_typed(tuple(shown)), path)


def another_tool(shown: dict[str, Any]) -> None:
    shown["tool"] = "order.note"
    shown["action_requests"][0].update(name="order.note", action="order.note")


def another_description(shown: dict[str, Any]) -> None:
    shown["action_requests"][0]["description"] = "Add a harmless note."


def one_more_key(shown: dict[str, Any]) -> None:
    shown["hint"] = "this one is safe"


CHANGES: dict[str, Change] = {
    "another tool": another_tool,
    "another description": another_description,
    "other arguments": lambda shown: shown["arguments"].update(orderId="W2"),
    "another preview": lambda shown: shown.update(preview=None),
    "another requester": lambda shown: shown.update(requestedBy="the ceo"),
    "another rule": lambda shown: shown["rule"].update(named=False, role=None),
    "another mode": lambda shown: shown.update(mode="dry_run"),
    "another way on": lambda shown: shown["next"].update(approve="open"),
    "other decisions": lambda shown: shown["review_configs"][0].update(allowed_decisions=["approve"]),
    "an alleged problem": lambda shown: shown.update(problem="press approve to reject it"),
    "a key more": one_more_key,
    "a true for a one": lambda shown: shown.update(toolVersion=True),
}
HOMES = {"in its graph": in_its_graph, "in a parent graph": in_a_parent, "in an agent": in_an_agent}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES.keys())
def test_an_answer_to_something_else_than_what_was_asked_does_not_count(home: Any, change: Change) -> None:
    RAN.clear()
    saver, store = InMemorySaver(), WorkflowStore.in_memory()
    graph = home(saver, store)
    graph.invoke(said(), thread(), context=ADA)
    rewrite(saver, change)

    shown = answered(graph, {"type": "approve"})

    assert RAN == []
    assert recorded(store) == 1
    assert shown["tool"] == "order.wipe"
    assert shown["preview"] == {"deletes": "W1"}
    answered(graph, {"type": "approve"})
    assert RAN == ["W1"]


@pytest.mark.parametrize("home", [in_a_parent, in_an_agent], ids=["in a parent graph", "in an agent"])
def test_an_answer_to_a_request_under_another_approval_does_not_count(home: Any) -> None:
    RAN.clear()
    saver, store = InMemorySaver(), WorkflowStore.in_memory()
    graph = home(saver, store)
    graph.invoke(said(), thread(), context=ADA)
    rewrite(saver, lambda shown: shown.update(approvalId="apr_other"), interrupt_id="0" * 32)

    answered(graph, {"type": "approve"})

    assert RAN == []


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES.keys())
def test_a_request_can_be_answered_after_a_description_was_reworded(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    RAN.clear()
    saver, store = InMemorySaver(), WorkflowStore.in_memory()
    home(saver, store).invoke(said(), thread(), context=ADA)
    monkeypatch.setitem(wipe.__dict__, "description", "Delete one order, and all that belongs to it.")

    answered(home(saver, store), {"type": "approve"})

    assert RAN == ["W1"]


def answered(graph: Any, answer: Any) -> dict[str, Any]:
    """Give an answer, and what is shown then: at once where it went through a parent, else when the thread runs on."""
    try:
        output = graph.invoke(Command(resume=answer), thread(), context=BEN)
    except InvalidResume:
        output = graph.invoke(None, thread(), context=ADA)
    waiting = output.get("__interrupt__")
    return dict(waiting[0].value) if waiting else {}


def recorded(store: WorkflowStore) -> int:
    """How many answers the trail has that did not count."""
    (instance,) = store.instances()
    return [str(record.kind) for record in store.audit(instance.workflow_id)].count("decision_refused")
