"""A relay that claims the next batch while it publishes one keeps every promise that it keeps without."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import WorkflowStore
from interlock.checkpointing.store import outbox
from interlock.checkpointing.store.outbox import OutboxStatus
from interlock.checkpointing.tables.workflow import outbox as table
from interlock.checkpointing.tables.workflow import relay_lanes
from interlock.events import InProcessBus, Message, Relay
from interlock.tools.errors import BusUnavailable, PublishRefused, StoreUnavailable
from tests.events.support import Clock, Recording, emit_many, relayed


def looking_ahead(store: WorkflowStore, bus: Any = None, **options: Any) -> Relay:
    """As on a database server, on SQLite as well."""
    relay = relayed(store, bus, **options)
    relay._ahead = True
    return relay


def counts(store: WorkflowStore) -> dict[str, int]:
    with store.read() as connection:
        return {status.value: number for status, number in outbox.counts(connection).items()}


def lanes(store: WorkflowStore) -> dict[str, str]:
    with store.read() as connection:
        rows = connection.execute(sa.select(relay_lanes.c.workflow_id, relay_lanes.c.owner))
        return {lane: owner for lane, owner in rows if lane}


async def settled(relay: Relay) -> None:
    for _ in range(10_000):
        await relay.drain()
        if not counts(relay.store).get("pending"):
            return
    raise AssertionError("something is pending for ever")


async def test_the_next_batch_is_claimed_while_one_is_on_its_way(store: WorkflowStore) -> None:
    emit_many(store, {"wf_a": 4, "wf_b": 4})
    held: list[int] = []

    class Looking(Recording):
        async def publish(self, message: Message) -> str:
            for _ in range(2_000):
                if not held and len(claims) < 2:
                    await asyncio.sleep(0.005)
            held.append(len(claims))
            return await super().publish(message)

    bus = Looking()
    relay = looking_ahead(store, bus, batch=4)
    claims: list[Any] = []
    claimed = relay._claimed
    relay._claimed = lambda *a, **k: claims.append(1) or claimed(*a, **k)  # type: ignore[func-returns-value,method-assign]

    await relay.drain()

    assert held[0] == 2
    assert bus.numbers("wf_a") == bus.numbers("wf_b") == [*range(4)]
    assert counts(store) == {"published": 8}
    assert lanes(store) == {}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_bus_does_each_instance_keeps_its_order_and_nothing_is_lost(
    seed: int, store: WorkflowStore
) -> None:
    chance = random.Random(seed)
    emit_many(store, {f"wf_{number}": chance.randint(1, 15) for number in range(8)})

    def moody(_: Message) -> Exception | None:
        said = chance.random()
        return PublishRefused("no") if said < 0.08 else BusUnavailable("away") if said < 0.1 else None

    class Yielding(Recording):
        async def publish(self, message: Message) -> str:
            await asyncio.sleep(0)
            return await super().publish(message)

    bus = Yielding(moody)
    relays = [looking_ahead(store, bus, batch=5, attempts=99) for _ in range(2)]

    await asyncio.gather(*(settled(relay) for relay in relays))

    assert set(counts(store)) == {"published"}
    assert Counter(message.event_id for message in bus.messages).most_common(1)[0][1] == 1
    for number in range(8):
        mine = bus.numbers(f"wf_{number}")
        assert mine == [*range(len(mine))]
    assert len(bus.messages) == counts(store)["published"]
    assert [owner for owner in lanes(store).values() if owner] == []


async def test_an_instance_goes_on_in_its_order_after_a_dead_event(store: WorkflowStore) -> None:
    emit_many(store, {"wf_bad": 12, "wf_good": 12})
    bus = Recording(lambda one: PublishRefused("no") if one.workflow_id == "wf_bad" and number(one) == 1 else None)

    await settled(looking_ahead(store, bus, batch=4, attempts=1))

    assert bus.numbers("wf_bad") == [0, *range(2, 12)]
    assert bus.numbers("wf_good") == [*range(12)]
    assert lanes(store) == {}


def number(message: Message) -> int:
    found = message.envelope().fields["number"]
    assert isinstance(found, int)
    return found


async def test_a_lane_that_waits_is_left_out_of_what_was_claimed_ahead(store: WorkflowStore) -> None:
    emit_many(store, {"wf_bad": 12, "wf_good": 12})
    bus = Recording(lambda one: PublishRefused("no") if one.workflow_id == "wf_bad" and number(one) == 1 else None)

    done = await looking_ahead(store, bus, batch=4, first_pause=3600, longest_pause=3600).drain()

    assert (done.published, done.retrying, done.dead) == (13, 1, 0)
    assert bus.numbers("wf_bad") == [0]
    assert bus.numbers("wf_good") == [*range(12)]
    assert lanes(store) == {"wf_bad": ""}


async def test_what_is_committed_late_under_an_early_number_is_claimed_and_nothing_twice(store: WorkflowStore) -> None:
    """Numbers are given out before the commit, so that a later transaction may be seen first."""
    emit_many(store, {"wf_late": 1, "wf_a": 1})
    with store.write() as connection:
        late = connection.execute(sa.select(table).where(table.c.workflow_id == "wf_late")).mappings().one()
        connection.execute(sa.delete(table).where(table.c.position == late["position"]))

    def claim(owner: str, behind: str | None = None) -> list[str]:
        with store.write() as connection:
            outbox.enter_gate(connection)
            now = store.now(connection)
            found = outbox.claim(connection, owner=owner, now=now, until=now + 60_000_000, limit=9, behind=behind)
            return [event.workflow_id for event in found]

    assert claim("relay_1") == ["wf_a"]
    with store.write() as connection:
        connection.execute(sa.insert(table).values(**late))
    emit_many(store, {"wf_a": 1})

    assert claim("relay_2", behind="relay_1") == ["wf_late", "wf_a"]
    assert claim("relay_3", behind="relay_2") == []
    assert claim("relay_elsewhere") == []


async def test_a_batch_that_takes_too_long_is_cut_and_the_rest_claimed_anew_in_order(store: WorkflowStore) -> None:
    emit_many(store, {"wf_a": 6})
    loop = asyncio.get_running_loop()

    class Slow(Recording):
        async def publish(self, message: Message) -> str:
            taken = loop.create_future()
            loop.call_later(0.03, taken.set_result, None)
            await taken
            return await super().publish(message)

    bus = Slow()
    relay = looking_ahead(store, bus, batch=3, lease=0.1)
    first = await relay.run_once()
    assert 0 < first.published < 3
    assert lanes(store) == {}

    await settled(relay)

    assert bus.numbers() == [*range(6)]


async def test_an_outage_of_the_database_leaves_no_lane_behind(clock: Clock) -> None:
    """What the claims held is given back when the database is there again, and not when their time is over."""
    store = WorkflowStore.in_memory(clock=clock)
    emit_many(store, {"wf_a": 6})
    bus = Recording()
    relay = looking_ahead(store, bus, batch=2)
    settle, away = relay._settle, [True]

    def unsettled(*given: Any, **named: Any) -> Any:
        if away:
            away.pop()
            raise StoreUnavailable("the database is away")
        return settle(*given, **named)

    relay._settle = unsettled  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await relay.drain()
    assert bus.numbers() == [0, 1]  # what was on its way was not broken off

    await relay.drain()

    assert bus.numbers() == [0, 1, *range(6)]
    assert counts(store) == {"published": 6}
    assert lanes(store) == {}
    store.close()


async def test_an_empty_outbox_is_looked_at_without_taking_the_writers_turn(tmp_path: Path) -> None:
    store = WorkflowStore(f"sqlite:///{tmp_path / 'empty.db'}")
    emit_many(store, {"wf_a": 1})
    await Relay(store, InProcessBus()).drain()
    with store.write():  # somebody else writes all the while
        done = await asyncio.wait_for(Relay(store, InProcessBus()).drain(), 10)
    assert done.claimed == 0
    store.close()


async def test_not_more_instances_than_asked_for_are_under_way_at_once() -> None:
    store = WorkflowStore.in_memory()
    emit_many(store, {f"wf_{number}": 2 for number in range(20)})
    under_way, most = [0], [0]

    class Counting(Recording):
        async def publish(self, message: Message) -> str:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            await asyncio.sleep(0)
            under_way[0] -= 1
            return await super().publish(message)

    bus = Counting()
    await relayed(store, bus, at_once=3).drain()

    assert most == [3]
    assert len(bus.messages) == 40
    store.close()


def test_dead_events_are_counted_where_they_stand(store: WorkflowStore) -> None:
    emit_many(store, {"wf_a": 2})
    asyncio.run(looking_ahead(store, Recording(lambda _: PublishRefused("no")), attempts=1, batch=1).drain())
    with store.read() as connection:
        found = outbox.listing(connection, status=OutboxStatus.DEAD)
    assert [(event.attempts, event.error) for event in found] == [(1, "no"), (1, "no")]
