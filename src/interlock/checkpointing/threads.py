"""The thread pools of one database: for statements, and for the bodies of tools.

They are separate because a body may take any time, and checkpoints and statements of other runs must not wait for it. Bodies with an
open transaction have a pool of their own, of the same size as that for statements, because each of them also holds a connection.
"""

import asyncio
import contextvars
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from typing import TypeVar

from .connecting.capacity import Capacity

T = TypeVar("T")


class Work(Enum):
    """The kind of work of a thread; its value is part of the thread's name."""

    STATEMENTS = "db"
    TRANSACTION = "transaction"
    """The body of a transactional tool, with its transaction."""
    TOOL = "tool"
    """The body of a read, or of an effect outside the database."""


class Threads:
    """Threads for each kind of work, created on demand.

    Args:
        capacity: Their numbers.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._sizes = {
            Work.STATEMENTS: capacity.threads,
            Work.TRANSACTION: capacity.threads,
            Work.TOOL: capacity.tool_threads,
        }
        self.begin_anew()

    def begin_anew(self) -> None:
        """Discard the pools in a forked process, which has none of its parent's threads."""
        self._guard = threading.Lock()
        self._executors: dict[Work, ThreadPoolExecutor] = {}

    def executor(self, work: Work) -> ThreadPoolExecutor:
        """The executor for a kind of work."""
        with self._guard:
            found = self._executors.get(work)
            if found is None:
                found = ThreadPoolExecutor(self._sizes[work], thread_name_prefix=f"interlock-{work.value}")
                self._executors[work] = found
                weakref.finalize(self, found.shutdown, wait=False)
            return found

    def begin(self, work: Work, call: Callable[[], T]) -> Future[T]:
        """Submit a function to the threads for a kind of work, with the caller's context variables."""
        return self.executor(work).submit(contextvars.copy_context().run, call)

    async def run(self, work: Work, call: Callable[[], T]) -> T:
        """Call a function in a thread for a kind of work, and wait for it; a cancelled task prevents a call that has not started."""
        return await asyncio.wrap_future(self.begin(work, call))

    def close(self) -> None:
        """Wait for running work, and stop the threads."""
        with self._guard:
            executors, self._executors = [*self._executors.values()], {}
        for executor in executors:
            executor.shutdown(wait=True)


__all__ = ["Threads", "Work"]
