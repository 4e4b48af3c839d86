"""The relay publishes what was committed, all of it, in the order of each workflow instance."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import sqlalchemy as sa

from interlock import WorkflowStore
from interlock.checkpointing.store import outbox
from interlock.checkpointing.store.outbox import OutboxStatus
from interlock.checkpointing.tables.workflow import relay_lanes
from interlock.events import InProcessBus, Message, Relay, RelayOptions, RelayThread, WireFormat
from interlock.events.cloudevents import read
from interlock.tools.errors import BusUnavailable, PublishRefused
from tests.events.support import (
    Asked,
    Clock,
    Desk,
    Recording,
    ask_often,
    emit_many,
    envelope,
    eventually,
    relayed,
    waiting_flow,
)


def counts(store: WorkflowStore) -> dict[str, int]:
    with store.read() as connection:
        return {status.value: number for status, number in outbox.counts(connection).items()}


def lanes(store: WorkflowStore) -> list[str]:
    with store.read() as connection:
        return [row[0] for row in connection.execute(sa.select(relay_lanes.c.workflow_id)) if row[0]]


def claimed(relay: Relay) -> int:
    """Let a relay claim what is due, and go no further."""
    return sum(len(lane.events) for lane in relay._first_claim(0.0).lanes.values())


async def until_settled(relay: Relay) -> None:
    """Relay until nothing is pending; pauses of some milliseconds pass between attempts."""
    for _ in range(10_000):
        await relay.drain()
        if not counts(relay.store).get("pending"):
            return
    raise AssertionError("something is pending for ever")


async def test_it_publishes_everything_once_and_in_the_order_of_each_instance(store: WorkflowStore) -> None:
    emit_many(store, {"wf_a": 40, "wf_b": 25, "wf_c": 1})
    bus = Recording()

    done = await relayed(store, bus, batch=7).drain()

    assert (done.published, done.retrying, done.dead) == (66, 0, 0)
    assert len({message.event_id for message in bus.messages}) == 66
    assert [bus.numbers(one) for one in ("wf_a", "wf_b", "wf_c")] == [[*range(40)], [*range(25)], [0]]
    assert counts(store) == {"published": 66}
    assert lanes(store) == []


async def test_many_relays_share_the_work_and_keep_the_order(store: WorkflowStore) -> None:
    emit_many(store, {f"wf_{number}": 12 for number in range(20)})
    bus = Slow()
    # Fewer than there are instances, twice over: a relay on a server holds the lanes of two batches at a time.
    relays = [relayed(store, bus, batch=4) for _ in range(4)]

    rounds = await asyncio.gather(*(relay.drain() for relay in relays))

    assert sum(done.published for done in rounds) == 240
    assert sum(done.published > 0 for done in rounds) > 1
    assert Counter(message.event_id for message in bus.messages).most_common(1)[0][1] == 1
    for number in range(20):
        assert bus.numbers(f"wf_{number}") == [*range(12)]


class Slow(Recording):
    """Gives others a chance between any two messages."""

    async def publish(self, message: Message) -> str:
        await asyncio.sleep(0.001)
        return await super().publish(message)


async def test_nothing_leaves_before_its_transaction_has_committed() -> None:
    desk = Desk(waiting_flow())
    bus = Recording()
    emit_many(desk.store, {"wf_a": 1})

    def undone() -> None:
        with desk.store.write() as connection:
            outbox.append(connection, [envelope(Asked(), "wf_b")], tenant="default", now=0)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        undone()

    await relayed(desk.store, bus).drain()
    assert [message.workflow_id for message in bus.messages] == ["wf_a"]
    desk.close()


async def test_a_refused_command_emits_nothing() -> None:
    desk = Desk(waiting_flow())
    workflow_id = desk.start()
    assert not desk.graph.instances.execute(workflow_id, "probe.ask", {"number": "many"})["ok"]

    bus = Recording()
    await relayed(desk.store, bus).drain()

    assert bus.messages == []
    desk.close()


async def test_events_of_one_command_leave_in_the_order_in_which_they_were_emitted() -> None:
    flow = waiting_flow()
    flow.add_edge("open", ask_often, "asked")
    desk = Desk(flow)
    workflow_id = desk.start()
    desk.graph.instances.execute(workflow_id, ask_often, {"times": 9})

    bus = Recording()
    await relayed(desk.store, bus, batch=2).drain()

    assert bus.numbers(workflow_id) == [*range(9)]
    trace = desk.store.get(workflow_id).trace_id
    assert {message.trace_id for message in bus.messages} == {trace}
    assert {message.headers["interlock-trace-id"] for message in bus.messages} == {trace}
    assert all(message.headers["traceparent"].startswith("00-") for message in bus.messages)
    desk.close()


# What does not go through


def poison(message: Message) -> Exception | None:
    return (
        PublishRefused("too large")
        if message.envelope().fields["number"] == 3 and message.workflow_id == "wf_bad"
        else None
    )


async def test_a_poison_event_is_tried_again_and_does_not_hold_up_its_neighbours(store: WorkflowStore) -> None:
    emit_many(store, {"wf_bad": 6, "wf_good": 6})
    bus = Recording(poison)

    first = await relayed(store, bus, first_pause=3600, longest_pause=3600).drain()

    assert (first.published, first.retrying) == (9, 1)
    assert bus.numbers("wf_good") == [*range(6)]
    assert bus.numbers("wf_bad") == [0, 1, 2]  # the order of the instance is kept while it is tried again
    assert lanes(store) == ["wf_bad"]


async def test_after_too_many_attempts_it_is_dead_and_its_instance_goes_on(store: WorkflowStore) -> None:
    emit_many(store, {"wf_bad": 6})
    bus = Recording(poison)
    relay = relayed(store, bus, attempts=3)

    await until_settled(relay)

    assert bus.numbers("wf_bad") == [0, 1, 2, 4, 5]
    with store.read() as connection:
        (dead,) = outbox.listing(connection, status=OutboxStatus.DEAD)
    assert (dead.attempts, dead.error) == (3, "too large")

    bus.refuse = lambda _: None
    with store.write() as connection:
        assert outbox.retry(connection, event_id=dead.event_id, now=store.now(connection)) == 1
    await relay.drain()
    assert bus.numbers("wf_bad") == [0, 1, 2, 4, 5, 3]
    assert counts(store) == {"published": 6}


async def test_pauses_grow_by_the_clock_of_the_database(clock: Clock) -> None:
    store = WorkflowStore.in_memory(clock=clock)
    emit_many(store, {"wf_bad": 4})
    bus = Recording(poison)
    relay = Relay(store, bus, options=RelayOptions(first_pause=10, longest_pause=1000, attempts=99))
    waited = []

    for _ in range(4):
        seconds = 0
        while not (await relay.run_once()).retrying:
            clock.forward(seconds=1)
            seconds += 1
        waited.append(seconds)

    assert waited[0] == 0
    assert 5 <= waited[1] <= 10
    assert 10 <= waited[2] <= 20
    assert 20 <= waited[3] <= 40
    store.close()


async def test_a_bus_that_is_away_uses_up_no_attempts_and_everything_leaves_in_order_when_it_is_back(
    store: WorkflowStore,
) -> None:
    emit_many(store, {"wf_a": 10, "wf_b": 10})
    away = [True]
    bus = Recording(lambda _: BusUnavailable("it is away") if away else None)
    relay = relayed(store, bus)

    for _ in range(20):
        assert (await relay.drain()).unavailable == "it is away"
    emit_many(store, {"wf_a": 1, "wf_b": 1})
    assert counts(store) == {"pending": 22}
    assert lanes(store) == []
    away.clear()
    done = await relay.drain()

    assert done.published == 22
    assert bus.numbers("wf_a") == bus.numbers("wf_b") == [*range(10), 0]
    with store.read() as connection:
        assert {event.attempts for event in outbox.listing(connection)} == {1}


async def test_the_lanes_of_a_relay_that_is_gone_are_free_when_its_time_is_over(clock: Clock) -> None:
    store = WorkflowStore.in_memory(clock=clock)
    emit_many(store, {"wf_a": 3})
    gone = Relay(store, InProcessBus(), options=RelayOptions(lease=60))
    assert claimed(gone) == 3

    bus = Recording()
    heir = relayed(store, bus)
    assert (await heir.drain()).published == 0
    clock.forward(seconds=59)
    assert (await heir.drain()).published == 0
    clock.forward(seconds=1)
    assert (await heir.drain()).published == 3

    assert bus.numbers() == [0, 1, 2]
    store.close()


async def test_a_relay_that_was_away_too_long_does_not_release_what_another_one_holds(clock: Clock) -> None:
    store = WorkflowStore.in_memory(clock=clock)
    emit_many(store, {"wf_a": 2})
    options = RelayOptions(lease=60)
    slow, heir = (Relay(store, InProcessBus(), options=options) for _ in range(2))
    held = slow._first_claim(0.0)
    clock.forward(seconds=61)
    assert claimed(heir) == 2

    with store.write() as connection:
        outbox.enter_gate(connection)
        outbox.release(connection, held.owner)

    assert lanes(store) == ["wf_a"]
    assert claimed(slow) == 0
    store.close()


# Running


def test_in_a_thread_it_publishes_what_is_emitted_while_it_runs() -> None:
    store = WorkflowStore.in_memory()
    bus = Recording()
    with RelayThread(Relay(store, bus, options=RelayOptions(idle=0.01))):
        emit_many(store, {"wf_a": 5})
        eventually(lambda: len(bus.messages) == 5)
        emit_many(store, {"wf_b": 5})
        eventually(lambda: len(bus.messages) == 10)
    assert bus.numbers("wf_b") == [*range(5)]
    eventually(lambda: counts(store) == {"published": 10})
    store.close()


def test_in_a_thread_it_outlives_an_outage_of_the_bus() -> None:
    store = WorkflowStore.in_memory()
    away = [1, 2]
    bus = Recording(lambda _: BusUnavailable(f"away {away.pop()}") if away else None)
    with RelayThread(relayed(store, bus)):
        emit_many(store, {"wf_a": 5})
        eventually(lambda: len(bus.messages) == 5)
    assert bus.numbers() == [*range(5)]
    store.close()


@pytest.mark.parametrize("wire", [*WireFormat])
async def test_the_event_is_the_same_in_every_form(wire: WireFormat) -> None:
    store = WorkflowStore.in_memory()
    emit_many(store, {"wf_a": 1})
    bus = Recording()

    await relayed(store, bus, wire=wire, schema_base="https://example.com/schemas").drain()

    (message,) = bus.messages
    with store.read() as connection:
        (event,) = outbox.listing(connection)
    assert read(message.body, message.headers).to_json() == message.envelope().to_json()
    assert message.envelope().event_id == event.event_id == message.event_id
    assert ("ce-dataschema" in message.headers) == (wire is WireFormat.BINARY)
    store.close()


async def test_trimming_takes_what_was_published_long_ago_and_nothing_else(clock: Clock) -> None:
    store = WorkflowStore.in_memory(clock=clock)
    emit_many(store, {"wf_a": 10})
    await relayed(store, Recording()).drain()
    clock.forward(days=8)
    emit_many(store, {"wf_b": 3, "wf_c": 2})
    await relayed(
        store, Recording(lambda m: PublishRefused("no") if m.workflow_id == "wf_c" else None), attempts=1
    ).drain()
    emit_many(store, {"wf_d": 1})

    before = clock.now - 7 * 86_400 * 1_000_000
    with store.write() as connection:
        assert outbox.trim(connection, before=before, limit=4) == 4
    with store.write() as connection:
        assert outbox.trim(connection, before=before, limit=100) == 6

    assert counts(store) == {"published": 3, "dead": 2, "pending": 1}
    store.close()


async def test_on_the_in_process_bus_an_event_waits_in_the_outbox_until_every_consumer_took_it() -> None:
    store = WorkflowStore.in_memory()
    emit_many(store, {"wf_a": 2})
    bus = InProcessBus()
    taken: list[str] = []
    failing = [True]

    def flaky(message: Message) -> None:
        if failing:
            failing.clear()
            raise OSError("the disk is full")
        taken.append(f"flaky {message.envelope().fields['number']}")

    bus.add(["probe.asked.v1"], flaky, consumer="flaky")
    bus.add(["probe.asked.v1"], lambda _: taken.append("other"), consumer="other")
    relay = relayed(store, bus)

    first = await relay.run_once()
    assert (first.published, first.retrying) == (0, 1)
    await until_settled(relay)

    assert [one for one in taken if one != "other"] == ["flaky 0", "flaky 1"]
    store.close()
