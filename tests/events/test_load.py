"""Ten thousand events through outbox and broker, and an outbox that holds a long past."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import WorkflowStore
from interlock.checkpointing.store import outbox
from interlock.checkpointing.store.outbox import OutboxStatus
from interlock.checkpointing.tables.workflow import outbox as table
from interlock.events import Message, Relay, RelayOptions
from interlock.events.brokers import open_bus
from tests.events.conftest import Broker
from tests.events.support import Asked, Recording, aeventually, emit_many, envelope, relayed

EVENTS, INSTANCES = 10_000, 100


def fill(store: WorkflowStore, events: int, instances: int) -> None:
    """Put events into the outbox, those of all instances interleaved, in few transactions."""
    for start in range(0, events, 1_000):
        with store.write() as connection:
            made = [
                envelope(Asked(number=number // instances), f"wf_{number % instances}")
                for number in range(start, min(start + 1_000, events))
            ]
            outbox.append(connection, made, tenant="default", now=store.now(connection))


async def test_ten_thousand_events_through_nats_lose_nothing_and_keep_each_instances_order(
    nats: Broker, tmp_path: Path
) -> None:
    store = WorkflowStore(f"sqlite:///{tmp_path / 'load.db'}")
    fill(store, EVENTS, INSTANCES)
    got: list[tuple[str, Any]] = []
    seen: set[str] = set()

    async def take(message: Message) -> None:
        if message.event_id not in seen:
            seen.add(message.event_id)
            got.append((message.workflow_id, message.envelope().fields["number"]))

    async with (
        open_bus(nats.url, prefix=nats.prefix) as bus,
        bus.subscribe([Asked.name_on_wire], take, consumer="reader"),
    ):
        rounds = await asyncio.gather(*(Relay(store, bus).drain() for _ in range(2)))
        await aeventually(lambda: len(got) == EVENTS, 120)

    assert sum(one.published for one in rounds) == EVENTS
    for number in range(INSTANCES):
        mine = [count for workflow_id, count in got if workflow_id == f"wf_{number}"]
        assert mine == [*range(EVENTS // INSTANCES)]
    with store.read() as connection:
        assert outbox.counts(connection) == {OutboxStatus.PUBLISHED: EVENTS}
    store.close()


def with_a_past(store: WorkflowStore, count: int) -> None:
    """Rows of events that were published long ago."""
    with store.write() as connection:
        for start in range(0, count, 5_000):
            connection.execute(
                sa.insert(table),
                [
                    {
                        "event_id": f"old-{number}", "workflow_id": f"wf_{number % 50}", "tenant": "default",
                        "event_name": "probe.asked.v1", "trace_id": "t", "envelope": "{}", "status": "published",
                        "attempts": 1, "next_attempt_at": 0, "created_at": 0, "published_at": 0,
                    }
                    for number in range(start, start + 5_000)
                ],
            )  # fmt: skip


async def test_a_claim_does_not_look_at_what_was_published_long_ago(store: WorkflowStore) -> None:
    """Seen in the database's own plan, which no busy machine can change."""
    with_a_past(store, 20_000)
    emit_many(store, {"wf_1": 5})

    with store.read() as connection:
        plan = explained(connection)

    if store.database.dialect.value == "sqlite":
        assert "USING INDEX ix_workflow_outbox_due (status=?)" in plan
    elif store.database.dialect.value == "postgresql":
        assert "ix_workflow_outbox_due" in plan
    else:
        assert "ix_workflow_outbox_due" in plan
        assert rows_of(plan) < 1_000
    bus = Recording()
    assert (await relayed(store, bus).drain()).published == 5


def explained(connection: sa.Connection) -> str:
    prefix = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}.get(connection.dialect.name, "EXPLAIN ")
    statement = outbox._due.params(now=1, behind="relay_1", limit=500)
    text = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
    return "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(prefix + text))


def rows_of(plan: str) -> int:
    """How many rows of the outbox MySQL means to look at."""
    (row,) = [line for line in plan.splitlines() if "'workflow_outbox'" in line]
    return max(int(part) for part in row.strip("()").split(", ") if part.isdigit())


@pytest.mark.parametrize("options", [RelayOptions(batch=100), RelayOptions(batch=1_000)])
async def test_one_instance_with_very_many_events_keeps_its_order(options: RelayOptions) -> None:
    store = WorkflowStore.in_memory()
    fill(store, 2_000, 1)
    bus = Recording()

    await Relay(store, bus, options=options).drain()

    assert bus.numbers() == [*range(2_000)]
    store.close()
