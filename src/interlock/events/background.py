"""Runs asynchronous work in a thread, for synchronous programs."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from ..tools.sinks import logger_of

logger = logger_of("interlock.events")


class Background:
    """Runs a coroutine in its own event loop and thread until `stop`.

    Args:
        name: The name of the thread.
        work: Takes the event that asks it to stop.
    """

    def __init__(self, name: str, work: Callable[[asyncio.Event], Any]) -> None:
        self._name = name
        self._work = work
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start the thread; returns when the loop runs."""
        self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Ask it to stop, and wait for its end.

        Raises:
            Exception: The error with which the work failed.
        """
        if self._thread is None or self._loop is None or self._stop is None:
            return
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        async def work() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await self._work(self._stop)

        try:
            asyncio.run(work())
        except BaseException as error:
            self._failure = error
            logger.exception("%s broke", self._name)
        finally:
            self._ready.set()
