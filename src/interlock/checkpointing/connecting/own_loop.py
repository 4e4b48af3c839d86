"""Event loops in threads of their own; among them the library's, on which synchronous callers run asynchronous code.

A synchronous call (`invoke`, a card's button, `interlock approvals approve --resume`) may call a tool that is an `async def`. The
tool runs here, and the caller waits for it. Each process has one such loop, started on first use, so that objects bound to a loop,
such as a client's connections, still work in a tool's next call.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .forks import renew_after_fork

T = TypeVar("T")


class ThreadedLoop:
    """An event loop in its own thread, started on first use.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.begin_anew()
        renew_after_fork(self)

    def begin_anew(self) -> None:
        """Start over in a forked process, which does not have the thread."""
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def running(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name=self._name, daemon=True).start()
            return self._loop

    def stop(self) -> None:
        """Stop the thread."""
        with self._guard:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


class OwnLoop(ThreadedLoop):
    """The library's loop."""

    def __init__(self) -> None:
        super().__init__("interlock-async")

    def is_here(self) -> bool:
        """Whether the caller runs on this loop, and therefore must not block on other work of the loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop, with the caller's context variables, and wait for its result.

        Args:
            work: Makes the coroutine.

        Raises:
            RuntimeError: The caller runs on this loop itself, and would deadlock.
        """
        if self.is_here():
            raise RuntimeError("this runs on Interlock's own event loop, which cannot wait for itself")
        future = asyncio.run_coroutine_threadsafe(work(), self.running())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the caller was interrupted; has no effect if the coroutine has finished
            raise


OWN_LOOP = OwnLoop()
"""The loop of this process."""

__all__ = ["OWN_LOOP", "OwnLoop", "ThreadedLoop"]
