"""Threads that do for tasks what those must not wait for."""

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from ..database import Database
from ..threads import Work


class Helpers:
    """Threads of one's own: in a pool whose threads all wait for their jobs nobody would ever do them.

    Args:
        most: At most so many; what comes beyond that waits.
        name: What the threads are called.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._guard = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def do(self, work: Callable[[], object]) -> None:
        """Do it in one of the threads; or here, where no thread is to be had because the interpreter exits."""
        todo = [work]
        try:
            with self._guard:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(self._most, self._name)
                    weakref.finalize(self, self._pool.shutdown, wait=False)
                self._pool.submit(_do_once, todo)
        except RuntimeError:
            _do_once(todo)

    def close(self) -> None:
        """Return when everything is done."""
        with self._guard:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)


def _do_once(todo: list[Callable[[], object]]) -> None:
    """A pool that finds no thread may keep the work for later all the same."""
    try:
        work = todo.pop()
    except IndexError:
        return
    work()


class Elsewhere:
    """What tasks put that is committed in the database's own threads, whether anybody still waits for it or not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._of_thread: dict[str, set[Future[None]]] = {}

    async def settle(self, thread_id: str, commit: Callable[[], None]) -> None:
        """Return when it is committed. It continues when the task is cancelled, and `finish` knows of it from this call on."""
        done = self._database.threads.begin(Work.STATEMENTS, commit)
        with self._guard:
            self._of_thread.setdefault(thread_id, set()).add(done)
        done.add_done_callback(partial(self._leave, thread_id))
        await asyncio.shield(asyncio.wrap_future(done))

    def finish(self, thread_id: str, seconds: float) -> None:
        """Return when what was put in a thread of LangGraph's before is done, or after so many seconds."""
        with self._guard:
            before = [*self._of_thread.get(thread_id, ())]
        if before:
            wait(before, seconds)

    def _leave(self, thread_id: str, done: Future[None]) -> None:
        with self._guard:
            others = self._of_thread[thread_id]
            others.discard(done)
            if not others:
                del self._of_thread[thread_id]
