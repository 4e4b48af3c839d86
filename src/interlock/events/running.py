"""Runs work until SIGINT or SIGTERM; work in progress is finished first."""

import asyncio
import signal
from collections.abc import Awaitable, Callable


def until_stopped(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work`, which takes the event that asks it to stop."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    asyncio.run(run())


__all__ = ["until_stopped"]
