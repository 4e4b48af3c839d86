"""One event loop per process, in its own thread, in which sessions run, for sync and async callers."""

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
"""Seconds for servers to stop when the process exits."""


class Background:
    """The loop and its thread. A forked process has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid: int | None = None
        self._closers: dict[int, Callable[[], Coroutine[Any, Any, None]]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the loop, and wait for it in this thread.

        Args:
            work: The work.
        """
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the caller was interrupted
            raise

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the loop, and await it here. Cancelling the caller cancels the work.

        Args:
            work: The work.
        """
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start work on the loop.

        Args:
            work: The work, which sees the context variables of the caller.
        """
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def close_at_exit(self, owner: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Register a close function for the exit of the process.

        Args:
            owner: The owner, with at most one function.
            close: Closes it.
        """
        with self._lock:
            self._closers[id(owner)] = close

    def forget(self, owner: object) -> None:
        """Undo `close_at_exit`.

        Args:
            owner: The owner.
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
