"""Work that continues until the process is told to stop: SIGINT and SIGTERM end it after what is in progress is done."""

import asyncio
import signal
from collections.abc import Awaitable, Callable


def until_stopped(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `work`, which is given the event that tells it to stop."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    asyncio.run(run())


__all__ = ["until_stopped"]
