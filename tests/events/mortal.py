"""Processes that kill themselves at a named place, as `kill -9` would: `python -m tests.events.mortal WHAT POINT DB BUS PREFIX`.

A point may say at which time it kills, as in `publish.after@2`. They print "alive" when nothing killed them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

from interlock import SQLCheckpointer, WorkflowStore
from interlock.checkpointing.fault_points import hang
from interlock.events import Relay, RelayOptions
from interlock.events.brokers import open_bus
from interlock.operations import Deliveries
from interlock.operations.event_service import event_names, handler_of
from tests.events.support import waiting_flow


def die_at(point: str) -> None:
    name, _, time = point.partition("@")
    left = [int(time or 1)]

    def hook(reached: str) -> None:
        if reached != name:
            return
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    hang(hook)


async def relay(database: str, bus: Any) -> None:
    store = WorkflowStore(database)
    async with bus:
        await Relay(store, bus, options=RelayOptions(batch=10, lease=0.2)).drain()


async def subscription(database: str, bus: Any) -> None:
    graph = waiting_flow().compile(SQLCheckpointer(database))
    stop = asyncio.Event()
    async with bus, bus.subscribe(event_names(graph), handler_of(Deliveries(graph)), consumer="probe"):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 20)


def main() -> None:
    what, point, database, url, prefix = sys.argv[1:]
    die_at(point)
    bus: Any = open_bus(url, prefix=prefix)
    asyncio.run({"relay": relay, "subscription": subscription}[what](database, bus))
    print("alive")


if __name__ == "__main__":
    main()
