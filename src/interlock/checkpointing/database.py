"""One SQL database: its transactions, its threads, and its clock.

Everything that is stored goes through `Database.read` and `Database.write`. Asynchronous callers run the same synchronous
code in the database's own threads (`Database.arun`), so that there is one copy of every statement, and no connection is ever
bound to an event loop; only a transactional tool that is itself asynchronous gets an `AsyncConnection` (`Database.awrite`).
"""

import asyncio
import contextlib
import contextvars
import itertools
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool

from . import clock
from .connections import Connections
from .echoing import EchoingCursor, is_shown
from .engines import ASYNC_DRIVERS, Dialect, create_engine, dialect_of, in_schema, prepare_sqlite, sync_url
from .faults import translate, translated
from .forks import renew_after_fork
from .patience import READ_ONLY_POSTGRESQL, bound
from .statements import Prepared
from .writers import WriteLock, write_lock_for

if TYPE_CHECKING:  # it brings SQLAlchemy's ORM along, which a program may well never use
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")

# Taking the write lock at once: a read that is upgraded later fails when another writer came in between.
_begin_writing = Prepared(sa.text("BEGIN IMMEDIATE"))
_begin_reading = Prepared(sa.text("BEGIN"))
_write_again = Prepared(sa.text("PRAGMA query_only=OFF"))
_READ_ONLY = {
    Dialect.SQLITE: ["PRAGMA query_only=ON", "BEGIN"],
    Dialect.POSTGRESQL: [READ_ONLY_POSTGRESQL],
    Dialect.MYSQL: ["START TRANSACTION READ ONLY"],
}
LOOKED = "interlock_looked"
"""Set in the `info` of a connection on which the application's own code was given a session to look with: what it may have done there
is not kept by a transaction that only reads."""

_memory_names = itertools.count(1)


class Database:
    """One SQL database, opened from a URL or from an engine that the application already has.

    Args:
        engine: The synchronous engine that everything runs on.
        owned: Whether `close` disposes of the engine.
    """

    def __init__(self, engine: Engine, *, owned: bool) -> None:
        self.engine = engine
        self.dialect = dialect_of(engine.dialect.name)
        self._owned = owned
        self._executor: ThreadPoolExecutor | None = None
        self._async_engine: AsyncEngine | None = None
        self._guard = threading.Lock()
        self._anchor: Any = None
        self._connections = Connections(engine, kept=owned)
        # SQLite's connections commit every statement anyway, unless it stands in a transaction.
        self._autocommitting = (
            self._connections if self.dialect is Dialect.SQLITE else Connections(engine, kept=owned, autocommit=True)
        )
        self._write_lock = write_lock_for(engine.url) if self.dialect is Dialect.SQLITE else None
        renew_after_fork(self)

    @classmethod
    def open(
        cls,
        target: "str | URL | Engine | AsyncEngine | Database",
        *,
        synchronous: str = "FULL",
        schema: str | None = None,
    ) -> "Database":
        """Open a database.

        Args:
            target: A SQLAlchemy URL (`sqlite:///shop.db`, `postgresql://…`, `mysql://…`; a missing driver is filled in), an
                engine of the application's own, or a `Database`, which is returned as it is.
            synchronous: SQLite only, and only for URLs: `FULL` survives power loss, `NORMAL` survives a killed process.
            schema: The schema that the tables are in (PostgreSQL), or the database (MySQL); not for an open `Database`.

        Raises:
            StoreError: The URL is of a database that Interlock does not know, or its driver is not installed.
        """
        if isinstance(target, Database):
            return target
        if isinstance(target, Engine):
            return cls(in_schema(target, schema), owned=False)
        # An AsyncEngine is opened anew, by its URL.
        url = sync_url(target if isinstance(target, str | URL) else getattr(target, "url", ""))
        if url.get_backend_name() == Dialect.SQLITE and url.database in (None, "", ":memory:"):
            return cls.in_memory()  # every connection of its own would be a database of its own
        return cls(in_schema(create_engine(url, synchronous), schema), owned=True)

    @classmethod
    def in_memory(cls) -> "Database":
        """A private database in this process's memory, gone when it is closed or forgotten."""
        # The memdb VFS gives every connection the same memory with SQLite's ordinary locking; a shared cache would not.
        url = f"sqlite+pysqlite:///file:/interlock-{os.getpid()}-{next(_memory_names)}?vfs=memdb&uri=true"
        database = cls(create_engine(make_url(url), "OFF"), owned=True)
        database._anchor = database.engine.raw_connection()
        weakref.finalize(database, _forget_memory, database._anchor, database.engine)
        return database

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in one read transaction: every statement sees the same snapshot where the database can do that."""
        with translated(self.engine.url), self.engine.connect() as connection:
            connection.begin()
            if self.dialect is Dialect.SQLITE:
                _end_what_was_begun(connection)
                _begin_reading.execute(connection, {})
            yield connection
            if not connection.info.pop(LOOKED, False):
                # Nothing was written; but after a rollback psycopg forgets every statement that the server has prepared for it.
                connection.commit()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Connection]:
        """A connection on which the database itself refuses to write: what a read tool is given."""
        with translated(self.engine.url), self.engine.connect() as connection, _guarded(connection, self.dialect):
            yield connection

    @contextlib.asynccontextmanager
    async def aread_only(self) -> "AsyncIterator[AsyncConnection]":
        """As `read_only`, for an asynchronous read tool."""
        with translated(self.engine.url):
            async with self._asynchronous().connect() as connection:
                # The connection is not pooled, so nothing needs to be set back.
                for statement in _READ_ONLY[self.dialect]:
                    await connection.exec_driver_sql(statement)
                yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in one write transaction: committed at the end of the block, rolled back when the block raises."""
        with translated(self.engine.url), self.turn(), self.engine.connect() as connection:
            connection.begin()
            if self.dialect is Dialect.SQLITE:
                _end_what_was_begun(connection)
                _begin_writing.execute(connection, {})
            yield connection
            connection.info.pop(LOOKED, None)
            connection.commit()

    @property
    def is_server(self) -> bool:
        """Whether statements are carried out by another process, so that this one can do something else meanwhile.

        SQLite's run in this process, and a thread of it that reads row after row only gets into another one's way.
        """
        return self.dialect is not Dialect.SQLITE

    @property
    def keeps_connections(self) -> bool:
        """Whether the connections are Interlock's own, and not those of the application's engine."""
        return self._owned

    @property
    def schema(self) -> str | None:
        """The schema that the tables are in, where it is not the default one."""
        translate = self.engine.get_execution_options().get("schema_translate_map") or {}
        schema: str | None = translate.get(None)
        return schema

    def raw_write(self, *, turn: bool = True) -> "_RawTransaction":
        """As `write`, on the driver's own cursor: for the few statements that run many times a second.

        Args:
            turn: Whether to take a turn among the writers first; a caller that holds one already says no.
        """
        return _RawTransaction(self, write=True, turn=turn)

    def raw_read(self) -> "_RawTransaction":
        """As `read`, on the driver's own cursor."""
        return _RawTransaction(self, write=False, turn=False)

    def raw_autocommit(self) -> "_RawAutocommit":
        """The driver's own cursor without a transaction around it. On SQLite only where connections are kept."""
        return _RawAutocommit(self)

    def raw_query(self) -> "_RawTransaction | _RawAutocommit":
        """The driver's own cursor for one query, which is a transaction of its own wherever that costs less."""
        alone = self.dialect is Dialect.POSTGRESQL or (self.dialect is Dialect.SQLITE and self.keeps_connections)
        return self.raw_autocommit() if alone else self.raw_read()

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """A turn among the writers of a SQLite file in this process; nothing on other databases."""
        return _NO_TURN if self._write_lock is None else _Turn(self._write_lock, self.engine.url)

    def refuse_own_turn(self) -> None:
        """See that this thread or task does not hold the turn already: whoever waits for another's commit would wait for itself.

        Raises:
            StoreError: It does.
        """
        if self._write_lock is not None:
            self._write_lock.refuse_own()

    @contextlib.asynccontextmanager
    async def awrite(self) -> "AsyncIterator[AsyncConnection]":
        """As `write`, for the body of an asynchronous transactional tool, which needs an `AsyncSession`."""
        with translated(self.engine.url):
            async with self._aturn(), self._asynchronous().connect() as connection:
                # Prepared statements go past SQLAlchemy, which begins a transaction only with a statement of its own.
                await connection.begin()
                if self.dialect is Dialect.SQLITE:
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                await connection.commit()

    async def arun(self, work: Callable[[], T]) -> T:
        """Run synchronous work in one of the database's own threads, with the caller's context variables."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads(), context.run, work)

    def now(self, connection: Connection) -> int:
        """The database's clock, in microseconds since 1970 UTC: processes disagree about the time, the database does not."""
        return clock.read(connection)

    def begin_anew(self) -> None:
        """Have threads of this process's own."""
        self._executor = None
        self._guard = threading.Lock()

    def close(self) -> None:
        """Give back what was opened; an engine that came from the application stays open."""
        with self._guard:
            executor, self._executor = self._executor, None
            self._async_engine = None  # its pool keeps no connection
        if executor is not None:
            executor.shutdown(wait=True)
        self._connections.close()
        self._autocommitting.close()
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None
        if self._owned:
            self.engine.dispose()

    @contextlib.asynccontextmanager
    async def _aturn(self) -> AsyncIterator[None]:
        lock = self._write_lock
        if lock is None:
            yield
            return
        owner = asyncio.current_task()
        waiting = asyncio.get_running_loop().run_in_executor(self._threads(), lock.acquire, owner)
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            # The thread may still get the lock after we have gone: give it back then.
            waiting.add_done_callback(lambda done: None if done.cancelled() or done.exception() else lock.release())
            raise
        try:
            yield
        finally:
            lock.release()

    def _cursor(self, connection: Any) -> Any:
        # On PostgreSQL bytes as they are, and not as text.
        cursor = connection.cursor(binary=True) if self.dialect is Dialect.POSTGRESQL else connection.cursor()
        return EchoingCursor(cursor, self.engine) if is_shown(self.engine) else cursor

    def _threads(self) -> ThreadPoolExecutor:
        with self._guard:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=16, thread_name_prefix="interlock-db")
                weakref.finalize(self, self._executor.shutdown, wait=False)
            return self._executor

    def _asynchronous(self) -> "AsyncEngine":
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 -- as above

        with self._guard:
            if self._async_engine is None:
                url = self.engine.url.set(drivername=ASYNC_DRIVERS[self.dialect])
                # No pool: a pooled connection belongs to the event loop that opened it, and applications have several.
                options = {} if self.dialect is Dialect.SQLITE else {"isolation_level": "READ COMMITTED"}
                self._async_engine = create_async_engine(url, poolclass=NullPool, echo=self.engine.echo, **options)
                if self.dialect is Dialect.SQLITE:
                    prepare_sqlite(self._async_engine.sync_engine, "FULL")
                else:
                    bound(self._async_engine.sync_engine)
                if self.schema is not None:
                    self._async_engine = self._async_engine.execution_options(schema_translate_map={None: self.schema})
            return self._async_engine


_NO_TURN = contextlib.nullcontext()


class _Turn:
    """A turn among the writers of a SQLite file in this process."""

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


class _RawTransaction:
    """One transaction on a driver's cursor. What SQLAlchemy's connections add costs more than SQLite's own work."""

    __slots__ = ("_connection", "_database", "_locked", "_turn", "_write", "cursor")

    def __init__(self, database: Database, *, write: bool, turn: bool) -> None:
        self._database = database
        self._turn = turn
        self._write = write
        self._locked = False
        self._connection: Any = None

    def __enter__(self) -> Any:
        database = self._database
        lock = database._write_lock if self._turn else None
        try:
            if lock is not None:
                lock.acquire(threading.get_ident())
                self._locked = True
            self._connection = database._connections.take()
            self.cursor = database._cursor(self._connection)
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
        try:
            if connection is not None:
                if error is None and self._write:
                    connection.commit()
                else:
                    connection.rollback()
        except Exception as problem:
            failure = problem
        finally:
            if connection is not None:
                database._connections.give(connection, intact=error is None and failure is None)
            if self._locked and database._write_lock is not None:
                self._locked = False
                database._write_lock.release()
        cause = error or failure
        if isinstance(cause, Exception) and _is_of_driver(database, cause):
            raise translate(cause, database.engine.url) from cause
        if error is None and failure is not None:
            raise failure


class _RawAutocommit:
    """A driver's cursor on which every statement is a transaction of its own: one round trip each."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None

    def __enter__(self) -> Any:
        try:
            self._connection = self._database._autocommitting.take()
            return self._database._cursor(self._connection)
        except BaseException as error:
            self._leave(error)
            raise

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        if self._connection is not None:
            self._database._autocommitting.give(self._connection, intact=error is None)
        if isinstance(error, Exception) and _is_of_driver(self._database, error):
            raise translate(error, self._database.engine.url) from error


def _is_of_driver(database: Database, error: BaseException) -> bool:
    driver = database.engine.dialect.loaded_dbapi
    return isinstance(error, (sa.exc.SQLAlchemyError, driver.Error))


@contextlib.contextmanager
def _guarded(connection: Connection, dialect: Dialect) -> Iterator[None]:
    connection.begin()
    if dialect is Dialect.SQLITE:
        _end_what_was_begun(connection)
    for statement in _READ_ONLY[dialect]:
        connection.exec_driver_sql(statement)
    try:
        yield
    finally:
        connection.rollback()
        if dialect is Dialect.SQLITE:  # a setting of the connection, which goes back to the pool
            _write_again.execute(connection, {})


def _end_what_was_begun(connection: Connection) -> None:
    """End the transaction, in which nothing was done yet, that an application's own engine has begun itself.

    SQLAlchemy's recipe for this driver does so; and whether one reads or writes is said at the beginning.
    """
    driver: Any = connection.connection.dbapi_connection
    if driver.in_transaction:
        driver.rollback()


def _forget_memory(anchor: Any, engine: Engine) -> None:
    anchor.close()
    engine.dispose()
