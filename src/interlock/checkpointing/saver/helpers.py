"""Threads that do for tasks what those must not wait for."""

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


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
