"""Background work for as long as the service runs."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from ..operations.event_service import EventService


class Background:
    """Runs an event service beside the requests, and lets it finish what it has begun at the end."""

    def __init__(self, events: EventService | None) -> None:
        self._events = events
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._events is not None:
            self._task = asyncio.create_task(self._events.run(self._stop))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


__all__ = ["Background"]
