"""Processes are killed and brokers go away, at every place where it hurts: nothing is lost, and business happens once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from pathlib import Path
from typing import Any

import pytest

from interlock import DeliveryStatus, WorkflowStore
from interlock.checkpointing.fault_points import hang
from interlock.checkpointing.store import inbox, outbox
from interlock.checkpointing.store.inbox import InboxStatus
from interlock.checkpointing.store.outbox import OutboxStatus
from interlock.checkpointing.store.settled import stops
from interlock.events import InProcessBus, Message, Relay, RelayOptions, message_of
from interlock.events.brokers import open_bus
from interlock.events.points import EventPoint
from tests.events.conftest import Broker
from tests.events.processes import running
from tests.events.support import (
    Answered,
    Asked,
    Clock,
    Desk,
    Recording,
    aeventually,
    emit_many,
    envelope,
    eventually,
    relayed,
    waiting_flow,
    wire,
)

ASKED = Asked.name_on_wire


def killed(what: str, point: str, database: str, broker: Broker) -> None:
    """Let a process run until it kills itself at a point."""
    with running("-m", "tests.events.mortal", what, point, database, broker.url, broker.prefix) as mortal:
        assert mortal.wait() == -9, mortal.lines
        assert "alive" not in mortal.lines


@pytest.mark.parametrize("point", [EventPoint.BEFORE_PUBLISH, EventPoint.AFTER_PUBLISH])
async def test_a_relay_that_is_killed_loses_nothing_and_its_heir_keeps_the_order(
    point: EventPoint, nats: Broker, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    store = WorkflowStore(url)
    emit_many(store, {"wf_a": 12, "wf_b": 12})
    await asyncio.to_thread(killed, "relay", point, url, nats)
    with store.read() as connection:
        assert outbox.counts(connection) == {OutboxStatus.PENDING: 24}

    got: list[Message] = []
    async with open_bus(nats.url, prefix=nats.prefix) as bus, bus.subscribe([ASKED], got.append, consumer="reader"):
        heir = Relay(store, bus, options=RelayOptions(lease=0.2, idle=0.01))
        stop = asyncio.Event()
        task = asyncio.create_task(heir.run(stop))
        await aeventually(lambda: len(got) == 24)
        stop.set()
        await task

    for workflow_id in ("wf_a", "wf_b"):
        mine = [one.envelope().fields["number"] for one in got if one.workflow_id == workflow_id]
        assert mine == [*range(12)]
    with store.read() as connection:
        assert outbox.counts(connection) == {OutboxStatus.PUBLISHED: 24}
    store.close()


@pytest.mark.parametrize("point", ["publish.before@2", "publish.after@2", "publish.after@3"])
async def test_a_relay_that_is_killed_with_two_batches_under_way_loses_nothing_and_its_heir_keeps_the_order(
    point: str, database_url: str, nats: Broker
) -> None:
    """On a server one batch is written down, and the next one claimed, while another is on its way."""
    store = WorkflowStore(database_url)
    store.setup()
    emit_many(store, {"wf_a": 24, "wf_b": 24})
    got: list[Message] = []
    async with open_bus(nats.url, prefix=nats.prefix) as bus, bus.subscribe([ASKED], got.append, consumer="reader"):
        await asyncio.to_thread(killed, "relay", point, database_url, nats)
        assert count(store, OutboxStatus.PENDING) > 0
        heir = Relay(store, bus, options=RelayOptions(lease=1.0, idle=0.01))
        stop = asyncio.Event()
        task = asyncio.create_task(heir.run(stop))
        await aeventually(lambda: len(ids(got)) == 48 and count(store, OutboxStatus.PUBLISHED) == 48)
        stop.set()
        await task

    for workflow_id in ("wf_a", "wf_b"):
        mine = [one.envelope().fields["number"] for one in first_of_each(got) if one.workflow_id == workflow_id]
        assert mine == [*range(24)]
    store.close()


async def test_published_and_not_marked_is_published_again_under_the_same_id(clock: Clock) -> None:
    """What a bus without a memory of its own sees when the relay dies at the worst moment."""
    store = WorkflowStore.in_memory(clock=clock)
    emit_many(store, {"wf_a": 3})
    bus = Recording()

    def die(point: str) -> None:
        if point == EventPoint.AFTER_PUBLISH:
            raise InterruptedError(point)

    before = hang(die)
    try:
        with pytest.raises(InterruptedError):
            await relayed(store, bus).run_once()
    finally:
        hang(before)
    clock.forward(seconds=61)
    await relayed(store, bus).drain()

    assert bus.numbers() == [0, 1, 2, 0, 1, 2]
    ids = [message.event_id for message in bus.messages]
    assert ids[:3] == ids[3:]
    store.close()


async def test_a_subscription_killed_before_it_acknowledged_takes_the_event_once(
    broker: Broker, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'taken.db'}"
    desk = Desk(waiting_flow(), url, None)
    workflow_id = await asyncio.to_thread(desk.ask)
    bus: Any = open_bus(broker.url, prefix=broker.prefix)
    bus.claim_after = 0.1
    async with bus:
        async with bus.subscribe([Answered.name_on_wire], lambda _: None, consumer="probe"):
            pass
        event = envelope(Answered(), workflow_id)
        await bus.publish(message_of(event, prefix=bus.header_prefix))
        await asyncio.to_thread(killed, "subscription", EventPoint.BEFORE_ACKNOWLEDGE, url, broker)
        assert desk.state(workflow_id) == "answered"

        if broker.kind == "nats":  # JetStream gives it back only when its acknowledgement is overdue
            statuses = [desk.deliveries.deliver(event).status]
        else:
            statuses = []
            async with bus.subscribe(
                [Answered.name_on_wire],
                lambda one: statuses.append(desk.deliveries.deliver(one.envelope()).status),
                consumer="probe",
            ):
                await aeventually(lambda: statuses)

    assert statuses == [DeliveryStatus.DUPLICATE]
    moved = [one for one in desk.store.audit(workflow_id) if one.kind.value == "event_in"]
    assert len(moved) == 1
    assert desk.store.verify(workflow_id) == []
    desk.close()


async def test_while_the_broker_is_down_the_outbox_grows_and_afterwards_it_drains_once_and_in_order(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    store = WorkflowStore.in_memory()
    got: list[Message] = []
    async with (
        open_bus(broker.url, prefix=broker.prefix) as near,
        near.subscribe([ASKED], got.append, consumer="reader"),
        wire(broker.url) as cable,
    ):
        far: Any = open_bus(cable.url, prefix=broker.prefix)
        far.timeout = 2.0
        stop = asyncio.Event()
        options = RelayOptions(first_pause=0.05, longest_pause=0.2, lease=1.0, idle=0.01, attempts=3)
        relay = asyncio.create_task(Relay(store, far, options=options).run(stop))
        await asyncio.to_thread(emit_many, store, {"wf_a": 5, "wf_b": 5})
        await aeventually(lambda: len(got) == 10)

        await cable.cut()
        await asyncio.to_thread(emit_many, store, {"wf_a": 20, "wf_b": 20}, kind=Asked)
        await aeventually(lambda: "reach" in caplog.text or count(store, OutboxStatus.PENDING) == 40)
        assert count(store, OutboxStatus.PENDING) == 40

        await cable.mend()
        await aeventually(lambda: len(ids(got)) == 50, 60)
        stop.set()
        await relay

    for workflow_id in ("wf_a", "wf_b"):
        mine = [one.envelope().fields["number"] for one in first_of_each(got) if one.workflow_id == workflow_id]
        assert mine == [*range(5), *range(20)]
    assert count(store, OutboxStatus.PUBLISHED) == 50
    assert count(store, OutboxStatus.DEAD) == 0
    store.close()


def count(store: WorkflowStore, status: OutboxStatus) -> int:
    with store.read() as connection:
        return outbox.counts(connection).get(status, 0)


def ids(got: list[Message]) -> set[str]:
    return {one.event_id for one in got}


def first_of_each(got: list[Message]) -> list[Message]:
    """Without what came again: what the inbox would let through."""
    return [*{one.event_id: one for one in reversed(got)}.values()][::-1]


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_in_any_order_come_to_the_same_end(seed: int) -> None:
    desk = Desk(waiting_flow(expect=6))
    workflow_id = desk.ask()
    chance = random.Random(seed)
    events = [envelope(Answered(number=number), workflow_id) for number in range(6)]
    arriving = events * 4
    chance.shuffle(arriving)

    found = [desk.deliveries.deliver(event).status for event in arriving]

    assert found.count(DeliveryStatus.TAKEN) == 6
    assert found.count(DeliveryStatus.DUPLICATE) == 18
    assert desk.state(workflow_id) == desk.shown().values["state"] == "answered"
    desk.close()


def test_an_event_that_comes_again_after_its_record_was_trimmed_moves_nothing(desk: Desk) -> None:
    """Retention forgets that it was taken; the workflow does not."""
    workflow_id = desk.ask()
    event = envelope(Answered(), workflow_id)
    assert desk.deliveries.deliver(event).status is DeliveryStatus.TAKEN
    desk.clock.forward(hours=24)
    with desk.store.write() as connection:
        assert inbox.trim(connection, before=desk.store.now(connection), limit=9) == 1
    before = desk.store.get(workflow_id)

    again = desk.deliveries.deliver(event)

    assert again.status is DeliveryStatus.LATE
    assert desk.store.get(workflow_id) == before
    assert len([one for one in desk.store.audit(workflow_id) if one.kind.value == "event_in"]) == 1


def test_an_answer_that_overtakes_its_request_is_kept(desk: Desk) -> None:
    workflow_id = desk.start()
    desk.deliveries.deliver(envelope(Answered(), workflow_id))
    desk.graph.instances.execute(workflow_id, "probe.ask", {})

    assert desk.state(workflow_id) == "answered"


async def test_a_poison_event_coming_in_does_not_hold_up_its_neighbours(nats: Broker) -> None:
    desk = Desk(waiting_flow())
    good = [await asyncio.to_thread(desk.ask, f"t-{number}") for number in range(3)]
    from interlock.operations.event_service import handler_of

    async with open_bus(nats.url, prefix=nats.prefix) as bus:
        for number, workflow_id in enumerate(good):
            bad = envelope(Answered(), workflow_id).to_json() | {"number": "poison"}
            await bus.publish(Message(Answered.name_on_wire, f"bad-{number}", workflow_id, "t", str(bad).encode()))
            await bus.publish(message_of(envelope(Answered(), workflow_id)))
        async with bus.subscribe([Answered.name_on_wire], handler_of(desk.deliveries), consumer="probe"):
            await aeventually(lambda: {desk.state(one) for one in good} == {"answered"})

    with desk.store.read() as connection:
        assert len(inbox.listing(connection, status=InboxStatus.FAILED)) == 3
    desk.close()


def test_a_process_that_dies_between_settling_and_resuming_is_made_up_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'resume.db'}"
    first = Desk(waiting_flow(), url, None)
    workflow_id = first.ask()
    first.deliveries.deliver(envelope(Answered(), workflow_id), resume=False)
    first.close()

    second = Desk(waiting_flow(), url, None)
    assert second.shown().values["state"] == "asked"
    assert second.deliveries.tick().resumed == [workflow_id]
    assert second.shown().values["state"] == "answered"
    assert second.deliveries.tick().resumed == []
    with second.store.read() as connection:
        assert (
            stops.pending(connection, workflow="probe", now=1 << 62, decided_before=1 << 62, inside=True, limit=9) == []
        )
    second.close()


async def test_a_store_that_is_away_gives_the_event_back_to_the_broker(nats: Broker, tmp_path: Path) -> None:
    from interlock.tools.errors import StoreUnavailable

    away = [True, True]
    taken: list[Message] = []

    async def handler(message: Message) -> None:
        if away:
            away.pop()
            raise StoreUnavailable("the database is away")
        taken.append(message)

    bus: Any = open_bus(nats.url, prefix=nats.prefix)
    bus.redelivery = 0.01
    async with bus, bus.subscribe([ASKED], handler, consumer="reader"):
        await bus.publish(message_of(envelope(Asked(number=5), "wf")))
        await aeventually(lambda: taken)

    assert taken[0].envelope().fields["number"] == 5
    assert away == []


def test_the_in_process_bus_forgets_nothing_when_its_process_is_gone(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path / 'in_process.db'}"
    store = WorkflowStore(url, clock=clock)
    emit_many(store, {"wf_a": 3})

    def die(point: str) -> None:
        if point == EventPoint.BEFORE_PUBLISH:
            raise InterruptedError

    before = hang(die)
    try:
        with contextlib.suppress(InterruptedError):
            asyncio.run(relayed(store, InProcessBus()).run_once())
    finally:
        hang(before)
    clock.forward(seconds=61)
    got: list[Message] = []
    bus = InProcessBus()
    bus.add([ASKED], got.append, consumer="reader")
    eventually(lambda: asyncio.run(relayed(store, bus).drain()) and len(got) == 3)
    assert [one.envelope().fields["number"] for one in got] == [0, 1, 2]
    store.close()
