"""The transactions of the workflow store: check tables and hold, and look up a lost COMMIT on request."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from sqlalchemy.engine import Connection

from ...tools.errors import CommitUnknown, StoreUnavailable
from ..database import Database
from ..due import check_can_join
from ..fault_points import FaultPoint, reach
from ..faults import commit_unknown
from . import lost_commits
from .recovery import Recovery


class Transactions:
    """The part of the workflow store that manages transactions.

    Args:
        database: Where.
        incarnation: See `Recovery`.
    """

    def __init__(self, database: Database, *, incarnation: str | None = None) -> None:
        self.database = database
        self.recovery = Recovery(database, incarnation=incarnation)
        self.is_durable = "vfs=memdb" not in str(database.engine.url)
        self._ready = False
        self._guard = threading.Lock()
        self._paused = threading.Event()

    def setup(self) -> None:
        """Create or upgrade the tables. It is safe to call again, and from several processes at once."""
        from ..schema import setup  # noqa: PLC0415 -- migrations are imported when they are needed

        with self._guard:
            if not self._ready:
                setup(self.database)
                self._ready = True

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read transaction, as a context manager that gives the connection."""
        self.prepare()
        with self.database.read() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a write transaction, as a context manager that gives the connection. The block commits it.

        Raises:
            StoreHeld: A backup was restored, and nobody has confirmed yet that work may continue.
        """
        self.refuse_held()
        try:
            with self.database.write() as connection:
                yield connection
                reach(FaultPoint.BEFORE_COMMIT)
            self.answered()
        except StoreUnavailable:
            self.recovery.look_again()
            raise

    def refuse_held(self) -> None:
        """Check that work is not held after a restored backup. Called before anything runs or is published.

        Raises:
            StoreHeld: It is held.
        """
        self.prepare()
        if self.is_durable:
            self.recovery.refuse_held()

    @contextlib.contextmanager
    def write_and_know(self) -> Iterator[Connection]:
        """Open a write transaction for writes without a ledger entry: if the answer to its COMMIT is lost, the audit trail shows whether it
        was committed.

        Raises:
            StoreUnavailable: Nothing of it was kept.
            CommitUnknown: The database could not be asked, or the transaction wrote no audit record.
        """
        marks: list[lost_commits.Mark] = []
        try:
            with self.write() as connection:
                info = connection.info
                info[lost_commits.MARKS] = marks
                try:
                    yield connection
                finally:
                    info.pop(lost_commits.MARKS, None)
        except CommitUnknown as lost:
            if not marks:
                raise
            if not self._is_kept(marks[-1], lost):
                raise lost_commits.nothing_kept(lost) from lost

    def _is_kept(self, mark: lost_commits.Mark, lost: CommitUnknown) -> bool:
        for pause in lost_commits.PAUSES:
            self.wait_until(lambda: False, pause)
            try:
                with self.database.write() as connection:
                    return lost_commits.is_kept(connection, mark)
            except StoreUnavailable:
                continue
        raise lost

    def answered(self) -> None:
        """Reach the fault point after a commit, at which a test can drop the connection and so lose the answer.

        Raises:
            CommitUnknown: The connection was dropped.
        """
        try:
            reach(FaultPoint.AFTER_COMMIT)
        except StoreUnavailable as error:
            raise commit_unknown(self.database.engine.url, error.message) from error

    @contextlib.contextmanager
    def joined(self, connection: Connection | None) -> Iterator[Connection]:
        """Use the caller's transaction, which the caller commits; or open a write transaction if none is given.

        Raises:
            InputError: The connection cannot be used for this store.
            StoreHeld: As for `write`.
        """
        if connection is None:
            with self.write_and_know() as own:
                yield own
            return
        self.refuse_held()
        check_can_join(self.database, connection)
        yield connection

    def wait_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Check `done` repeatedly, for at most `seconds`.

        Returns:
            Whether it became true in time.
        """
        deadline = time.monotonic() + seconds
        pause = 0.001
        while not done():
            if time.monotonic() > deadline:
                return False
            self._paused.wait(pause)
            pause = min(pause * 2, 0.05)
        return True

    def prepare(self) -> None:
        """Create the tables if they are missing."""
        if not self._ready:
            self.setup()


__all__ = ["Transactions"]
