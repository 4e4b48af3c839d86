"""A cancel beside a graph: approvals and waits are closed, threads see that it is over, late events change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from interlock import Event, Principal, Workflow, WorkflowGraph, WorkflowStore, command
from interlock.operations import Deliveries
from interlock.testing import ScriptedChatModel, call
from interlock.tools import ConflictError, WorkflowFinished

from .support import ANN, BOSS

THREAD: RunnableConfig = {"configurable": {"thread_id": "t-1"}}
SAID = {"messages": [("user", "Please")]}


class Paid(Event, name="order.paid", version=1):
    """Somebody paid."""

    amount: int


@command("order.drop", effect="transactional")
def drop(item: str) -> str:
    """Drop an order."""
    return item


@command("order.place", effect="transactional", undo=drop)
def place(item: str) -> str:
    """Place an order."""
    return item


@command("order.ship", effect="transactional")
def ship() -> str:
    """Ship it."""
    return "shipped"


def orders(store: WorkflowStore, *calls: Any) -> WorkflowGraph:
    flow = Workflow("orders", model=ScriptedChatModel([*calls], forever="Done."))
    flow.add_state("open", tools=[place])
    flow.add_wait("placed", for_event=Paid, then="paid", within="2h", on_timeout="late")
    flow.add_state("paid")
    flow.add_state("late", final=True)
    flow.add_state("shipped", final=True)
    flow.add_edge("open", _wait(), "placed")
    flow.add_edge("paid", ship, "shipped")
    flow.add_edge("open", ship, "shipped", approval=True)
    flow.cancellable(role="supervisor")
    return flow.compile(InMemorySaver(), workflow_store=store)


def _wait() -> Any:
    @command("order.await", effect="transactional", undo=False)
    def wait() -> str:
        """Wait for the money."""
        return "waiting"

    return wait


def test_a_graph_at_an_approval_sees_that_it_is_over(store: WorkflowStore) -> None:
    graph = orders(store, call("order.place", item="tea"), call("order.ship"))
    asked = graph.invoke(SAID, THREAD, context=ANN)
    (request,) = asked["__interrupt__"]
    case = graph.instances.id_of(THREAD)

    found = graph.instances.cancel(THREAD, "She changed her mind.", by=BOSS)

    assert [(one.tool, one.became) for one in found.calls] == [("order.place", "undone")]
    with pytest.raises(ConflictError):
        graph.instances.decide(request.value["approvalId"], "approve", by=BOSS)
    assert graph.instances.tick().resumed == [case]
    state = graph.get_state(THREAD)
    assert (state.values["state"], state.next, state.values["next_allowed_tools"]) == ("cancelled", (), [])
    with pytest.raises(WorkflowFinished):
        graph.invoke({"messages": [("user", "And now?")]}, THREAD, context=ANN)


def test_a_graph_that_waits_sees_that_it_is_over_and_late_events_change_nothing(
    store: WorkflowStore, time: Any
) -> None:
    graph = orders(store, call("order.await"))
    graph.invoke(SAID, THREAD, context=ANN)
    case = graph.instances.id_of(THREAD)
    assert graph.instances.get(case).state == "placed"

    graph.instances.cancel(case, "It takes too long.", by=BOSS)

    Deliveries(graph).deliver(Paid(amount=3), workflow_id=case)
    time.advance(hours=3)
    graph.instances.tick()
    assert graph.get_state(THREAD).values["state"] == "cancelled"
    assert graph.instances.get(case).state == "cancelled"
    assert graph.instances.snapshot(case).waits == ()
    assert store.verify(case) == []


def test_the_async_forms_cancel_and_report(store: WorkflowStore) -> None:
    graph = orders(store, call("order.place", item="tea"))

    async def go() -> None:
        await graph.ainvoke(SAID, THREAD, context=ANN)
        assert await graph.instances.acancellation(THREAD) is None
        found = await graph.instances.acancel(THREAD, "no", by=BOSS)
        assert found.is_done
        assert await graph.instances.acancellation(THREAD, by=ANN) == found

    asyncio.run(go())


def test_an_agent_with_the_middleware_is_over_as_well(store: WorkflowStore) -> None:
    model = ScriptedChatModel([call("order.place", item="tea"), "Placed.", call("order.place", item="milk"), "No."])
    flow = Workflow("orders")
    flow.add_state("open", tools=[place])
    flow.cancellable(role="supervisor")
    middleware = flow.as_middleware(workflow_store=store)
    assert [tool.name for tool in middleware.tools] == ["order_place"]
    agent: Any = create_agent(model, [], middleware=[middleware], context_schema=Principal)
    agent.invoke(SAID, THREAD, context=ANN)
    (instance,) = store.instances()

    found = middleware.instances.cancel(instance.workflow_id, "no", by=BOSS)

    assert [(one.tool, one.became) for one in found.calls] == [("order.place", "undone")]
    agent.invoke(SAID, THREAD, context=ANN)
    kinds = [(record.kind.value, record.tool) for record in store.audit(instance.workflow_id)]
    assert kinds.count(("transition", "order.place")) == 1
    assert store.get(instance.workflow_id).state == "cancelled"


def test_a_cancel_and_a_decision_at_once_come_to_one_of_the_two(store: WorkflowStore) -> None:
    from tests.faults.test_races import at_once

    graph = orders(store)
    for number in range(4):
        case = f"both-{number}"
        graph.instances.start(principal=ANN, workflow_id=case)
        asked = graph.instances.propose(case, "order.ship", {}, principal=ANN, key="ship")

        def decide(asked: Any = asked) -> Any:
            graph.instances.decide(asked.pending.proposal_id, "approve", by=BOSS)
            return graph.instances.proposal(asked.pending.proposal_id, by=ANN)

        at_once([decide, lambda case=case: graph.instances.cancel(case, "no", by=BOSS)])  # type: ignore[misc]
        graph.instances.tick()
        instance = graph.instances.get(case)
        kinds = [record.kind.value for record in graph.instances.audit(case)]
        assert instance.state in {"shipped", "cancelled"}
        assert kinds.count("transition") == (1 if "transition" in kinds else 0)
        assert store.verify(case) == []
