"""The stories: each makes a workflow, lets something happen to one instance of it, and gives the instance's story."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from interlock import (
    Approval,
    Confirmation,
    Event,
    LimitPerPeriod,
    LimitPerRun,
    Principal,
    Refused,
    RequireRole,
    RetryPolicy,
    SpendingCap,
    ToolContext,
    Workflow,
    command,
    read,
)
from interlock.testing import ScriptedChatModel, call
from interlock.tools.approvals import Escalate, TakeEdge
from tests.commands.records.telling import BOSS, Story
from tests.events.support import envelope


class Paid(Event, name="order.paid"):
    """An amount was paid."""

    amount: Decimal


class Receipt(BaseModel):
    """What a payment answers."""

    order_id: str
    amount: Decimal


class Order(BaseModel):
    """The data."""

    order_id: str = "o-1"
    paid: Decimal = Decimal(0)
    card_number: str = ""


def not_free(amount: Decimal) -> bool | str:
    """The amount is more than nothing."""
    return amount > 0 or "the amount is nothing"


def before_and_after(amount: Decimal, ctx: ToolContext[Order]) -> dict[str, Any]:
    return {"paid": {"from": ctx.data.paid, "to": ctx.data.paid + amount}}


@command(
    "order.pay", version=2, effect="transactional", check=not_free, preview=before_and_after, sensitive=["card_number"]
)
def pay(amount: Decimal, ctx: ToolContext[Order], card_number: str = "none") -> Receipt:
    """Pay an order."""
    if amount > 1000:
        raise Refused("the card takes no more than 1000", code="too_much", details={"most": 1000}, retryable=True)
    if amount == 13:
        raise RuntimeError("s-e-c-r-e-t")
    ctx.data.paid += amount
    ctx.data.card_number = card_number
    ctx.emit(Paid(amount=amount))
    return Receipt(order_id=ctx.data.order_id, amount=amount)


@command("order.close", effect="transactional")
def close() -> str:
    """Close an order."""
    return "closed"


@read("order.look")
def look(ctx: ToolContext[Order]) -> Order:
    """Look at an order."""
    return ctx.data


def desk(*, steps: Any = (), approval: Any = None, **options: Any) -> Workflow:
    flow = Workflow("desk", version=3, data=Order, model=ScriptedChatModel(steps, forever="Done."), **options)
    flow.add_state("open", tools=[look])
    flow.add_state("paid")
    flow.add_state("closed", final=True)
    flow.add_edge("open", pay, "paid", approval=approval)
    flow.add_edge("open", close, "closed")
    flow.add_edge("paid", close, "closed", guard=lambda view: view.data.paid > 1)
    return flow


def carried_out() -> Story:
    story = Story(desk())
    story.do("order.look")
    story.do("order.pay", amount="5", cardNumber="4111-1111")
    story.do("order.close", key="mine")
    story.do("order.close", key="mine")
    return story


def denied() -> Story:
    story = Story(desk(policies=[RequireRole("clerk", [pay])], run_by="tenant"))
    story.do("order.nothing", a=1)
    story.do("order.pay", amount="much")
    story.do("order.pay", amount="-1")
    story.do("order.pay", by=Principal("eve"), amount="1", cardNumber="4111-1111")
    story.do("order.pay", amount="1", key="one")
    story.do("order.close", key="one")
    story.do("order.close")
    story.do("order.pay", amount="1")
    return story


def refused() -> Story:
    story = Story(desk())
    story.do("order.pay", amount="2000", cardNumber="4111-1111", key="r")
    story.do("order.pay", amount="2000", cardNumber="4111-1111", key="r")
    story.do("order.pay", amount="13")
    return story


def limited() -> Story:
    policies = [
        LimitPerRun(3, [pay, close]),
        LimitPerPeriod(2, "24h", [pay], per="tenant"),
        SpendingCap("10.5", "amount", pay, within="2d", per="principal"),
        SpendingCap(100, "amount", [pay], name="the run's cap"),
    ]
    flow = Workflow("limited", data=Order, policies=policies)
    flow.add_state("open", tools=[pay])
    flow.add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    story = Story(flow)
    for amount in ("10.6", "10", "0.6", "-0.5", "0.5", "0.1"):
        story.do("order.pay", amount=amount)
    story.clock.forward(days=1)
    story.do("order.pay", amount="0.5")
    story.do("order.close")
    return story


def broken_rule() -> Story:
    def breaks(view: Any) -> bool:
        raise RuntimeError("s-e-c-r-e-t")

    flow = Workflow("broken", data=Order)
    flow.add_state("open")
    flow.add_state("paid", final=True)
    flow.add_state("closed", final=True)
    flow.add_edge("open", pay, "paid", guard=breaks)
    flow.add_edge("open", close, "closed")
    story = Story(flow)
    story.do("order.pay", amount="1")
    return story


ASKS = Approval(role="boss", count=1, within="24h", edit=frozenset({"amount"}), then=Approval(role="clerk", named=True))


def asked(*decisions: Any, approval: Any = ASKS, **options: Any) -> Story:
    story = Story(desk(steps=[call("order.pay", amount="5", cardNumber="4111-1111")], approval=approval, **options))
    for decision, by in decisions:
        story.decide(decision, by)
    return story


CLARA, DORA = (Principal(name, roles=frozenset({"clerk"})) for name in ("clara", "dora"))


def approved() -> Story:
    story = asked(({"type": "edit", "args": {"amount": "4", "cardNumber": "4111-1111"}, "message": "less"}, BOSS))
    story.run()
    story.decide("approve", CLARA)
    story.run()
    story.decide("approve", DORA)
    return story


def declined() -> Story:
    story = asked(
        ("approve", Principal("eve")),
        ("approve", Principal("eve", tenant="elsewhere")),
        ("approve", Principal("ann", roles=frozenset({"boss"}))),
        ({"type": "edit", "args": {"amount": "4", "cardNumber": "5500-0000"}}, BOSS),
        ({"type": "edit", "args": {"amount": "-4", "cardNumber": "4111-1111"}}, BOSS),
        ({"type": "edit", "args": {"amount": "much", "cardNumber": "4111-1111"}}, BOSS),
        ({"type": "reject", "message": "not 4111-1111 again"}, BOSS),
    )
    story.run()
    return story


def responded() -> Story:
    story = asked(({"type": "respond", "message": "which card?"}, BOSS), approval=Confirmation(within="2h", then=ASKS))
    story.decide({"type": "respond", "message": "which card?"}, story.who)
    story.run()
    return story


def expired() -> Story:
    story = asked()
    story.clock.forward(days=1)
    story.note("tick", story.graph.instances.tick)
    story.decide("approve")
    return story


def escalated() -> Story:
    story = asked(approval=Approval(role="clerk", within="1h", on_expiry=Escalate("boss", within="30m")))
    story.clock.forward(hours=1)
    story.note("tick", story.graph.instances.tick)
    story.run()
    story.decide("approve", CLARA)
    story.clock.forward(hours=1)
    story.decide("approve", BOSS)
    return story


def another_edge() -> Story:
    story = asked(approval=Approval(role="boss", within="1h", on_expiry=TakeEdge("order.close")))
    story.clock.forward(hours=1)
    story.note("tick", story.graph.instances.tick)
    return story


def moved_on() -> Story:
    story = asked(approval=Approval(role="boss"))
    story.do("order.close")
    story.decide("approve")
    story.run()
    return story


def dry_run() -> Story:
    story = asked(("approve", BOSS), approval=Approval(role="boss"), mode="dry_run")
    story.run()
    return story


def read_only() -> Story:
    story = Story(desk(mode="read_only"))
    story.do("order.pay", amount="1")
    story.do("order.look")
    return story


def asked_by_policy() -> Story:
    capped = SpendingCap(3, "amount", [pay], otherwise=Approval(role="boss"))
    story = asked(approval=Confirmation(), policies=[capped])
    story.decide("approve", story.who)
    story.run()
    story.decide("approve", BOSS)
    story.run()
    return story


class Service:
    """A world outside, with its troubles."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = [*troubles]

    def pay(self, amount: Decimal, ctx: ToolContext[Order], card_number: str = "none") -> Receipt:
        """Pay with somebody else's system."""
        if self.troubles:
            raise self.troubles.pop(0)
        ctx.data.paid += amount
        ctx.emit(Paid(amount=amount))
        return Receipt(order_id=ctx.data.order_id, amount=amount)


def outside(effect: str, *troubles: Exception, attempts: int = 2) -> Story:
    service = Service(*troubles)
    retry = {"retry": RetryPolicy(attempts=attempts, initial=0)} if effect == "idempotent" else {}
    tool = command("order.pay", effect=effect, sensitive=["card_number"], **retry)(service.pay)
    flow = Workflow("outside", data=Order)
    flow.add_state("open")
    flow.add_state("paid", final=True)
    flow.add_state("closed", final=True)
    flow.add_edge("open", tool, "paid")
    flow.add_edge("open", close, "closed")
    story = Story(flow)
    story.do("order.pay", amount="5", cardNumber="4111-1111", key="p")
    return story


def tried_again() -> Story:
    return outside("idempotent", ConnectionError("gone"))


def happened() -> Story:
    story = outside("at_most_once", ConnectionError("gone"))
    story.do("order.close")
    story.do("order.pay", amount="5", cardNumber="4111-1111", key="p")
    resolve = story.graph.instances.resolve
    story.note(
        "by the served", lambda: resolve(story.id, "happened", by=story.who, output={"orderId": "o-1", "amount": "5"})
    )
    story.note("another attempt", lambda: resolve(story.id, "retry", by=BOSS, attempt=2))
    story.note("another key", lambda: resolve(story.id, "retry", by=BOSS, key="q"))
    story.note("no output", lambda: resolve(story.id, "happened", by=BOSS, output={"orderId": "o-1"}))
    story.note(
        "happened",
        lambda: resolve(
            story.id, "happened", by=BOSS, output={"orderId": "o-1", "amount": "5"}, data={"paid": "5"},
            events=[Paid(amount=Decimal(5))], note="seen there",
        ),
    )  # fmt: skip
    story.note("again", lambda: resolve(story.id, "happened", by=BOSS, key="p"))
    return story


def failed() -> Story:
    story = outside("idempotent", ConnectionError("gone"), TimeoutError("slow"))
    story.note("retry", lambda: story.graph.instances.resolve(story.id, "retry", by=BOSS))
    story.do("order.pay", amount="5", cardNumber="4111-1111", key="p")
    return story


def failed_for_good() -> Story:
    story = outside("at_most_once", ConnectionError("gone"))
    story.note("failed", lambda: story.graph.instances.resolve(story.id, "failed", by=BOSS, note="no money"))
    story.do("order.pay", amount="5", cardNumber="4111-1111", key="p")
    return story


def refused_outside() -> Story:
    return outside("at_most_once", Refused("no such card: 4111-1111", code="no_card"))


def under_way() -> Story:
    """What others are told while an effect is under way."""

    def pay_slowly(amount: Decimal, ctx: ToolContext[Order]) -> Receipt:
        """Pay with somebody else's system."""
        story.do("order.close")
        story.do("order.pay", amount="5", key="p")
        story.do("order.look")
        story.note("resolve", lambda: story.graph.instances.resolve(story.id, "retry", by=BOSS))
        story.note("in the ledger", lambda: [dataclasses.replace(one, owner="o") for one in story.store.unsettled()])
        story.note("lease", lambda: (story.store.get(story.id).lease_epoch, story.store.get(story.id).running_key))
        return Receipt(order_id="o-1", amount=amount)

    flow = Workflow("outside", data=Order)
    flow.add_state("open", tools=[look])
    flow.add_state("paid", final=True)
    flow.add_state("closed", final=True)
    flow.add_edge("open", command("order.pay", effect="at_most_once")(pay_slowly), "paid")
    flow.add_edge("open", close, "closed")
    story = Story(flow)
    story.do("order.pay", amount="5", key="p")
    return story


def left_behind(effect: str) -> Story:
    """A body that returns what its contract does not promise, and leaves data behind that its model refuses."""

    def spoil(ctx: ToolContext[Order], what: str) -> Receipt:
        """Spoil what is left behind."""
        if what == "data":
            ctx.data.paid = Decimal("NaN")
        if what == "event":
            ctx.emit(Paid(amount=Decimal("NaN")))
        return Receipt(order_id="o-1", amount=Decimal(1)) if what != "output" else {"order_id": 5}  # type: ignore[return-value]

    flow = Workflow("spoilt", data=Order)
    flow.add_state("open", tools=[command("order.spoil", effect=effect)(spoil)])
    flow.add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    story = Story(flow)
    for what in ("output", "data", "event", "nothing"):
        story.do("order.spoil", what=what)
    return story


def spoilt() -> Story:
    return left_behind("transactional")


def spoilt_outside() -> Story:
    return left_behind("at_most_once")


class Sent(Event, name="parcel.sent"):
    parcel: str


class Arrived(Event, name="parcel.arrived"):
    parcel: str


class Lost(Event, name="parcel.lost"):
    parcel: str


class Parcels(BaseModel):
    parcels: list[str] = ["a", "b", "c"]
    arrived: list[str] = []


def waited(*events: Event, forward: int = 0) -> Story:
    flow = Workflow("parcels", data=Parcels)
    flow.add_wait(
        "sent", for_event=Arrived, each="parcels", part="parcel", expect=2, within="2h", then="done", on_timeout="overdue",
        delivered_by=Sent, failed_by=Lost, on_failure="gone", apply=lambda data, event: data.arrived.append(event.parcel),
        sources=["/outside"],
    )  # fmt: skip
    for state in ("done", "overdue", "gone", "left"):
        flow.add_state(state, final=True)
    flow.add_edge("sent", close, "left")
    story = Story(flow)
    for number, event in enumerate(events):
        story.deliver(envelope(event, story.id, event_id=f"event-{number}"))
    story.clock.forward(hours=forward)
    story.note("tick", story.deliveries.tick)
    return story


def arrived() -> Story:
    story = waited(Sent(parcel="a"), Arrived(parcel="a"), Arrived(parcel="a"), Arrived(parcel="x"), Arrived(parcel="b"))
    story.deliver(envelope(Arrived(parcel="c"), story.id, event_id="late"))
    story.deliver(envelope(Arrived(parcel="c"), story.id, event_id="late"))
    return story


def lost() -> Story:
    return waited(Lost(parcel="a"), Sent(parcel="b"), Lost(parcel="b"))


def overdue() -> Story:
    story = waited(Sent(parcel="a"), forward=2)
    story.deliver(envelope(Arrived(parcel="a"), story.id, event_id="late"))
    return story


def left() -> Story:
    story = waited()
    story.deliver(envelope(Arrived(parcel="a"), "wf_nobody", event_id="nobodys"))
    story.deliver(envelope(Arrived(parcel="a"), story.id, event_id="a stranger's", source="/elsewhere"))
    story.deliver(envelope(Arrived(parcel="a"), story.id, event_id="another tenant's", tenant="elsewhere"))
    story.deliver(envelope(Paid(amount=Decimal(1)), story.id, event_id="not waited for"))
    story.do("order.close")
    story.deliver(envelope(Arrived(parcel="a"), story.id, event_id="late"))
    return story


STORIES: dict[str, Callable[[], Story]] = {
    made.__name__: made
    for made in (
        carried_out, denied, refused, limited, broken_rule, approved, declined, responded, expired, escalated, another_edge, moved_on,
        dry_run, read_only, asked_by_policy, tried_again, happened, failed, failed_for_good, refused_outside, under_way, spoilt, spoilt_outside, arrived, lost, overdue, left,
    )
}  # fmt: skip
