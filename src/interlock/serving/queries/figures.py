"""Figures of a whole tenant, which are slow to count: counted in the background, and shown with the time of the count."""

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
"""The minimum ratio of elapsed time to the time spent counting."""
_KEPT = 200


@dataclass
class _Remembered:
    figures: Any
    counted_at: float
    """Seconds since 1970 UTC."""
    is_due: float
    """When they have to be counted again, on the monotonic clock."""
    counting: asyncio.Task[None] | None = None


class Figures:
    """Caches figures. The first request waits; later ones get the last figures, while new ones are counted."""

    def __init__(self) -> None:
        self._remembered: dict[tuple[str, ...], _Remembered] = {}

    async def of(self, key: tuple[str, ...], count: Callable[[], Any]) -> tuple[Any, float]:
        """The figures of a key, and the time of their count, in seconds since 1970 UTC.

        Args:
            key: Their name, tenant and workflow.
            count: Counts them. Blocking.
        """
        found = self._remembered.get(key)
        if found is None:
            return await self._count(key, count)
        if time.monotonic() > found.is_due and (found.counting is None or found.counting.done()):
            found.counting = asyncio.create_task(self._again(key, count))
        return found.figures, found.counted_at

    async def close(self) -> None:
        """Wait for running counts."""
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
