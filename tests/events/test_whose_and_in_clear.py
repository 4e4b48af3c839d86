"""Waits and the events for them belong to one tenant, hide what is sensitive, and leave an effect under way alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from interlock import DeliveryStatus, Event, Principal, ToolContext, Workflow, command
from interlock.checkpointing.store.inbox import InboxStatus
from interlock.tools import OutcomeUnknown
from tests.events.support import Answered, Clock, Desk, closing_desk, envelope, waiting_flow
from tests.events.test_deliveries import Order, Paid, in_inbox, keyed_flow, place, placed

ADA = Principal("ada", tenant="acme")


def placed_by(desk: Desk, who: Principal, thread: str, order_id: str) -> str:
    """As `placed`, for somebody of a tenant of their own."""
    desk.graph.invoke({"messages": []}, desk.config(thread), context=who)
    workflow_id = desk.graph.instances.id_of(desk.config(thread))
    desk.graph.instances.execute(workflow_id, "order.place", {"orderId": order_id}, principal=who)
    return workflow_id


class TestTenants:
    def test_an_early_event_is_kept_for_an_instance_of_its_own_tenant(self, clock: Clock) -> None:
        with closing_desk(keyed_flow(), clock=clock) as desk:
            assert desk.deliveries.deliver(envelope(Paid(order_id="o-1"), event_id="p", tenant="acme")).status is (
                DeliveryStatus.KEPT
            )

            ours = placed(desk, "t-1", "o-1")
            desk.deliveries.tick()

            assert desk.state(ours) == "placed"
            assert in_inbox(desk, "p").status is InboxStatus.KEPT
            theirs = placed_by(desk, ADA, "t-2", "o-1")
            assert desk.state(theirs) == "paid"
            assert in_inbox(desk, "p").status is InboxStatus.TAKEN
            assert desk.state(ours) == "placed"

    def test_an_event_counts_for_the_waits_of_its_own_tenant_alone(self, clock: Clock) -> None:
        with closing_desk(keyed_flow(), clock=clock) as desk:
            ours, theirs = placed(desk, "t-1", "o-1"), placed_by(desk, ADA, "t-2", "o-1")

            delivery = desk.deliveries.deliver(envelope(Paid(order_id="o-1"), tenant="acme"))

            assert delivery.workflow_ids == (theirs,)
            assert (desk.state(ours), desk.state(theirs)) == ("placed", "paid")


class Delivered(Event, name="card.delivered"):
    order_id: str


class Lost(Event, name="card.lost"):
    order_id: str


class CardData(BaseModel):
    order_id: str = ""
    card_number: str = ""


SECRET = "4111-1111-1111-1111"


@command("card.order", effect="transactional", sensitive=["card_number"])
def order_card(order_id: str, card_number: str, ctx: ToolContext[CardData]) -> str:
    """Order a card."""
    ctx.data.order_id, ctx.data.card_number = order_id, card_number
    return order_id


def card_flow() -> Workflow:
    flow = Workflow("cards", data=CardData)
    flow.add_state("open")
    flow.add_wait(
        "ordered", for_event=Delivered, failed_by=Lost, key="order_id", within="2h",
        then="delivered", on_failure="lost", on_timeout="overdue",
    )  # fmt: skip
    for state in ("delivered", "lost", "overdue"):
        flow.add_state(state, final=True)
    flow.add_edge("open", order_card, "ordered")
    return flow


@pytest.mark.parametrize("ends_by", ["delivered", "lost", "overdue"])
def test_the_record_of_a_wait_that_ended_has_no_sensitive_data_in_clear(clock: Clock, ends_by: str) -> None:
    with closing_desk(card_flow(), clock=clock) as desk:
        workflow_id = desk.start()
        desk.graph.instances.execute(workflow_id, order_card, {"orderId": "o-1", "cardNumber": SECRET})
        if ends_by == "overdue":
            clock.forward(hours=2)
            desk.deliveries.tick()
        else:
            event: Event = Delivered(order_id="o-1") if ends_by == "delivered" else Lost(order_id="o-1")
            desk.deliveries.deliver(envelope(event))

        assert desk.state(workflow_id) == ends_by
        assert desk.store.get(workflow_id).data["card_number"] == SECRET, "the data themselves are kept"
        trail = [record.payload for record in desk.graph.instances.audit(workflow_id)]
        assert SECRET not in json.dumps(trail)
        assert trail[-1] is not None
        assert trail[-1]["data"]["order_id"] == "o-1", "what is not sensitive is on the record"


class TestWhileAnEffectIsUnderWay:
    """A command out of the wait has begun outside the database: neither a deadline nor an event may end the wait under it."""

    def desk(self, clock: Clock, meanwhile: Any) -> tuple[Workflow, Any]:
        @command("probe.cancel", effect="at_most_once")
        def cancel() -> str:
            """Cancel with somebody else's system."""
            meanwhile()
            return "cancelled"

        flow = Workflow("probe")
        flow.add_wait("asked", for_event=Answered, within="2h", then="answered", on_timeout="overdue")
        for state in ("answered", "overdue", "cancelled"):
            flow.add_state(state, final=True)
        flow.add_edge("asked", cancel, "cancelled")
        return flow, cancel

    @pytest.mark.parametrize("found_by", ["the tick", "an event"])
    def test_a_deadline_that_passes_then_does_not_fire(self, clock: Clock, found_by: str) -> None:
        seen: list[Any] = []

        def meanwhile() -> None:
            clock.forward(hours=3)
            if found_by == "the tick":
                seen.extend(desk.deliveries.tick().ended)
            else:
                desk.deliveries.deliver(envelope(Answered(), workflow_id))
            seen.append(desk.state(workflow_id))

        flow, cancel = self.desk(clock, meanwhile)
        with closing_desk(flow, clock=clock) as desk:
            workflow_id = desk.start()
            result = desk.graph.instances.execute(workflow_id, cancel, {})

            assert result["ok"], result
            assert seen == ["asked"]
            assert desk.state(workflow_id) == "cancelled"
            assert desk.store.verify(workflow_id) == []

    def test_an_event_that_comes_then_is_kept_and_the_command_goes_through(self, clock: Clock) -> None:
        seen: list[Any] = []

        def meanwhile() -> None:
            seen.append(desk.deliveries.deliver(envelope(Answered(), workflow_id)).status)
            seen.append(desk.state(workflow_id))

        flow, cancel = self.desk(clock, meanwhile)
        with closing_desk(flow, clock=clock) as desk:
            workflow_id = desk.start()
            assert desk.graph.instances.execute(workflow_id, cancel, {})["ok"]

            assert seen == [DeliveryStatus.KEPT, "asked"]
            assert desk.state(workflow_id) == "cancelled"

    def test_an_event_that_was_kept_then_is_taken_when_the_effect_turns_out_not_to_have_happened(
        self, clock: Clock
    ) -> None:
        def meanwhile() -> None:
            desk.deliveries.deliver(envelope(Answered(), workflow_id))
            raise ConnectionError("no answer")

        flow, cancel = self.desk(clock, meanwhile)
        with closing_desk(flow, clock=clock) as desk:
            workflow_id = desk.start()
            with pytest.raises(OutcomeUnknown, match="it is unknown whether"):
                desk.graph.instances.execute(workflow_id, cancel, {})
            assert desk.deliveries.tick().ended == []
            assert desk.state(workflow_id) == "asked"

            desk.graph.instances.resolve(workflow_id, "failed", by=Principal("boss"))
            desk.deliveries.tick()

            assert desk.state(workflow_id) == "answered"


@command("order.claim", effect="transactional")
def claim(order_id: str, ctx: ToolContext[Order]) -> str:
    """Claim that an order was paid."""
    ctx.data.order_id = order_id
    return order_id


def two_payments(**wait: Any) -> Workflow:
    flow = Workflow("orders", data=Order)
    flow.add_state("open")
    for state, then in (("placed", "shipped"), ("shipped", "settled")):
        flow.add_wait(state, for_event=Paid, key="order_id", within="1d", then=then, on_timeout="unpaid", **wait)
    flow.add_state("settled", final=True)
    flow.add_state("unpaid", final=True)
    flow.add_edge("open", place, "placed")
    return flow


def test_of_events_that_came_early_each_ends_one_wait_and_is_looked_at_once(clock: Clock) -> None:
    with closing_desk(two_payments(), clock=clock) as desk:
        for number in (1, 2, 3):
            desk.deliveries.deliver(envelope(Paid(order_id="o-1"), event_id=f"p{number}"))

        workflow_id = placed(desk, "t-1", "o-1")

        assert desk.state(workflow_id) == "settled"
        assert desk.store.get(workflow_id).finished
        statuses = [in_inbox(desk, f"p{number}").status for number in (1, 2, 3)]
        assert statuses == [InboxStatus.TAKEN, InboxStatus.TAKEN, InboxStatus.KEPT]


def test_each_wait_takes_an_event_only_of_the_sources_that_it_trusts_itself(clock: Clock) -> None:
    flow = two_payments()
    flow.add_wait(
        "claimed", for_event=Paid, key="order_id", within="1d", then="settled", on_timeout="unpaid", sources=["/bank"]
    )
    flow.add_edge("open", claim, "claimed")
    with closing_desk(flow, clock=clock) as desk:
        workflow_id = desk.start("t-1")
        desk.graph.instances.execute(workflow_id, claim, {"orderId": "o-1"})

        desk.deliveries.deliver(envelope(Paid(order_id="o-1")))
        assert desk.state(workflow_id) == "claimed"
        desk.deliveries.deliver(envelope(Paid(order_id="o-1"), source="/bank"))
        assert desk.state(workflow_id) == "settled"


def test_an_event_for_an_instance_of_another_workflow_is_for_none_of_this_one(clock: Clock) -> None:
    with closing_desk(waiting_flow("probe"), clock=clock) as desk:
        theirs = waiting_flow("other").compile(workflow_store=desk.store)
        theirs.invoke({"messages": []}, {"configurable": {"thread_id": "o-1"}})
        workflow_id = theirs.instances.id_of({"configurable": {"thread_id": "o-1"}})

        delivery = desk.deliveries.deliver(envelope(Answered(), workflow_id))

        assert delivery.status is DeliveryStatus.UNMATCHED
        assert "no instance" in (delivery.note or "")
