"""The relay beside publishing the same payloads to NATS directly, and what a long past in the outbox costs.

    python -m tests.benchmarks events          everything
    INTERLOCK_BENCH=relay,past                 only these parts
    INTERLOCK_BENCH_EVENTS=2000                fewer events

Both publish to JetStream with acknowledgement over one connection of the same client, as many messages under way at once. The direct
publisher has its payloads and headers ready and uses the client's own `jetstream.publish`; the relay claims rows, builds headers, publishes, and
marks them, each instance's in order. The bus alone publishes messages that are ready, without a database: what the relay could reach at best.
Runs are interleaved and the median is given. A ratio above 1 means that the relay is faster.
"""

import asyncio
import os
import pathlib
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any

from interlock import WorkflowStore
from interlock.checkpointing.store import outbox
from interlock.events import InProcessBus, Message, Relay, message_of
from interlock.events.brokers import open_bus
from interlock.events.envelopes import envelope_of
from tests.events.test_load import fill, with_a_past
from tests.support.servers import (
    MYSQL,
    NATS,
    POSTGRES,
    Server,
    temporary_mysql_database,
    temporary_postgres_database,
)

PARTS = ("relay", "past")
EVENTS = int(os.environ.get("INTERLOCK_BENCH_EVENTS", "10000"))
INSTANCES = 200
ROUNDS = 3
PAST = 100_000


def main() -> None:
    """Run what was asked for."""
    wanted = os.environ.get("INTERLOCK_BENCH", ",".join(PARTS)).split(",")
    for part in PARTS:
        if part in wanted:
            globals()[f"bench_{part}"]()


def bench_relay() -> None:
    """The relay's rate beside that of publishing directly."""
    if not answers(NATS):
        return print("relay: no NATS here")
    for name, url in databases():
        with url as target, closing(WorkflowStore(target)) as store:
            asyncio.run(_compare(name, store))
    return None


async def _compare(name: str, store: WorkflowStore) -> None:
    prefix = f"bench{uuid.uuid4().hex[:8]}"
    rates: dict[str, list[float]] = {"relay": [], "direct": [], "one at a time": [], "bus": []}
    async with open_bus(NATS.url, prefix=prefix) as bus:
        for _ in range(ROUNDS):
            fill(store, EVENTS, INSTANCES)
            with store.read() as connection:
                events = outbox.listing(connection, status=outbox.OutboxStatus.PENDING, limit=EVENTS)
            messages = [message_of(envelope_of(event.envelope)) for event in reversed(events)]
            rates["direct"].append(await _direct(bus, _fresh(messages, "d"), INSTANCES))
            rates["one at a time"].append(await _direct(bus, _fresh(messages[: EVENTS // 5], "s"), 1))
            rates["bus"].append(
                await _through_the_bus(bus, [replace(one, event_id=f"b{one.event_id}") for one in messages])
            )
            began = time.perf_counter()
            done = await Relay(store, bus).drain()
            assert done.published == EVENTS, done
            rates["relay"].append(EVENTS / (time.perf_counter() - began))
        await bus.broker.connection.jetstream().delete_stream(prefix.upper())  # type: ignore[attr-defined]
    median = {who: statistics.median(found) for who, found in rates.items()}
    print(
        f"relay, {name}: {median['relay']:,.0f} events/s; directly {median['direct']:,.0f} with {INSTANCES} under way "
        f"(ratio {median['relay'] / median['direct']:.2f}), {median['one at a time']:,.0f} one at a time "
        f"(ratio {median['relay'] / median['one at a time']:.2f}); the bus alone {median['bus']:,.0f} "
        f"(ratio {median['relay'] / median['bus']:.2f})",
        flush=True,
    )


def _fresh(messages: list[Message], mark: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """Subject, body and headers, under ids of their own: JetStream would drop what it has had."""
    return [
        (
            message.event_name,
            message.body,
            {**message.headers, "Nats-Msg-Id": f"{mark}{message.event_id}", "correlation_id": message.trace_id},
        )
        for message in messages
    ]


async def _direct(bus: Any, ready: list[tuple[str, bytes, dict[str, str]]], at_once: int) -> float:
    jetstream = bus.broker.connection.jetstream(timeout=30)
    lanes = [ready[start::at_once] for start in range(at_once)]

    async def publish(lane: list[tuple[str, bytes, dict[str, str]]]) -> None:
        for name, body, headers in lane:
            await jetstream.publish(f"{bus.prefix}.{name}", body, headers=headers, stream=bus.stream)

    began = time.perf_counter()
    await asyncio.gather(*(publish(lane) for lane in lanes))
    return len(ready) / (time.perf_counter() - began)


async def _through_the_bus(bus: Any, ready: list[Message]) -> float:
    async def publish(lane: list[Message]) -> None:
        for message in lane:
            await bus.publish(message)

    began = time.perf_counter()
    await asyncio.gather(*(publish(ready[start::INSTANCES]) for start in range(INSTANCES)))
    return len(ready) / (time.perf_counter() - began)


def bench_past() -> None:
    """What an event costs with nothing behind it, and with many that were published long ago."""
    for name, url in databases():
        with url as target, closing(WorkflowStore(target)) as store:
            before = _cost(store)
            with_a_past(store, PAST)
            _cost(store)  # not counted: so many rows at once leave a database with work of its own for a second
            after = _cost(store)
            began = time.perf_counter()
            trimmed = 0
            while True:
                with store.write() as connection:
                    deleted = outbox.trim(connection, before=1, limit=5_000)
                trimmed += deleted
                if deleted < 5_000:
                    break
            took = time.perf_counter() - began
        print(
            f"past, {name}: {before:.0f} µs an event with an empty outbox, {after:.0f} µs behind {PAST:,} published rows "
            f"(ratio {after / before:.2f}); trimming {trimmed:,} took {took:.1f} s",
            flush=True,
        )


def _cost(store: WorkflowStore) -> float:
    """Microseconds that an event costs from the outbox to a bus that does nothing: the median of some rounds."""
    costs = []
    for _ in range(5):
        fill(store, 1_000, INSTANCES)
        began = time.perf_counter()
        done = asyncio.run(Relay(store, InProcessBus()).drain())
        costs.append((time.perf_counter() - began) / done.published * 1_000_000)
    return statistics.median(costs)


def databases() -> Iterator[tuple[str, Any]]:
    """Those that are here, each with a database of its own."""
    yield "SQLite (FULL)", _sqlite()
    if answers(POSTGRES):
        yield "PostgreSQL", temporary_postgres_database()
    if answers(MYSQL):
        yield "MariaDB", temporary_mysql_database()


@contextmanager
def _sqlite() -> Iterator[str]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield f"sqlite:///{pathlib.Path(folder) / 'bench.db'}"


def answers(server: Server) -> bool:
    """Whether a server is here."""
    try:
        server.probe(server.url)
    except Exception:
        return False
    return True
