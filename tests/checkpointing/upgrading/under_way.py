"""A workflow with work under way: what a release leaves in a database, and what the next one goes on with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pydantic import BaseModel

from interlock import (
    Approval,
    Event,
    Principal,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowGraph,
    WorkflowStore,
    command,
)
from interlock.testing import Clock, FaultPoint, ScriptedChatModel, call, drop, injected

ANN, BOB = Principal("ann"), Principal("bob", roles={"lead"})
THREAD = {"configurable": {"thread_id": "t-1"}}


class Data(BaseModel):
    amount: int = 0


class Paid(Event, name="shop.order.paid", version=1):
    order_id: str


@command("order.refund", effect="transactional")
def refund(order_id: str, ctx: ToolContext[Data]) -> str:
    """Refund an order."""
    ctx.data.amount += 1
    return order_id


@command("order.bill", effect="transactional")
def bill(order_id: str) -> str:
    """Send a bill."""
    return order_id


@command("parcel.send")
def send(order_id: str) -> str:
    """Send a parcel."""
    return order_id


@contextlib.contextmanager
def graph_on(url: str, clock: Clock | None = None) -> Iterator[WorkflowGraph]:
    """The workflow, which later releases must be able to run as it is."""
    model = ScriptedChatModel([call("order.refund", orderId="W1")], forever="Done.")
    flow = Workflow("desk", data=Data, model=model)
    flow.add_state("open")
    flow.add_wait("billed", for_event=Paid, then="closed", within="3650d", on_timeout="closed")
    flow.add_state("sent")
    flow.add_state("closed", final=True)
    flow.add_edge("open", refund, "closed", approval=Approval(role="lead"))
    flow.add_edge("open", bill, "billed")
    flow.add_edge("open", send, "sent")
    flow.add_edge("sent", bill, "billed")
    store = WorkflowStore(url, clock=clock) if clock else WorkflowStore(url)
    with SQLCheckpointer(url) as saver, contextlib.closing(store):
        yield flow.compile(saver, workflow_store=store)


def leave_under_way(url: str) -> None:
    """An approval that is open, on a thread and beside one; a wait; and an effect of which nobody knows whether it happened."""
    with graph_on(url, Clock("2026-11-30T09:00:00+00:00")) as graph:
        graph.invoke({"messages": [("user", "Refund W1.")]}, THREAD, context=ANN)
        instances = graph.instances
        for case in ("case-asked", "case-waits", "case-runs"):
            instances.start(principal=ANN, workflow_id=case)
        instances.propose("case-asked", refund, {"orderId": "W2"}, principal=ANN, key="k-asked")
        instances.propose("case-waits", bill, {"orderId": "W3"}, principal=ANN, key="k-waits")
        # The process that ran it is gone: nobody is told what came of it.
        with injected(drop(FaultPoint.AFTER_EFFECT)), contextlib.suppress(Exception):
            instances.propose("case-runs", send, {"orderId": "W4"}, principal=ANN, key="k-runs")
