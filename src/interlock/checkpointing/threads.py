"""The threads of one database: those that run statements, and those that run the bodies of tools.

They are apart from each other, because a body may take as long as it likes: no checkpoint and no other run's statement waits for it.
Bodies that hold a transaction open have their own threads, as many as there are for statements, for each of them holds a
connection as well.
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
    """What a thread is wanted for; its value is in the thread's name."""

    STATEMENTS = "db"
    TRANSACTION = "transaction"
    """The body of a transactional tool, with the transaction around it."""
    TOOL = "tool"
    """The body of a read, or of an effect outside the database."""


class Threads:
    """Threads for each kind of work, made when they are needed.

    Args:
        capacity: How many.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._sizes = {
            Work.STATEMENTS: capacity.threads,
            Work.TRANSACTION: capacity.threads,
            Work.TOOL: capacity.tool_threads,
        }
        self.begin_anew()

    def begin_anew(self) -> None:
        """Have none: in a forked process there are only those that it starts itself."""
        self._guard = threading.Lock()
        self._executors: dict[Work, ThreadPoolExecutor] = {}

    def executor(self, work: Work) -> ThreadPoolExecutor:
        """The threads for a kind of work."""
        with self._guard:
            found = self._executors.get(work)
            if found is None:
                found = ThreadPoolExecutor(self._sizes[work], thread_name_prefix=f"interlock-{work.value}")
                self._executors[work] = found
                weakref.finalize(self, found.shutdown, wait=False)
            return found

    def begin(self, work: Work, call: Callable[[], T]) -> Future[T]:
        """Have a function called in a thread for this kind of work, with the caller's context variables."""
        return self.executor(work).submit(contextvars.copy_context().run, call)

    async def run(self, work: Work, call: Callable[[], T]) -> T:
        """Call a function in a thread for this kind of work, and wait for it; it is not called any more once the task is cancelled."""
        return await asyncio.wrap_future(self.begin(work, call))

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        with self._guard:
            executors, self._executors = [*self._executors.values()], {}
        for executor in executors:
            executor.shutdown(wait=True)


__all__ = ["Threads", "Work"]
