"""A desk for the tests of the person on call: an approval, a wait, a guard, a limit, an effect outside, and async tools."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from interlock import (
    Approval,
    Event,
    LimitPerRun,
    RequireRole,
    ToolContext,
    Workflow,
    command,
    event,
    read,
)
from interlock.testing import ScriptedChatModel, call

RAN: list[str] = []


class Replied(Event, name="desk.customer.replied"):
    """The customer answered."""


class Asked(Event, name="desk.customer.asked"):
    """The customer is to be asked."""


class DeskData(BaseModel):
    refunded: int = 0
    iban: str = "DE02120300000000202051"


@read("order.get", sensitive={"iban"})
async def get_order(iban: str | None = None) -> str:
    """Look at the order."""
    RAN.append("get")
    return "an order"


@command("order.refund", effect="transactional")
async def refund(amount: int, ctx: ToolContext[DeskData]) -> str:
    """Refund the order."""
    RAN.append(f"refund {amount}")
    ctx.data.refunded += amount
    return "refunded"


@command("order.cancel", effect="transactional")
async def cancel() -> str:
    """Cancel the order."""
    return "cancelled"


@command("desk.note", effect="transactional")
async def note() -> str:
    """Write a note."""
    RAN.append("note")
    return "noted"


@command("parcel.send")
async def send() -> str:
    """Send the parcel again."""
    raise ConnectionError("the parcel service hung up")


@command("desk.close", effect="transactional")
async def close() -> str:
    """Close the desk."""
    return "closed"


@event("desk.ask")
async def ask() -> Asked:
    """Ask the customer."""
    return Asked()


def not_refunded(view: Any) -> bool:
    return bool(view.data.refunded == 0)


SCRIPTS: dict[str, Any] = {
    "refund": [call("order.refund", amount=5), "Refunded."],
    "denied": [call("desk.close"), "I cannot."],
    "ask": [call("desk.ask"), "I asked."],
    "send": [call("parcel.send"), "Sent."],
    "note": [call("desk.note"), "Noted."],
}


def answer(messages: Any, tools: Any) -> Any:
    """What the customer says names the script."""
    said = [one for one in messages if one.type == "human"][-1]
    done = len(messages) - 1 - messages.index(said)
    script = SCRIPTS[str(said.content)]
    return script[0] if done == 0 else script[-1]


def workflow() -> Workflow[DeskData]:
    """The desk."""
    flow: Workflow[DeskData] = Workflow(
        "desk",
        model=ScriptedChatModel(forever=answer),
        data=DeskData,
        policies=[LimitPerRun(1, [note]), RequireRole("boss", [close])],
    )
    flow.add_state("open", tools=[get_order])
    flow.add_edge("open", refund, "open", approval=Approval(role="supervisor", within="24h"))
    flow.add_edge("open", cancel, "closed", guard=not_refunded)
    flow.add_edge("open", note, "open")
    flow.add_edge("open", send, "open")
    flow.add_edge("open", ask, "asked")
    flow.add_edge("open", close, "closed")
    flow.add_wait("asked", for_event=Replied, within="2h", then="open", on_timeout="closed")
    flow.add_state("closed", final=True)
    return flow
