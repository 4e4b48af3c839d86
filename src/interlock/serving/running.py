"""The background work of a running service."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from ..events.bus import Bus
from ..events.webhooks import Webhooks
from ..operations.event_service import EventService


class Background:
    """Runs an event service and webhooks next to the requests; at the end, it waits for work in progress.

    Args:
        events: The event service; None for none.
        webhooks: The webhooks; None for none.
        bus: The source of the webhooks' events.
    """

    def __init__(self, events: EventService | None, webhooks: Webhooks | None, bus: Bus | None) -> None:
        self._events, self._webhooks = events, webhooks
        self._bus = bus if events is None else events.bus
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        if self._webhooks is not None:  # before any event is published
            self._tasks.append(asyncio.create_task(self._webhooks.run(self._stop, self._bus)))
            await asyncio.sleep(0)
        if self._events is not None:
            self._tasks.append(asyncio.create_task(self._events.run(self._stop)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


__all__ = ["Background"]
