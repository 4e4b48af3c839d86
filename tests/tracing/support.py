"""What the tests of tracing share: a shop whose tools fail, hide and cost, and ways to run it traced."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from interlock import (
    Approval,
    Event,
    Principal,
    Refused,
    RetryPolicy,
    ToolContext,
    Workflow,
    WorkflowGraph,
    command,
    read,
)
from interlock.testing import ArrivedRun, ScriptedChatModel, TraceSink, call

ADA = Principal("ada")
BEN = Principal("ben", roles=frozenset({"supervisor"}))
PLANTED = "4929-PLANTED-SECRET-1111"
HUMAN = "my-own-words-xyzzy"


class Parcel(BaseModel):
    order_id: str
    tracking: str = ""


class Asked(Event, name="carrier.asked"):
    order_id: str


class Collected(Event, name="carrier.collected"):
    order_id: str


class Data(BaseModel):
    order_id: str = ""
    paid: bool = False


def is_paid(view: Any) -> bool:
    return bool(view.data.paid)


@dataclass
class Shop:
    """`open`, then `paid`, then `sent`; a carrier that is down the first times."""

    down: int = 0
    charged: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def flow(self, model: Any, *, name: str = "shop") -> Workflow:
        @read("order.get")
        def get_order(order_id: str) -> Parcel:
            """Look up one order."""
            return Parcel(order_id=order_id)

        @command("order.charge", effect="transactional", version=3, sensitive=["card"])
        def charge(order_id: str, amount: Decimal, card: str, ctx: ToolContext[Data]) -> str:
            """Charge a card."""
            if amount > 100:
                raise Refused(f"the card {card} is declined")
            ctx.data.order_id, ctx.data.paid = order_id, True
            self.charged.append(str(amount))
            return "charged"

        @command("order.send", effect="idempotent", retry=RetryPolicy(attempts=3, initial=0.001))
        def send(order_id: str) -> Parcel:
            """Hand the parcel over."""
            if self.down > 0:
                self.down -= 1
                raise ConnectionError(f"the carrier is down; password={PLANTED}")
            self.sent.append(order_id)
            return Parcel(order_id=order_id, tracking="T1")

        flow = Workflow(name, model=model, data=Data, version=2)
        flow.add_state("open", tools=[get_order])
        flow.add_state("paid", tools=[get_order])
        flow.add_state("sent", final=True)
        flow.add_edge("open", charge, "paid", approval=Approval(role="supervisor"))
        flow.add_edge("open", send, "sent", guard=is_paid)
        flow.add_edge("paid", send, "sent")
        return flow


def script() -> ScriptedChatModel:
    """Look, try what is not offered, charge (which is asked about), send."""
    return ScriptedChatModel(
        [
            call("order.get", orderId="W1"),
            call("order.send", orderId="W1"),
            call("order.charge", orderId="W1", amount="50", card=PLANTED),
            call("order.send", orderId="W1"),
            "done",
        ]
    )


def config(thread: str = "t-1", **more: Any) -> Any:
    return {"configurable": {"thread_id": thread}, **more}


def edit_of(**arguments: Any) -> dict[str, Any]:
    return {"type": "edit", "edited_action": {"name": "order.charge", "args": arguments}, "message": "too much"}


def arrived(sink: TraceSink, client: Any, count: int | None = None) -> list[ArrivedRun]:
    """The runs, once all have ended."""
    client.flush()
    sink.wait_for(lambda: sink.runs and (count is None or len(sink.runs) >= count))
    sink.wait_for(lambda: all(run.has_ended for run in sink.runs))
    return sink.runs


def without_what_differs(graph: WorkflowGraph, which: Any) -> list[tuple[Any, ...]]:
    """An audit trail, for comparing two runs of the same."""
    return [
        (record.number, record.kind, record.tool, record.code, record.revision, _payload(record.payload or {}))
        for record in graph.instances.audit(which)
    ]


def _payload(payload: Any) -> str:
    differ = {"trace", "salt", "auditRef", "key", "approvalId", "digest"}
    return json.dumps({name: value for name, value in payload.items() if name not in differ}, sort_keys=True)
