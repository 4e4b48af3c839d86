"""Figures of a whole tenant, which take a while to count: counted in the background, and shown as of when they were."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from ...tools.sinks import logger_of

logger = logger_of("interlock.serving")
_SECONDS = 15.0
_SHARE = 20
"""Counting may take one in so many seconds of the time."""
_KEPT = 200


@dataclass
class _Remembered:
    figures: Any
    counted_at: float
    """Seconds since 1970 UTC."""
    is_due: float
    """On the clock that only goes forward."""
    counting: asyncio.Task[None] | None = None


class Figures:
    """Remembers figures. Who asks for the first time waits; everybody else is given the last ones, and new ones are counted meanwhile."""

    def __init__(self) -> None:
        self._remembered: dict[tuple[str, ...], _Remembered] = {}

    async def of(self, key: tuple[str, ...], count: Callable[[], Any]) -> tuple[Any, float]:
        """The figures of this name, and when they were counted, in seconds since 1970 UTC.

        Args:
            key: What they are called, by tenant and workflow.
            count: Counts them; blocks.
        """
        found = self._remembered.get(key)
        if found is None:
            return await self._count(key, count)
        if time.monotonic() > found.is_due and (found.counting is None or found.counting.done()):
            found.counting = asyncio.create_task(self._again(key, count))
        return found.figures, found.counted_at

    async def close(self) -> None:
        """Wait for what is being counted."""
        tasks = [one.counting for one in self._remembered.values() if one.counting is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _count(self, key: tuple[str, ...], count: Callable[[], Any]) -> tuple[Any, float]:
        began, at = time.monotonic(), time.time()
        figures = await run_in_threadpool(count)
        took = time.monotonic() - began
        if key not in self._remembered and len(self._remembered) >= _KEPT:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[key] = _Remembered(figures, at, time.monotonic() + max(_SECONDS, took * _SHARE))
        return figures, at

    async def _again(self, key: tuple[str, ...], count: Callable[[], Any]) -> None:
        try:
            await self._count(key, count)
        except Exception:
            logger.exception("figures could not be recounted; the last ones are shown")


__all__ = ["Figures"]
