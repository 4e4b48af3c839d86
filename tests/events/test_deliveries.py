"""An event is taken in once, however often and whenever it comes, and none is lost."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import interlock
from interlock import DeliveryStatus, Event, EventEnvelope, Principal, ToolContext, Workflow, command, deliver
from interlock.checkpointing.store import inbox
from interlock.checkpointing.store.inbox import InboxEvent, InboxStatus
from interlock.checkpointing.store.settled import stops
from interlock.commands.waits.delivery import settle_due
from interlock.events import reply
from interlock.events.cloudevents import to_structured
from interlock.operations import Deliveries
from interlock.tools import EventId, TraceId, WorkflowId
from interlock.tools.errors import InvalidInput
from tests.events.support import Answered, Asked, Clock, Desk, ask, closing_desk, envelope, waiting_flow


class Paid(Event, name="order.paid"):
    order_id: str
    amount: int = 0


class Order(BaseModel):
    order_id: str = ""
    paid: int = 0


@command("order.place", effect="transactional")
def place(order_id: str, ctx: ToolContext[Order]) -> str:
    """Place an order."""
    ctx.data.order_id = order_id
    return order_id


def keyed_flow(**wait: Any) -> Workflow:
    flow = Workflow("orders", data=Order)
    flow.add_state("open")
    flow.add_wait(
        "placed",
        **{"for_event": Paid, "key": "order_id", "within": "1d", "then": "paid", "on_timeout": "unpaid", **wait},
    )
    flow.add_state("paid", final=True)
    flow.add_state("unpaid", final=True)
    flow.add_edge("open", place, "placed")
    return flow


@pytest.fixture
def orders(clock: Clock) -> Iterator[Desk]:
    with closing_desk(keyed_flow(), clock=clock) as made:
        yield made


def placed(desk: Desk, thread: str, order_id: str) -> str:
    workflow_id = desk.start(thread)
    desk.graph.instances.execute(workflow_id, place, {"orderId": order_id})
    desk.follow(workflow_id, thread)
    return workflow_id


def in_inbox(desk: Desk, event_id: str) -> InboxEvent:
    with desk.store.read() as connection:
        (event,) = inbox.find(connection, event_id)
    return event


def test_an_event_that_comes_again_is_dropped_and_counted(desk: Desk) -> None:
    workflow_id = desk.ask()
    event = envelope(Answered(), workflow_id)

    statuses = [desk.deliveries.deliver(event).status for _ in range(4)]

    assert statuses == [DeliveryStatus.TAKEN, *[DeliveryStatus.DUPLICATE] * 3]
    assert in_inbox(desk, event.event_id).repeats == 3
    assert [one.kind.value for one in desk.graph.instances.audit(workflow_id)].count("event_in") == 1


def test_one_id_from_two_sources_is_two_events() -> None:
    with closing_desk(waiting_flow(expect=2)) as desk:
        workflow_id = desk.ask()
        for source in ("/a", "/b"):
            delivery = desk.deliveries.deliver(envelope(Answered(), workflow_id, event_id="1", source=source))
            assert delivery.status is DeliveryStatus.TAKEN
        assert desk.state(workflow_id) == "answered"


def test_an_event_that_comes_before_its_wait_is_kept_for_it(desk: Desk) -> None:
    workflow_id = desk.start()
    early = desk.deliveries.deliver(envelope(Answered(), workflow_id, event_id="early"))
    assert early.status is DeliveryStatus.KEPT

    result = desk.graph.instances.execute(workflow_id, ask, {})

    assert result["currentState"] == "asked"
    assert desk.state(workflow_id) == "answered"
    assert in_inbox(desk, "early").status is InboxStatus.TAKEN


def test_an_event_for_an_instance_that_is_not_there_yet_is_visible_and_taken_when_it_is(desk: Desk) -> None:
    workflow_id = desk.graph.instances.id_of(desk.config())
    early = desk.deliveries.deliver(envelope(Answered(), workflow_id, event_id="early"))
    assert early.status is DeliveryStatus.UNMATCHED
    assert workflow_id in (early.note or "")

    desk.ask()

    assert desk.state(workflow_id) == "answered"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (lambda _: envelope(Answered(), "wf_unknown"), "no instance 'wf_unknown'"),
        (lambda workflow_id: envelope(Asked(), workflow_id), "no wait of the workflow probe expects probe.asked.v1"),
        (lambda workflow_id: envelope(Answered(), workflow_id, tenant="other"), "another tenant"),
    ],
)
def test_an_event_that_fits_no_workflow_is_visible_and_not_lost(desk: Desk, event: Any, said: str) -> None:
    workflow_id = desk.ask()
    sent: EventEnvelope = event(workflow_id)

    delivery = desk.deliveries.deliver(sent)

    assert delivery.status is DeliveryStatus.UNMATCHED
    kept = in_inbox(desk, sent.event_id)
    assert (kept.status, kept.note) == (InboxStatus.UNMATCHED, delivery.note)
    assert said in (kept.note or "")
    assert json.loads(kept.envelope) == sent.to_json()
    assert desk.state(workflow_id) == "asked"


def test_an_event_that_does_not_fit_its_class_moves_nothing_and_says_why(desk: Desk) -> None:
    workflow_id = desk.ask()
    bad = EventEnvelope.from_json({**envelope(Answered(), workflow_id).to_json(), "number": "many"})

    delivery = desk.deliveries.deliver(bad)

    assert delivery.status is DeliveryStatus.FAILED
    assert "number" in (in_inbox(desk, bad.event_id).note or "")
    assert desk.deliveries.deliver(envelope(Answered(), workflow_id)).status is DeliveryStatus.TAKEN


def test_a_field_that_its_class_does_not_know_is_no_reason_to_refuse_it(desk: Desk) -> None:
    workflow_id = desk.ask()
    grown = {**envelope(Answered(), workflow_id).to_json(), "colour": "red"}

    assert desk.deliveries.deliver(grown).status is DeliveryStatus.TAKEN


def test_what_apply_raises_is_kept_with_the_event_which_can_be_delivered_again() -> None:
    broken = [True]

    def apply(data: Order, event: Paid) -> None:
        if broken:
            raise LookupError("the rate is not known")
        data.paid += event.amount

    with closing_desk(keyed_flow(apply=apply)) as desk:
        workflow_id = placed(desk, "t", "o-1")
        assert (
            desk.deliveries.deliver(envelope(Paid(order_id="o-1", amount=5), event_id="p")).status
            is DeliveryStatus.FAILED
        )
        assert "the rate is not known" in (in_inbox(desk, "p").note or "")
        assert desk.state(workflow_id) == "placed"

        broken.clear()
        again = desk.deliveries.again(in_inbox(desk, "p"))

        assert again.status is DeliveryStatus.TAKEN
        assert desk.store.get(workflow_id).data["paid"] == 5
        assert desk.deliveries.again(in_inbox(desk, "p")).status is DeliveryStatus.DUPLICATE
        assert desk.store.get(workflow_id).data["paid"] == 5


def test_every_database_takes_an_event_in_once_and_keeps_what_comes_early(database_url: str) -> None:
    with closing_desk(waiting_flow(), database_url) as desk:
        early, waiting = desk.start("t-1"), desk.ask("t-2")
        event = envelope(Answered(), waiting)

        assert desk.deliveries.deliver(envelope(Answered(), early)).status is DeliveryStatus.KEPT
        assert desk.deliveries.deliver(event).status is DeliveryStatus.TAKEN
        assert desk.deliveries.deliver(event).status is DeliveryStatus.DUPLICATE
        assert desk.deliveries.deliver(envelope(Answered(), waiting)).status is DeliveryStatus.LATE
        desk.graph.instances.execute(early, ask, {})
        assert [desk.state(one) for one in (early, waiting)] == ["answered", "answered"]
        third = desk.ask("t-3")
        desk.clock.forward(hours=2)
        assert desk.deliveries.tick().ended == [third]
        assert desk.store.verify(third) == desk.store.verify(waiting) == []


class Address(BaseModel):
    zip_code: str


class Nested(Event, name="order.nested"):
    order_id: str
    ship_to: Address | None = None


def test_models_within_an_event_are_read_as_they_are_written_and_may_grow() -> None:
    seen: list[Any] = []
    flow = keyed_flow(for_event=Nested, apply=lambda _, event: seen.append(event))
    with closing_desk(flow) as desk:
        placed(desk, "t", "o-1")
        sent = envelope(Nested(order_id="o-1", ship_to=Address(zip_code="04109"))).to_json()
        assert sent["shipTo"] == {"zipCode": "04109"}
        sent |= {"shipTo": {"zipCode": "04109", "country": "de"}, "colour": "red"}

        assert desk.deliveries.deliver(sent).status is DeliveryStatus.TAKEN
        assert seen == [Nested(order_id="o-1", ship_to=Address(zip_code="04109"))]


# By a declared key


def test_a_declared_key_finds_the_instance(orders: Desk) -> None:
    one, two = placed(orders, "t-1", "o-1"), placed(orders, "t-2", "o-2")

    delivery = orders.deliveries.deliver(envelope(Paid(order_id="o-2")))

    assert delivery.workflow_ids == (two,)
    assert (orders.state(one), orders.state(two)) == ("placed", "paid")


def test_one_event_may_end_the_waits_of_several_instances(orders: Desk) -> None:
    ids = {placed(orders, f"t-{number}", "o-1") for number in range(3)}

    delivery = orders.deliveries.deliver(envelope(Paid(order_id="o-1")))

    assert set(delivery.workflow_ids) == ids
    assert {orders.state(one) for one in ids} == {"paid"}
    assert {orders.shown(f"t-{number}").values["state"] for number in range(3)} == {"paid"}


def test_a_key_is_kept_until_an_instance_has_it(orders: Desk) -> None:
    assert orders.deliveries.deliver(envelope(Paid(order_id="o-9"))).status is DeliveryStatus.KEPT

    assert orders.state(placed(orders, "t-1", "o-9")) == "paid"


def test_a_key_of_another_tenant_finds_nothing(orders: Desk) -> None:
    workflow_id = placed(orders, "t-1", "o-1")

    orders.deliveries.deliver(envelope(Paid(order_id="o-1"), tenant="acme"))

    assert orders.state(workflow_id) == "placed"


def test_an_instance_of_another_tenant_is_woken_by_its_own_events(clock: Clock) -> None:
    with closing_desk(waiting_flow(), clock=clock) as desk:
        ada = Principal("ada", tenant="acme")
        desk.graph.invoke({"messages": []}, desk.config(), context=ada)
        workflow_id = desk.graph.instances.id_of(desk.config())
        desk.graph.instances.execute(workflow_id, ask, {}, principal=ada)
        desk.graph.invoke({"messages": []}, desk.config(), context=ada)

        assert desk.deliveries.deliver(envelope(Answered(), workflow_id)).status is DeliveryStatus.UNMATCHED
        assert desk.deliveries.deliver(envelope(Answered(), workflow_id, tenant="acme")).status is DeliveryStatus.TAKEN
        assert desk.shown().values["state"] == "answered"


def test_an_event_without_its_key_is_visible(orders: Desk) -> None:
    data = envelope(Paid(order_id="o-1")).to_json()
    del data["orderId"]

    assert orders.deliveries.deliver(data).status in {DeliveryStatus.UNMATCHED, DeliveryStatus.FAILED}
    assert in_inbox(orders, str(data["eventId"])).note


def test_an_event_and_a_wait_that_were_written_at_the_same_moment_find_each_other(orders: Desk) -> None:
    """Neither transaction saw the other one: the event was kept, and the wait began without it."""
    orders.deliveries.deliver(envelope(Paid(order_id="o-1"), event_id="p"))
    kept = in_inbox(orders, "p")
    with orders.store.write() as connection:
        inbox.settle(connection, kept, InboxStatus.FAILED, note=None, now=0, correlation=None)
    workflow_id = placed(orders, "t-1", "o-1")
    assert orders.state(workflow_id) == "placed"
    with orders.store.write() as connection:
        inbox.settle(connection, kept, InboxStatus.KEPT, note=None, now=0, correlation=kept.correlation)

    ended = settle_due(orders.graph.engine).ended

    assert [wait.workflow_id for wait in ended] == [workflow_id]
    assert orders.state(workflow_id) == "paid"


# Late ones


def test_a_late_answer_is_not_taken_for_that_to_a_later_question(clock: Clock) -> None:
    flow = Workflow("rounds")
    flow.add_state("open")
    flow.add_wait("asked", for_event=Answered, within="1h", then="answered", on_timeout="open")
    flow.add_state("answered", final=True)
    flow.add_edge("open", ask, "asked")
    with closing_desk(flow, clock=clock) as desk:
        workflow_id = desk.ask()
        clock.forward(hours=1)
        desk.deliveries.tick()
        assert desk.deliveries.deliver(envelope(Answered(), workflow_id)).status is DeliveryStatus.LATE

        desk.graph.instances.execute(workflow_id, ask, {})

        assert desk.state(workflow_id) == "asked"
        assert desk.deliveries.deliver(envelope(Answered(), workflow_id)).status is DeliveryStatus.TAKEN


def test_an_event_for_a_workflow_that_cannot_come_to_its_wait_any_more_is_late(desk: Desk) -> None:
    workflow_id = desk.ask()
    desk.deliveries.deliver(envelope(Answered(), workflow_id))

    late = desk.deliveries.deliver(envelope(Answered(), workflow_id))

    assert late.status is DeliveryStatus.LATE


# The door


def test_deliver_takes_an_event_in_every_form(desk: Desk) -> None:
    ids = [desk.ask(f"t-{number}") for number in range(6)]
    forms: list[Any] = [envelope(Answered(), one) for one in ids]
    forms[1] = forms[1].to_json()
    forms[2] = json.dumps(forms[2].to_json())
    forms[3] = json.dumps(forms[3].to_json()).encode()
    forms[4] = to_structured(forms[4])

    assert [deliver(form, desk.graph).status.value for form in forms[:5]] == ["taken"] * 5
    assert deliver(Answered(), desk.graph, workflow_id=ids[5]).status is DeliveryStatus.TAKEN
    assert {desk.state(one) for one in ids} == {"answered"}


@pytest.mark.parametrize("nothing", [b"{", "[]", {"eventName": "x"}, 7, Answered()])
def test_what_is_no_event_is_refused_and_nothing_is_kept(desk: Desk, nothing: Any) -> None:
    with pytest.raises(InvalidInput):
        deliver(nothing, desk.graph)

    with desk.store.read() as connection:
        assert inbox.listing(connection) == []


def test_an_id_that_could_not_be_kept_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="event_id is longer than 128"):
        deliver(envelope(Answered(), "wf", event_id="x" * 200), desk.graph)


@pytest.mark.parametrize("field", ["event_id", "source", "tenant", "trace_id"])
@pytest.mark.parametrize(("end", "why"), [(" ", "ends with a space"), ("\0", "holds a NUL")])
def test_an_id_that_a_database_would_take_for_another_is_refused_on_all(
    database_url: str, field: str, end: str, why: str
) -> None:
    with closing_desk(waiting_flow(), database_url) as desk:
        desk.store.setup()
        named = {"event_id": "e-1", "source": "/here", "tenant": "default", "trace_id": "trace_1"}
        outcomes = []
        for ending in ("", end):
            said = {**named, field: named[field] + ending}
            event = EventEnvelope.wrap(
                Answered(),
                event_id=EventId(said["event_id"]),
                occurred_at=dt.datetime.now(dt.UTC),
                trace_id=TraceId(said["trace_id"]),
                workflow_id=WorkflowId("wf"),
                metadata={"source": said["source"], "tenant": said["tenant"]},
            )
            try:
                outcomes.append(str(deliver(event, desk.graph).status))
            except InvalidInput as error:
                outcomes.append(error.message)
        assert outcomes[0] == "unmatched"
        assert f"{field} {why}" in outcomes[1]
        with desk.store.read() as connection:
            assert len(inbox.listing(connection)) == 1


def test_what_came_over_a_bus_under_such_a_name_is_kept_for_a_person_to_see(desk: Desk) -> None:
    desk.deliveries.keep_unreadable(b"{", name="x" * 127 + " \0y", problem="no event")
    with desk.store.read() as connection:
        (kept,) = inbox.listing(connection)
    assert (kept.event_name, kept.note) == ("x" * 127, "no event")


def test_without_a_workflow_the_one_that_the_environment_names_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    url = f"sqlite:///{tmp_path / 'd.db'}"
    with closing_desk(waiting_flow(), url) as desk:
        workflow_id = desk.ask()
        monkeypatch.setenv("INTERLOCK_APP", "tests.events.support:waiting_flow")
        monkeypatch.setenv("INTERLOCK_DB", url)

        delivery = interlock.deliver(envelope(Answered(), workflow_id))

        assert delivery.status is DeliveryStatus.TAKEN
        assert desk.state(workflow_id) == desk.shown().values["state"] == "answered"


def test_a_graph_inside_another_one_is_resumed_through_its_root(clock: Clock) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import START, MessagesState, StateGraph

    with closing_desk(waiting_flow("inner"), clock=clock) as desk:
        inner = desk.graph
        outer = StateGraph(MessagesState)
        outer.add_node("inner", inner)
        outer.add_edge(START, "inner")
        root = outer.compile(checkpointer=InMemorySaver())
        root.invoke({"messages": []}, desk.config())
        (workflow_id,) = [one.workflow_id for one in desk.store.instances()]
        inner.instances.execute(workflow_id, ask, {})
        root.invoke({"messages": []}, desk.config())
        assert root.get_state(desk.config()).interrupts[0].value["type"] == "wait"

        alone = Deliveries(inner).deliver(envelope(Answered(), workflow_id))
        assert alone.status is DeliveryStatus.TAKEN
        assert root.get_state(desk.config()).interrupts

        Deliveries(inner, root).tick()
        assert root.get_state(desk.config()).next == ()


def test_a_resume_that_fails_is_made_up_for_by_the_next_tick(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow_id = desk.ask()
    with monkeypatch.context() as patch:
        patch.setattr(type(desk.graph), "invoke", _broken)
        delivery = desk.deliveries.deliver(envelope(Answered(), workflow_id))
    assert delivery.status is DeliveryStatus.TAKEN
    assert desk.shown().values["state"] == "asked"

    assert desk.deliveries.tick().resumed == [workflow_id]

    assert desk.shown().values["state"] == "answered"
    with desk.store.read() as connection:
        assert (
            stops.pending(connection, workflow="probe", now=1 << 62, decided_before=1 << 62, inside=True, limit=9) == []
        )


def _broken(*_: Any, **__: Any) -> Any:
    raise ConnectionError("the model's provider is away")


def test_a_reply_to_an_event_that_came_twice_is_one_event(desk: Desk) -> None:
    workflow_id = desk.ask()
    request = envelope(Asked(number=3), workflow_id)

    first, second = (reply(request, Answered(number=3), source="/sender") for _ in range(2))

    assert first.event_id == second.event_id
    assert (first.workflow_id, first.trace_id) == (request.workflow_id, request.trace_id)
    assert first.metadata["causedBy"] == request.event_id
    assert reply(request, Answered(number=4), source="/sender").event_id != first.event_id
    assert desk.deliveries.deliver(first).status is DeliveryStatus.TAKEN
    assert desk.deliveries.deliver(second).status is DeliveryStatus.DUPLICATE
