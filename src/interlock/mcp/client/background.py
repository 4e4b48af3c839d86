"""One event loop per process, in its own thread: sessions live there, the caller, sync or async."""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LEAVING = 6.0
"""Seconds that servers are given to end when the process does."""


class Background:
    """The loop and its thread. A process that was forked has one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid: int | None = None
        self._closers: dict[int, Callable[[], Coroutine[Any, Any, None]]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there, and wait for it in this thread.

        Args:
            work: What is run.
        """
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the caller was interrupted
            raise

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there, and await it here. When the caller is cancelled, so is the work.

        Args:
            work: What is run.
        """
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin something there.

        Args:
            work: What is run. It sees the context variables of the caller.
        """
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def close_at_exit(self, owner: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something closed when the process ends.

        Args:
            owner: Whose it is; it has one.
            close: What closes it.
        """
        with self._lock:
            self._closers[id(owner)] = close

    def forget(self, owner: object) -> None:
        """Take back what `close_at_exit` was told.

        Args:
            owner: Whose it is.
        """
        with self._lock:
            self._closers.pop(id(owner), None)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                if self._pid is None:
                    atexit.register(self._leave)
                self._closers = {}
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._serve, args=(self._loop,), name="interlock-mcp", daemon=True).start()
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    def _leave(self) -> None:
        if self._loop is None or self._pid != os.getpid():
            return
        closers = [*self._closers.values()]

        async def close() -> None:
            await asyncio.gather(*(closer() for closer in closers), return_exceptions=True)

        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(close(), self._loop).result(_LEAVING)


BACKGROUND = Background()

__all__ = ["BACKGROUND", "Background"]
