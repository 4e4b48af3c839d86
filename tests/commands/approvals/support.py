"""A shop whose refunds are asked about, a clock that a test moves, and short ways to look at what happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from interlock import (
    Approval,
    Principal,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowGraph,
    WorkflowStore,
    command,
    read,
)
from interlock.testing import ScriptedChatModel, call

ADA = Principal("ada")
"""Who is served, and on whose behalf the model proposes."""
BEN = Principal("ben", roles={"supervisor"})  # type: ignore[arg-type]
CAT = Principal("cat", roles={"supervisor"})  # type: ignore[arg-type]
DAN = Principal("dan", roles={"manager"})  # type: ignore[arg-type]
MALLORY = Principal("mallory")
STRANGER = Principal("eve", roles={"supervisor"}, tenant="elsewhere")  # type: ignore[arg-type]

MINUTE, HOUR = 60, 3600


@dataclass
class Clock:
    """The time as a test sets it, instead of the database's."""

    now: int = 1_800_000_000_000_000

    def __call__(self, _connection: Any) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)


class Refund(BaseModel):
    order_id: str
    amount: Decimal


class Done(BaseModel):
    done: bool = True


class ShopData(BaseModel):
    refunded: Decimal = Decimal(0)
    parked: int = 0


@dataclass
class Shop:
    """A desk that is open, then maybe parked, then closed; its tools count their runs."""

    ran: list[str] = field(default_factory=list)
    balance: Decimal = Decimal(100)
    """What the preview of a refund shows."""

    def __post_init__(self) -> None:
        shop = self

        @read("order.get")
        def get_order(order_id: str) -> Done:
            """Look up one order."""
            shop.ran.append(f"get {order_id}")
            return Done()

        def before_and_after(amount: Decimal) -> dict[str, Any]:
            return {"balance": {"from": shop.balance, "to": shop.balance - amount}}

        def is_paid(order_id: str) -> bool | str:
            return order_id != "unpaid" or "the order is not paid"

        @command("order.refund", effect="transactional", preview=before_and_after, check=is_paid)
        def refund(order_id: str, amount: Decimal, ctx: ToolContext[ShopData], note: str | None = None) -> Refund:
            """Refund an order."""
            shop.ran.append(f"refund {order_id} {amount}")
            ctx.data.refunded += amount
            return Refund(order_id=order_id, amount=amount)

        @command("order.cancel", effect="transactional")
        def cancel(order_id: str) -> Done:
            """Cancel an order."""
            shop.ran.append(f"cancel {order_id}")
            return Done()

        @command("desk.park", effect="transactional")
        def park(order_id: str, ctx: ToolContext[ShopData]) -> Done:
            """Put the matter aside."""
            shop.ran.append(f"park {order_id}")
            ctx.data.parked += 1
            return Done()

        @command("desk.close", effect="transactional")
        def close() -> Done:
            """Close the desk."""
            shop.ran.append("close")
            return Done()

        self.get_order, self.refund, self.cancel, self.park, self.close = get_order, refund, cancel, park, close

    def workflow(
        self,
        steps: Iterable[Any],
        *,
        approval: Any = None,
        refund_to: str = "open",
        cancel_approval: Any = None,
        forever: Any = "I have nothing more to say.",
        **options: Any,
    ) -> Workflow:
        flow = Workflow("shop", model=ScriptedChatModel(steps, forever=forever), data=ShopData, **options)
        flow.add_state("open", tools=[self.get_order])
        flow.add_state("parked")
        flow.add_state("closed", final=True)
        flow.add_edge("open", self.refund, refund_to, approval=approval)
        flow.add_edge("open", self.cancel, "open", approval=cancel_approval)
        flow.add_edge("open", self.park, "parked")
        flow.add_edge("parked", self.close, "closed")
        flow.add_edge("open", self.close, "closed")
        return flow


@dataclass
class Home:
    """A database, and the clock that everything in it goes by."""

    url: str
    clock: Clock = field(default_factory=Clock)
    opened: list[SQLCheckpointer] = field(default_factory=list)

    @classmethod
    def in_file(cls, folder: Path) -> Home:
        return cls(f"sqlite:///{folder}/shop.db")

    def compile(self, workflow: Workflow, **options: Any) -> WorkflowGraph:
        """The workflow as a process of its own would have it: nothing but the database is shared with those before."""
        saver = SQLCheckpointer(self.url)
        self.opened.append(saver)
        return workflow.compile(saver, workflow_store=WorkflowStore(saver.database, clock=self.clock), **options)

    def close(self) -> None:
        for saver in self.opened:
            saver.close()


RULE = Approval(role="supervisor", within="24h")


def refund(order: str = "1", amount: str = "5", **more: Any) -> Any:
    return call("order.refund", orderId=order, amount=amount, **more)


def thread(name: str = "t-1") -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


def said(text: str = "please") -> dict[str, Any]:
    return {"messages": [("user", text)]}


def asked(output: dict[str, Any]) -> list[dict[str, Any]]:
    """What a person is shown, for each thing that is asked."""
    return [one.value for one in output.get("__interrupt__", [])]


def pending(graph: WorkflowGraph, config: Any) -> str:
    """The id of the one approval that waits."""
    (only,) = graph.instances.snapshot(config).pending_approvals
    return str(only["approvalId"])


def status(graph: WorkflowGraph, approval_id: str) -> str:
    return graph.engine.store.approval(approval_id).status.value


def kinds(graph: WorkflowGraph, config: Any) -> list[str]:
    return [str(record.kind) for record in graph.instances.audit(config)]


def refusals(graph: WorkflowGraph, config: Any) -> list[str | None]:
    """The codes of the decisions that were declined, as the audit trail has them."""
    return [record.code for record in graph.instances.audit(config) if record.kind == "decision_refused"]


def answers(output: dict[str, Any]) -> list[str]:
    """What became of each proposal: ok, or the code of its error."""
    import json

    from langchain_core.messages import ToolMessage

    said = [json.loads(str(one.content)) for one in output["messages"] if isinstance(one, ToolMessage)]
    return ["ok" if one["ok"] else one["error"]["code"] for one in said]
