"""A wait state is ended by an event or by its deadline, and by nothing else but a command out of it."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import Command
from pydantic import BaseModel

from interlock import DeliveryStatus, Event, Workflow, command
from interlock.checkpointing.store.audit import AuditKind
from interlock.rules.conditions import has_role
from tests.events.support import (
    Answered,
    Asked,
    Clock,
    Confirmed,
    Desk,
    ask,
    closing_desk,
    envelope,
    give_up,
    waiting_flow,
)


class Sent(Event, name="parcel.sent"):
    parcel: str


class Arrived(Event, name="parcel.arrived"):
    parcel: str


class Lost(Event, name="parcel.lost"):
    parcel: str


class Parcels(BaseModel):
    parcels: list[str] = ["a", "b", "c"]
    arrived: list[str] = []
    order_id: str = "o-1"


def parcels(**wait: Any) -> Desk:
    flow = Workflow("parcels", data=Parcels)
    flow.add_wait(
        "sent",
        **{
            "for_event": Arrived, "each": "parcels", "part": "parcel", "within": "2h",
            "then": "done", "on_timeout": "overdue", **wait,
        },
    )  # fmt: skip
    for state in {"done", "overdue", wait.get("on_failure", "done")}:
        flow.add_state(state, final=True)
    return Desk(flow)


def test_an_event_ends_it_and_the_graph_goes_on(desk: Desk) -> None:
    workflow_id = desk.ask()
    assert desk.shown().interrupts[0].value["type"] == "wait"

    delivery = desk.deliveries.deliver(envelope(Answered(number=4), workflow_id))

    assert delivery.status is DeliveryStatus.TAKEN
    assert delivery.workflow_ids == (workflow_id,)
    assert desk.state(workflow_id) == "answered"
    assert desk.shown().values["state"] == "answered"
    assert desk.shown().next == ()


def test_the_deadline_ends_it_by_the_clock_of_the_database(desk: Desk) -> None:
    workflow_id = desk.ask()

    desk.clock.forward(hours=1, minutes=59)
    assert desk.deliveries.tick().ended == []
    desk.clock.forward(minutes=1)
    ticked = desk.deliveries.tick()

    assert ticked.ended == ticked.resumed == [workflow_id]
    assert desk.state(workflow_id) == desk.shown().values["state"] == "overdue"
    assert desk.deliveries.tick().ended == []


def test_an_event_after_the_deadline_is_late_even_when_nobody_had_looked(desk: Desk) -> None:
    workflow_id = desk.ask()
    desk.clock.forward(hours=3)

    delivery = desk.deliveries.deliver(envelope(Answered(), workflow_id))

    assert delivery.status is DeliveryStatus.LATE
    assert "timed_out" in (delivery.note or "")
    assert desk.state(workflow_id) == "overdue"


def test_a_run_that_comes_to_an_overdue_wait_takes_the_deadlines_edge(desk: Desk) -> None:
    workflow_id = desk.ask()
    desk.clock.forward(hours=3)

    output = desk.graph.invoke({"messages": [("user", "well?")]}, desk.config())

    assert output["state"] == desk.state(workflow_id) == "overdue"


@pytest.mark.parametrize("answer", ["yes", {"type": "approve"}, True])
def test_a_strangers_answer_changes_nothing(desk: Desk, answer: Any) -> None:
    workflow_id = desk.ask()

    output = desk.graph.invoke(Command(resume=answer), desk.config())

    assert output["__interrupt__"][0].value["type"] == "wait"
    assert desk.state(workflow_id) == "asked"
    desk.deliveries.deliver(envelope(Answered(), workflow_id))
    assert desk.shown().values["state"] == "answered"


def test_a_strangers_answer_after_the_row_has_moved_lets_the_graph_follow_it(desk: Desk) -> None:
    workflow_id = desk.ask()
    desk.deliveries.deliver(envelope(Answered(), workflow_id), resume=False)

    output = desk.graph.invoke(Command(resume="anything"), desk.config())

    assert output["state"] == "answered"


def test_a_message_during_the_wait_is_kept_and_the_wait_goes_on(desk: Desk) -> None:
    workflow_id = desk.ask()
    before = desk.wait_of(workflow_id)

    output = desk.graph.invoke({"messages": [("user", "any news?")]}, desk.config())

    assert output["messages"][-1].content == "any news?"
    assert desk.wait_of(workflow_id) == before
    desk.deliveries.deliver(envelope(Answered(), workflow_id))
    assert desk.shown().values["state"] == "answered"


def test_a_wait_shows_what_it_expects_and_until_when(desk: Desk) -> None:
    workflow_id = desk.ask()

    wait = desk.wait_of(workflow_id)

    assert wait["dueAt"] == desk.clock.now + 2 * 3600 * 1_000_000
    assert wait["progress"] == {"requested": 1, "delivered": 0, "acknowledged": 0, "failed": 0, "timed_out": 0}
    assert wait["next"] == {"events": "answered", "deadline": "overdue", "failure": None}
    assert "probe.answered.v1" in wait["description"]
    assert desk.shown().interrupts[0].value == wait
    assert desk.graph.instances.snapshot(workflow_id).next_allowed_tools == ()


def test_a_command_may_lead_out_of_it_and_ends_it(clock: Clock) -> None:
    flow = waiting_flow()
    flow.add_state("given_up", final=True)
    flow.add_edge("asked", give_up, "given_up")
    with closing_desk(flow, clock=clock) as desk:
        workflow_id = desk.ask()
        assert desk.graph.instances.snapshot(workflow_id).next_allowed_tools == ("probe.give_up",)

        desk.graph.instances.execute(workflow_id, give_up, {})
        clock.forward(hours=3)

        assert desk.deliveries.tick().resumed == [workflow_id]
        assert desk.state(workflow_id) == desk.shown().values["state"] == "given_up"
        assert desk.deliveries.deliver(envelope(Answered(), workflow_id)).status is DeliveryStatus.LATE


def test_a_wait_without_events_is_a_timer(clock: Clock) -> None:
    flow = Workflow("timer")
    flow.add_wait("cooling", within="1d", on_timeout="cold")
    flow.add_state("cold", final=True)
    with closing_desk(flow, clock=clock) as desk:
        workflow_id = desk.start()
        clock.forward(hours=23)
        desk.deliveries.tick()
        assert desk.state(workflow_id) == "cooling"
        clock.forward(hours=1)
        desk.deliveries.tick()
        assert desk.shown().values["state"] == "cold"


def test_a_deadline_may_lead_back_and_the_time_begins_anew(clock: Clock) -> None:
    flow = Workflow("reminders")
    flow.add_wait("asked", for_event=Answered, within="1h", then="answered", on_timeout="asked")
    flow.add_state("answered", final=True)
    with closing_desk(flow, clock=clock) as desk:
        workflow_id = desk.start()
        waits = [desk.wait_of(workflow_id)["waitId"]]
        for _ in range(3):
            clock.forward(hours=1)
            assert desk.deliveries.tick().ended == [workflow_id]
            waits.append(desk.wait_of(workflow_id)["waitId"])

        assert len(set(waits)) == 4
        assert desk.shown().interrupts[0].value["waitId"] == waits[-1]
        desk.deliveries.deliver(envelope(Answered(), workflow_id))
        assert desk.shown().values["state"] == "answered"


async def test_it_works_the_same_in_an_event_loop(desk: Desk) -> None:
    workflow_id = desk.ask()
    other = desk.ask("t-2")

    delivery = await desk.deliveries.adeliver(envelope(Answered(), workflow_id))
    desk.clock.forward(hours=2)
    ticked = await desk.deliveries.atick()

    assert delivery.status is DeliveryStatus.TAKEN
    assert ticked.ended == [other]
    assert (await desk.graph.aget_state(desk.config())).values["state"] == "answered"
    assert (await desk.graph.aget_state(desk.config("t-2"))).values["state"] == "overdue"


def test_what_ended_it_is_in_the_audit_trail_and_the_trail_is_whole(desk: Desk) -> None:
    workflow_id = desk.ask()
    desk.deliveries.deliver(envelope(Answered(), workflow_id, event_id="evt_x"))

    came, moved = desk.graph.instances.audit(workflow_id)[-2:]

    assert (came.kind, moved.kind) == (AuditKind.EVENT_IN, AuditKind.TRANSITION)
    assert came.payload["eventId"] == moved.payload["eventId"] == "evt_x"  # type: ignore[index]
    assert moved.principal_id == "event:/outside"
    assert moved.payload["previousState"] == "asked"  # type: ignore[index]
    assert desk.store.verify(workflow_id) == []


def test_a_deadline_is_in_the_audit_trail_as_the_clocks(desk: Desk) -> None:
    workflow_id = desk.ask()
    desk.clock.forward(hours=2)
    desk.deliveries.tick()

    (moved,) = desk.graph.instances.audit(workflow_id)[-1:]

    assert moved.principal_id == "interlock:clock"
    assert moved.payload["ended"] == "timed_out"  # type: ignore[index]


def test_the_record_of_a_deadline_says_what_is_offered_after_it_to_whoever_started(clock: Clock) -> None:
    flow = waiting_flow(on_timeout="open")
    flow.add_edge("open", give_up, "overdue", guard=has_role("boss"))
    with closing_desk(flow, clock=clock) as desk:
        workflow_id = desk.ask()
        clock.forward(hours=2)
        desk.deliveries.tick()

        moved = desk.graph.instances.audit(workflow_id)[-1]
        assert moved.kind is AuditKind.TRANSITION
        assert moved.payload["nextAllowedTools"] == ["probe.ask"]  # type: ignore[index]


# Several events


@pytest.mark.parametrize(
    ("expect", "events", "ended"),
    [
        ("all", [Answered(), Confirmed()], [False, True]),
        ("all", [Answered(), Answered(), Confirmed()], [False, False, True]),
        ("any", [Confirmed()], [True]),
        (1, [Answered()], [True]),
        (2, [Confirmed(), Answered()], [False, True]),
    ],
)
def test_all_any_or_a_number_of_several_events(expect: Any, events: list[Event], ended: list[bool]) -> None:
    with closing_desk(waiting_flow(for_event=[Answered, Confirmed], expect=expect)) as desk:
        workflow_id = desk.ask()

        found = [bool(desk.deliveries.deliver(envelope(event, workflow_id)).ended) for event in events]

        assert found == ended
        assert desk.state(workflow_id) == "answered"


def test_a_number_of_one_event_counts_different_ones_only() -> None:
    with closing_desk(waiting_flow(expect=3)) as desk:
        workflow_id = desk.ask()
        ids = ["e-1", "e-1", "e-2", "e-2", "e-3"]

        found = [desk.deliveries.deliver(envelope(Answered(), workflow_id, event_id=one)).status for one in ids]

        assert [one.value for one in found] == ["taken", "duplicate", "taken", "duplicate", "taken"]
        assert desk.state(workflow_id) == "answered"


def test_one_tool_call_is_not_one_business_action_and_its_progress_is_seen() -> None:
    desk = parcels(delivered_by=Sent, failed_by=Lost, on_failure="lost")
    workflow_id = desk.start()

    def progress() -> dict[str, int]:
        return {name: number for name, number in desk.wait_of(workflow_id)["progress"].items() if number}

    assert progress() == {"requested": 3}
    desk.deliveries.deliver(envelope(Sent(parcel="a"), workflow_id))
    desk.deliveries.deliver(envelope(Sent(parcel="b"), workflow_id))
    assert progress() == {"requested": 1, "delivered": 2}
    desk.deliveries.deliver(envelope(Arrived(parcel="a"), workflow_id))
    assert progress() == {"requested": 1, "delivered": 1, "acknowledged": 1}
    items = {item["part"]: item["status"] for item in desk.wait_of(workflow_id)["items"]}
    assert items == {"a": "acknowledged", "b": "delivered", "c": "requested"}

    desk.clock.forward(hours=2)
    desk.deliveries.tick()
    moved = desk.graph.instances.audit(workflow_id)[-1].payload
    assert moved["progress"] == {"requested": 0, "delivered": 0, "acknowledged": 1, "failed": 0, "timed_out": 2}  # type: ignore[index]
    assert desk.state(workflow_id) == "overdue"
    desk.close()


def test_a_part_is_delivered_once_whatever_is_said_of_it_again() -> None:
    desk = parcels(delivered_by=Sent, failed_by=Lost, on_failure="lost")
    workflow_id = desk.start()

    found = [desk.deliveries.deliver(envelope(Sent(parcel="a"), workflow_id)).status for _ in range(2)]

    assert found == [DeliveryStatus.TAKEN, DeliveryStatus.LATE]
    desk.close()


def test_a_fan_out_is_over_when_every_part_has_come() -> None:
    desk = parcels()
    workflow_id = desk.start()

    found = [desk.deliveries.deliver(envelope(Arrived(parcel=one), workflow_id)).ended for one in ("b", "b", "a", "c")]

    assert [bool(one) for one in found] == [False, False, False, True]
    assert desk.state(workflow_id) == "done"
    desk.close()


def test_a_part_that_nobody_asked_for_counts_for_nothing() -> None:
    desk = parcels()
    workflow_id = desk.start()

    assert desk.deliveries.deliver(envelope(Arrived(parcel="x"), workflow_id)).status is DeliveryStatus.LATE
    assert desk.wait_of(workflow_id)["progress"]["requested"] == 3
    desk.close()


@pytest.mark.parametrize(("expect", "failures"), [("all", 1), (2, 2), ("any", 3)])
def test_it_fails_as_soon_as_enough_cannot_come_any_more(expect: Any, failures: int) -> None:
    desk = parcels(failed_by=Lost, on_failure="lost", expect=expect)
    workflow_id = desk.start()

    for one in ["a", "b", "c"][: failures - 1]:
        desk.deliveries.deliver(envelope(Lost(parcel=one), workflow_id))
    assert desk.state(workflow_id) == "sent"
    desk.deliveries.deliver(envelope(Lost(parcel=["a", "b", "c"][failures - 1]), workflow_id))

    assert desk.state(workflow_id) == "lost"
    desk.close()


def test_an_event_changes_the_data_in_the_same_transaction() -> None:
    desk = parcels(apply=lambda data, event: data.arrived.append(event.parcel))
    workflow_id = desk.start()
    before = desk.store.get(workflow_id).revision

    desk.deliveries.deliver(envelope(Arrived(parcel="b"), workflow_id))
    assert desk.store.get(workflow_id).data["arrived"] == ["b"]
    assert desk.store.get(workflow_id).revision == before + 1
    for one in "ac":
        desk.deliveries.deliver(envelope(Arrived(parcel=one), workflow_id))

    assert desk.store.get(workflow_id).data["arrived"] == ["b", "a", "c"]
    assert desk.shown().values["data"]["arrived"] == ["b", "a", "c"]
    desk.close()


@command("parcels.start", effect="transactional")
def start_parcels() -> str:
    """Send nothing."""
    return "started"


def test_a_fan_out_of_nothing_is_refused_before_anything_is_kept() -> None:
    flow = Workflow("parcels", data=Parcels)
    flow.add_state("open")
    flow.add_wait("sent", for_event=Arrived, each="parcels", part="parcel", then="done")
    flow.add_state("done", final=True)
    flow.add_edge("open", start_parcels, "sent")
    with closing_desk(flow) as desk:
        workflow_id = desk.start(data={"parcels": []})

        with pytest.raises(Exception, match="for each of"):
            desk.graph.instances.execute(workflow_id, start_parcels, {})

        assert desk.state(workflow_id) == "open"


# What is refused when it is compiled


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        ({"for_event": [Answered, Answered]}, "one event for two purposes"),
        ({"for_event": "probe.answered"}, "give the class of the event"),
        ({"for_event": ()}, "no event that could lead there"),
        ({"then": None}, "give then="),
        ({"on_timeout": None}, "deadline without a state"),
        ({"within": None}, "deadline without a state"),
        ({"failed_by": Confirmed}, "failed_by= without on_failure="),
        ({"expect": 0}, "a number from 1"),
        ({"expect": True}, "a number from 1"),
        ({"expect": "most"}, "a number from 1"),
        ({"for_event": [Answered, Confirmed], "expect": 3}, "cannot get more"),
        ({"each": "parcels"}, "or neither"),
        ({"part": "number"}, "or neither"),
        ({"each": "parcels", "part": "number"}, "workflow's data"),
        ({"key": "order_id"}, "workflow's data"),
        ({"each": lambda _: ["x"], "part": "colour"}, "probe.answered.v1, which has number"),
        ({"then": "nowhere"}, "does not have"),
    ],
)
def test_a_wait_that_cannot_work_is_refused_when_it_is_compiled(wait: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said) as refused:
        waiting_flow(**wait).compile()

    assert "'asked'" in str(refused.value)


def test_waits_for_one_event_agree_on_how_it_finds_them() -> None:
    flow = Workflow("parcels", data=Parcels)
    flow.add_wait("one", for_event=Ordered, key="order_id", then="two")
    flow.add_wait("two", for_event=Ordered, then="done")
    flow.add_state("done", final=True)

    with pytest.raises(Exception, match="the same key="):
        flow.compile()


class Ordered(Event, name="parcel.ordered"):
    order_id: str


def test_the_picture_shows_what_ends_it(desk: Desk) -> None:
    drawn = {(edge.source, edge.target) for edge in desk.graph.get_graph().edges if edge.source == "asked"}

    assert drawn == {("asked", "answered"), ("asked", "overdue"), ("asked", "asked")}


def test_what_it_waits_for_is_part_of_the_definitions_fingerprint() -> None:
    prints = {waiting_flow(**wait).definition().fingerprint for wait in ({}, {"within": "3h"}, {"for_event": Asked})}

    assert len(prints) == 3


assert ask.name == "probe.ask"
