"""Cursors for the few statements that run many times a second: directly on the driver for Interlock's own connections, and through
SQLAlchemy for an application's engine, so that its listeners see the statements and its options apply.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import StoreError
from ..faults import translate_commit
from .engines import Dialect


class Opened(Protocol):
    """The part of an open database that these cursors need."""

    dialect: Dialect
    engine: Any
    write_lock: Any
    """The lock of a SQLite file's writers; None for other databases."""
    connections: Any
    """The driver's connections, if Interlock opened them."""
    autocommitting: Any
    """Connections in autocommit mode."""

    def cursor(self, connection: Any) -> Any:
        """A cursor on a driver's connection."""

    def translate(self, error: Any, last: Any = None) -> StoreError:
        """Translate a driver's error to one of Interlock's."""

    def read(self) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that only reads."""

    def write(self, *, turn: bool = ...) -> contextlib.AbstractContextManager[Connection]:
        """A transaction that writes."""


CursorBlock: TypeAlias = contextlib.AbstractContextManager[Any]
"""A context with a cursor: commits at its end, and rolls back if it raises."""


class OwnTransaction:
    """One transaction on a driver's cursor, because SQLAlchemy's overhead is larger than SQLite's own work."""

    __slots__ = ("_connection", "_database", "_locked", "_turn", "_write", "cursor")

    def __init__(self, database: Opened, *, write: bool, turn: bool) -> None:
        self._database = database
        self._turn = turn
        self._write = write
        self._locked = False
        self._connection: Any = None
        self.cursor: Any = None

    def __enter__(self) -> Any:
        database = self._database
        lock = database.write_lock if self._turn else None
        try:
            if lock is not None:
                lock.acquire(threading.get_ident())
                self._locked = True
            self._connection = database.connections.take()
            self.cursor = database.cursor(self._connection)
            if database.dialect is Dialect.SQLITE:
                self.cursor.execute("BEGIN IMMEDIATE" if self._write else "BEGIN")
        except BaseException as error:
            self._leave(error)
            raise
        return self.cursor

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        database, connection = self._database, self._connection
        failure: BaseException | None = None
        committing = False
        try:
            if connection is not None:
                if error is None and self._write:
                    committing = True
                    connection.commit()
                else:
                    connection.rollback()
        except Exception as problem:
            failure = problem
        finally:
            if connection is not None:
                database.connections.give(connection, intact=error is None and failure is None)
            if self._locked and database.write_lock is not None:
                self._locked = False
                database.write_lock.release()
        cause = error or failure
        if isinstance(cause, Exception) and _is_of_driver(database, cause):
            if committing:
                raise translate_commit(cause, database.engine.url) from cause
            raise database.translate(cause, getattr(self.cursor, "last", None)) from cause
        if error is None and failure is not None:
            raise failure


class OwnAutocommit:
    """A driver's cursor in autocommit mode: one round trip per statement."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Opened) -> None:
        self._database = database
        self._connection: Any = None

    def __enter__(self) -> Any:
        try:
            self._connection = self._database.autocommitting.take()
            return self._database.cursor(self._connection)
        except BaseException as error:
            self._leave(error)
            raise

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if self._connection is not None:
            self._database.autocommitting.give(self._connection, intact=error is None)
        if error is not None and isinstance(error, Exception) and _is_of_driver(self._database, error):
            raise self._database.translate(error) from error


def _is_of_driver(database: Opened, error: BaseException) -> bool:
    driver = database.engine.dialect.loaded_dbapi
    return isinstance(error, (sa.exc.SQLAlchemyError, driver.Error))


class EngineCursor:
    """The methods of a driver's cursor that Interlock needs, on a connection of SQLAlchemy."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._result: Any = None

    @property
    def rowcount(self) -> int:
        """How many rows the last statement wrote."""
        return int(self._result.rowcount)

    def execute(self, text: str, values: Any = ()) -> None:
        """Run a statement."""
        given = values if isinstance(values, dict) else tuple(values)
        self._result = self._connection.exec_driver_sql(text, given or None)

    def executemany(self, text: str, rows: Sequence[Any]) -> None:
        """Run a statement once for each row."""
        self._result = self._connection.exec_driver_sql(text, [tuple(row) for row in rows])

    def fetchone(self) -> Any:
        """The next row of the last statement."""
        row = self._result.fetchone()
        return None if row is None else tuple(row)

    def fetchall(self) -> list[Any]:
        """The remaining rows of the last statement."""
        return [tuple(row) for row in self._result.fetchall()]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


@contextlib.contextmanager
def on_engine(database: Opened, *, write: bool, turn: bool) -> Iterator[EngineCursor]:
    """One transaction on an application's engine."""
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(database.write(turn=turn) if write else database.read())
        yield EngineCursor(connection)


class Begun:
    """One transaction on a connection of an application's engine, whatever the engine's isolation level.

    An engine, its driver or a listener may use autocommit, or may have started a transaction already. So if the driver starts none,
    explicit BEGIN, COMMIT and ROLLBACK statements are sent.
    """

    def __init__(self, connection: Connection, dialect: Dialect, *, write: bool) -> None:
        self._connection = connection
        if not connection.in_transaction():
            connection.begin()
        driver: Any = connection.connection.dbapi_connection
        if dialect is Dialect.SQLITE:
            of: Any = getattr(driver, "_connection", driver)  # aiosqlite wraps the driver's connection
            # End a transaction that may have started: it has done nothing, and BEGIN declares whether it reads or writes.
            if of.in_transaction:
                connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
            # Since Python 3.12, `autocommit` can be False (always in a transaction) or True (never in one).
            self._in_words = getattr(of, "autocommit", None) is not False
        else:
            self._in_words = _commits_by_itself(driver, dialect)
            if self._in_words:
                connection.exec_driver_sql("BEGIN")

    def commit(self) -> None:
        """Commit."""
        if self._in_words:
            self._connection.exec_driver_sql("COMMIT")
        self._connection.commit()

    def take_back(self) -> None:
        """Roll back, and ignore errors of that: they would hide the cause, and a lost connection is rolled back by the server."""
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            if self._in_words and not self._connection.invalidated and not self._connection.closed:
                self._connection.exec_driver_sql("ROLLBACK")
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            self._connection.rollback()


def _commits_by_itself(driver: Any, dialect: Dialect) -> bool:
    """Whether the driver commits every statement, for any reason."""
    if dialect is Dialect.POSTGRESQL:
        return bool(driver.autocommit)
    of = driver if hasattr(driver, "get_autocommit") else driver._connection
    return bool(of.get_autocommit())
