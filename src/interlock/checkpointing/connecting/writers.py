"""The write lock of one SQLite file in this process."""

import asyncio
import os
import threading
import weakref

import sqlalchemy as sa
from sqlalchemy.engine import URL

from ...tools.errors import StoreError
from ..faults import translate
from . import engines
from .forks import renew_after_fork

_write_locks: weakref.WeakValueDictionary[str, "WriteLock"] = weakref.WeakValueDictionary()
_write_locks_guard = threading.Lock()


class WriteLock:
    """Serializes the writers of one SQLite file in this process.

    SQLite itself polls with growing pauses, which starves some writers under load; this lock is fair and wakes waiters
    at once. SQLite's busy timeout still applies between processes.
    """

    def __init__(self) -> None:
        self.begin_anew()
        renew_after_fork(self)

    def begin_anew(self) -> None:
        """Reset the lock in a forked process: its owners belong to the parent."""
        self._lock = threading.Lock()
        self._owner: object | None = None

    def acquire(self, owner: object) -> None:
        """Wait for the lock, and take it.

        Raises:
            StoreError: The caller already has it, and would deadlock.
            TimeoutError: SQLAlchemy's error; the lock was not free in time.
        """
        if self._owner == owner:
            raise _waits_for_itself()
        if not self._lock.acquire(timeout=engines.BUSY_TIMEOUT_SECONDS):
            raise sa.exc.TimeoutError("the database's write lock was not free in time")
        self._owner = owner

    def refuse_own(self, *, reads: bool = False) -> None:
        """Check that neither this thread nor this task already has the lock.

        Args:
            reads: Whether the caller only wants to read.

        Raises:
            StoreError: The caller already has it, and would deadlock.
        """
        owner = self._owner
        if owner is not None and (owner == threading.get_ident() or owner is _current_task()):
            raise _reads_beside_itself() if reads else _waits_for_itself()

    def release(self) -> None:
        """Release the lock to the next waiter."""
        self._owner = None
        self._lock.release()


def _current_task() -> object | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # no loop runs in this thread


def _waits_for_itself() -> StoreError:
    return StoreError(
        "This thread already holds the database's write transaction, and SQLite has only one writer: "
        "a transactional tool must not run another workflow, or write through another connection, while its body runs. "
        "Use ctx.session, or make the tool's effect 'idempotent'."
    )


def _reads_beside_itself() -> StoreError:
    return StoreError(
        "This thread already holds the write transaction of a database in memory, which nobody reads meanwhile, and reads it through another "
        "connection: it would wait for itself. A policy, guard or check must not ask the workflow's instances or store; give it what it needs "
        "as data, take ProposalView.history or ctx.session, or keep the workflow in a file or on a server."
    )


def write_lock_for(url: URL) -> WriteLock:
    """The lock of a URL's file: one per file, even under different names."""
    path = url.database or ""
    name = path if path.startswith("file:") else os.path.realpath(path)
    with _write_locks_guard:
        lock = _write_locks.get(name)
        if lock is None:
            lock = _write_locks[name] = WriteLock()
        return lock


class Turn:
    """The write lock of a SQLite file in this process, as a context manager."""

    __slots__ = ("_lock", "_url")

    def __init__(self, lock: WriteLock, url: URL) -> None:
        self._lock = lock
        self._url = url

    def __enter__(self) -> None:
        try:
            self._lock.acquire(threading.get_ident())
        except sa.exc.SQLAlchemyError as error:
            raise translate(error, self._url) from error

    def __exit__(self, *_: object) -> None:
        self._lock.release()
