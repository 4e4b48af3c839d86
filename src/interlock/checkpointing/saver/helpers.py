"""Threads that do blocking work for tasks."""

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

from ..database import Database
from ..threads import Work


class Helpers:
    """A separate thread pool: in a shared pool, threads that wait for jobs could block the jobs themselves.

    Args:
        most: The maximum number of threads; further work waits.
        name: The name prefix of the threads.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._guard = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def do(self, work: Callable[[], object]) -> None:
        """Run work in one of the threads, or in this thread if the interpreter is exiting."""
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
        """Wait until all work is done."""
        with self._guard:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)


def _do_once(todo: list[Callable[[], object]]) -> None:
    """Make work run only once, because a pool may keep it even if it could not start a thread."""
    try:
        work = todo.pop()
    except IndexError:
        return
    work()


class Elsewhere:
    """Commits the puts of tasks in the database's threads, even if the task is cancelled."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._of_thread: dict[str, set[Future[None]]] = {}

    async def settle(self, thread_id: str, commit: Callable[[], None]) -> None:
        """Wait for a commit, which continues if the task is cancelled; `finish` includes it from this call on."""
        done = self._database.threads.begin(Work.STATEMENTS, commit)
        with self._guard:
            self._of_thread.setdefault(thread_id, set()).add(done)
        done.add_done_callback(partial(self._leave, thread_id))
        await asyncio.shield(asyncio.wrap_future(done))

    def finish(self, thread_id: str, seconds: float) -> None:
        """Wait for earlier puts of a LangGraph thread, for at most this many seconds."""
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
