"""Databases and brokers for the tests of events."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock import SQLCheckpointer, WorkflowStore
from tests.events.support import Clock, Desk, waiting_flow
from tests.support.servers import nats_url, rabbitmq_url, redis_url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """The waiting workflow, in memory."""
    made = Desk(waiting_flow())
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database in turn."""
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path / 'events.db'}"
        case "postgresql":
            return str(request.getfixturevalue("postgres_database"))
        case _:
            return str(request.getfixturevalue("mysql_database"))


@pytest.fixture
def store(database_url: str) -> Iterator[WorkflowStore]:
    """A workflow store in each kind of database, by the database's own clock."""
    saver = SQLCheckpointer(database_url)
    made = WorkflowStore(saver.database)
    made.setup()
    yield made
    made.close()


@dataclass(frozen=True)
class Broker:
    """A broker, and a prefix that nobody else uses there."""

    kind: str
    url: str
    prefix: str


async def _forget(broker: Broker) -> None:
    """Take everything away that was made under the prefix."""
    match broker.kind:
        case "nats":
            import nats

            client = await nats.connect(broker.url)
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await client.jetstream().delete_stream(broker.prefix.upper())
            await client.close()
        case "redis":
            from redis.asyncio import Redis

            async with Redis.from_url(broker.url) as client:
                names: list[Any] = [name async for name in client.scan_iter(f"{broker.prefix}:*")]
                if names:
                    await client.delete(*names)
        case "rabbitmq":
            import aio_pika

            connection = await aio_pika.connect(broker.url)
            async with connection:
                channel = await connection.channel()
                for consumer in ("probe", "engagement", "engagement-sender", "reader", "other"):
                    for name in EVENTS:
                        await channel.queue_delete(f"{broker.prefix}.{consumer}.{name}")
                await channel.exchange_delete(broker.prefix)


EVENTS = (
    "probe.asked.v1",
    "probe.answered.v1",
    "engagement.message.requested.v1",
    "engagement.message.delivered.v1",
    "engagement.message.failed.v1",
)
URLS = {"nats": nats_url, "rabbitmq": rabbitmq_url, "redis": redis_url}


def _broker(kind: str) -> Iterator[Broker]:
    made = Broker(kind, URLS[kind](), f"it{uuid.uuid4().hex[:12]}")
    yield made
    asyncio.run(_forget(made))


@pytest.fixture(params=["nats", "rabbitmq", "redis"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Each broker in turn, with names of this test's own."""
    yield from _broker(request.param)


@pytest.fixture
def nats() -> Iterator[Broker]:
    yield from _broker("nats")
