"""One SQL database: its transactions, its threads, and its clock.

Everything that is stored goes through `Database.read` and `Database.write`. Asynchronous callers run the same synchronous
code in the database's own threads (`Database.arun`), so that there is one copy of every statement, and no connection is ever
bound to an event loop; only a transactional tool that is itself asynchronous gets an `AsyncConnection` (`Database.awrite`).
"""

import asyncio
import contextlib
import itertools
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from ..tools.errors import StoreError
from . import clock
from .connecting import packets, urls
from .connecting.application import Application, accept, in_schema, is_asynchronous
from .connecting.bridges import awaitable
from .connecting.capacity import Capacity
from .connecting.connections import Connections, close_when_collected
from .connecting.cursors import Begun, CursorBlock, OwnAutocommit, OwnTransaction, on_engine
from .connecting.echoing import EchoingCursor, is_shown
from .connecting.engines import Address, Dialect, create_async_engine, create_engine, dialect_of
from .connecting.forks import renew_after_fork
from .connecting.own_loop import OWN_LOOP
from .connecting.patience import READ_ONLY_POSTGRESQL
from .connecting.writers import Turn, write_lock_for
from .encryption import Encryption
from .faults import translate, translate_commit
from .statements import Prepared
from .threads import Threads, Work
from .vault import Vault, protect, vault_of

if TYPE_CHECKING:  # imports SQLAlchemy's ORM, which many programs never use
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")

# Take the write lock at once: upgrading a read transaction fails if another writer came first.
_begin_writing = Prepared(sa.text("BEGIN IMMEDIATE"))
_begin_reading = Prepared(sa.text("BEGIN"))
_write_again = Prepared(sa.text("PRAGMA query_only=OFF"))
_READ_ONLY = {
    Dialect.SQLITE: "PRAGMA query_only=ON",
    Dialect.POSTGRESQL: READ_ONLY_POSTGRESQL,
    Dialect.MYSQL: "START TRANSACTION READ ONLY",
}
LOOKED = "interlock_looked"
"""A flag in the `info` of a connection on which the application's own code had a session for reading: its possible writes
must not be committed by a read transaction."""

_memory_names = itertools.count(1)


class Database:
    """One SQL database, opened from a URL or from an engine that the application already has.

    Args:
        engine: The synchronous engine that runs every statement.
        address: The address of the database, if Interlock opened the engine.
        application: The application's engine, if Interlock did not open it.
        capacity: How many connections and threads it may use.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        address: Address | None = None,
        application: Application | None = None,
        capacity: Capacity | None = None,
    ) -> None:
        self.engine = engine
        self.dialect = dialect_of(engine.dialect.name)
        self._address = address
        self._application = application
        self.capacity = capacity or Capacity()
        self.threads = Threads(self.capacity)
        self._async_engines: dict[bool, AsyncEngine] = {}
        self._vault: Vault | None = None
        self._guard = threading.Lock()
        self._anchor: Any = None
        owned = application is None
        kept = self.capacity.kept if owned else 0
        self.connections = Connections(engine, kept=kept)
        # SQLite's connections autocommit outside a transaction anyway.
        self.autocommitting = (
            self.connections if self.dialect is Dialect.SQLITE else Connections(engine, kept=kept, autocommit=True)
        )
        self.write_lock = write_lock_for(engine.url) if self.dialect is Dialect.SQLITE else None
        renew_after_fork(self)

    @classmethod
    def open(
        cls,
        target: "str | URL | Engine | AsyncEngine | Database",
        *,
        synchronous: str = "FULL",
        schema: str | None = None,
        capacity: Capacity | None = None,
    ) -> "Database":
        """Open a database.

        Args:
            target: A SQLAlchemy URL (`sqlite:///shop.db`, `postgresql://…`, `mysql://…`; a missing driver is filled in), an
                engine of the application's own, which is used as it is, or a `Database`, which is returned as it is.
            synchronous: SQLite only, and only for URLs: `FULL` survives power loss, `NORMAL` survives a killed process.
            schema: The schema that the tables are in (PostgreSQL), or the database (MySQL); not for an open `Database`.
            capacity: How many connections and threads the database may use; not for an open `Database`.

        Raises:
            StoreError: The URL is of a database that Interlock does not know or has an option that means nothing, its driver is
                not installed, or the application's engine cannot be used as it is.
        """
        if isinstance(target, Database):
            return target
        if isinstance(target, Engine) or is_asynchronous(target):
            application = accept(target)
            engine = in_schema(application.engine, schema, dialect_of(application.engine.dialect.name))
            return cls(engine, application=application, capacity=capacity)
        address = urls.read(target)  # type: ignore[arg-type]
        if address.dialect is Dialect.SQLITE:
            if schema is not None:
                raise StoreError("SQLite has no schemas: leave `schema` out, and use separate files.")
            if address.url.database in {None, "", ":memory:"}:
                return cls.in_memory()  # each connection would have its own database
        engine = create_engine(address, synchronous, connections=(capacity or Capacity()).connections)
        database = cls(in_schema(engine, schema, address.dialect), address=address, capacity=capacity)
        close_when_collected(database).atexit = False
        return database

    @classmethod
    def in_memory(cls) -> "Database":
        """A private database in this process's memory, which is lost when it is closed or garbage-collected."""
        # The memdb VFS shares the memory between connections with SQLite's ordinary locking; a shared cache locks differently.
        url = f"sqlite+pysqlite:///file:/interlock-{os.getpid()}-{next(_memory_names)}?vfs=memdb&uri=true"
        address = Address(make_url(url))
        database = cls(create_engine(address, "OFF"), address=address)
        database._anchor = database.engine.raw_connection()
        close_when_collected(database, database._anchor)
        return database

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in one read transaction: every statement sees the same snapshot where the database can do that.

        Raises:
            StoreError: The database is in memory, and this thread or task is writing to it, so it would wait for itself.
        """
        self.refuse_to_wait()
        try:
            with self.engine.connect() as connection:
                if self._application is not None:
                    with self._begun(connection, write=False):
                        yield connection
                    return
                connection.begin()
                if self.dialect is Dialect.SQLITE:
                    _begin_reading.execute(connection, {})
                yield connection
                if not connection.info.pop(LOOKED, False):
                    # Commit although nothing was written: after a rollback, psycopg discards its prepared statements.
                    connection.commit()
        except sa.exc.SQLAlchemyError as error:
            raise self.translate(error) from error

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Connection]:
        """A connection on which the database refuses writes, for read tools."""
        self.refuse_to_wait()
        with self.translated(), self.engine.connect() as connection:
            guard = _ReadOnly(connection, self.dialect)
            try:
                yield connection
            finally:
                guard.leave()

    @contextlib.asynccontextmanager
    async def aread_only(self) -> "AsyncIterator[AsyncConnection]":
        """Asynchronous form of `read_only`, for an asynchronous read tool."""
        engine = await self._asynchronous()
        with self.translated():
            async with engine.connect() as connection:
                guard = await connection.run_sync(_ReadOnly, self.dialect)
                try:
                    yield connection
                finally:
                    await connection.run_sync(lambda _: guard.leave())

    @contextlib.contextmanager
    def write(self, *, turn: bool = True) -> Iterator[Connection]:
        """A connection in one write transaction: committed at the end of the block, rolled back if the block raises."""
        try:
            with self.turn() if turn else _NO_TURN, self.engine.connect() as connection:
                if self._application is not None:
                    with self._begun(connection, write=True):
                        yield connection
                    return
                connection.begin()
                if self.dialect is Dialect.SQLITE:
                    _begin_writing.execute(connection, {})
                yield connection
                connection.info.pop(LOOKED, None)
                try:
                    connection.commit()
                except sa.exc.SQLAlchemyError as error:
                    raise translate_commit(error, self.engine.url) from error
        except sa.exc.SQLAlchemyError as error:
            raise self.translate(error) from error

    @contextlib.contextmanager
    def _begun(self, connection: Connection, *, write: bool) -> Iterator[None]:
        begun = Begun(connection, self.dialect, write=write)
        try:
            yield
        except BaseException:
            begun.take_back()
            raise
        if connection.info.pop(LOOKED, False) and not write:
            begun.take_back()
            return
        with self.committing() if write else _NO_TURN:
            begun.commit()

    @contextlib.contextmanager
    def committing(self) -> Iterator[None]:
        """Translate the block's errors, and distinguish a commit that failed from one whose answer was lost."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise translate_commit(error, self.engine.url) from error

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Translate errors of the driver into Interlock's; `read` and `write`, which run in every step, do so without this block's cost."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise self.translate(error) from error

    def translate(self, error: Exception, last: tuple[str, Any] | None = None) -> StoreError:
        """Return the typed error for an error that SQLAlchemy or the driver raised.

        Args:
            error: What SQLAlchemy or the driver raised.
            last: The statement and its parameters, if the error does not contain them.
        """
        explained = packets.explain(self.engine, error, last) if self.dialect is Dialect.MYSQL else None
        return explained or translate(error, self.engine.url)

    def protect(self, encryption: Encryption, *, encrypted_only: bool = False) -> None:
        """Encrypt the protected columns of the workflow's tables from now on, on every connection of this database's engine."""
        self._vault = Vault(encryption, encrypted_only=encrypted_only)
        protect(self.engine.dialect, self._vault)
        for engine in self._async_engines.values():
            protect(engine.sync_engine.dialect, self._vault)

    @property
    def vault(self) -> Vault | None:
        """Encrypts the protected columns; None without encryption."""
        return vault_of(self.engine.dialect)

    @property
    def is_server(self) -> bool:
        """Whether a server process executes the statements, so that this process can do other work meanwhile.

        SQLite executes them in this process, where a second thread that reads rows only slows the first one down.
        """
        return self.dialect is not Dialect.SQLITE

    @property
    def keeps_connections(self) -> bool:
        """Whether Interlock opened the connections; False for those of the application's engine."""
        return self._application is None

    @property
    def schema(self) -> str | None:
        """The schema that contains the tables; None for the default one."""
        translate = self.engine.get_execution_options().get("schema_translate_map") or {}
        schema: str | None = translate.get(None)
        return schema

    @property
    def takes_whole_puts(self) -> bool:
        """Whether PostgreSQL's statements for whole puts are in the driver's syntax."""
        return self.dialect is Dialect.POSTGRESQL and self.engine.dialect.driver.startswith("psycopg")

    def raw_write(self, *, turn: bool = True) -> CursorBlock:
        """As `write`, on the driver's own cursor: for the few statements that run many times a second.

        Args:
            turn: Whether to take a turn among the writers first; False for a caller that already has one.
        """
        if self._application is not None:
            return on_engine(self, write=True, turn=turn)
        return OwnTransaction(self, write=True, turn=turn)

    def raw_read(self) -> CursorBlock:
        """As `read`, on the driver's own cursor."""
        if self._application is not None:
            return on_engine(self, write=False, turn=False)
        return OwnTransaction(self, write=False, turn=False)

    def raw_autocommit(self) -> CursorBlock:
        """The driver's own cursor without a transaction; on an application's engine, with one around the whole block."""
        return self.raw_write() if self._application is not None else OwnAutocommit(self)

    def raw_query(self) -> CursorBlock:
        """The driver's own cursor for one query, as a separate transaction where that costs less."""
        alone = self.dialect is not Dialect.MYSQL and self.keeps_connections
        return self.raw_autocommit() if alone else self.raw_read()

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """A turn among the writers of a SQLite file in this process; nothing on other databases."""
        return _NO_TURN if self.write_lock is None else Turn(self.write_lock, self.engine.url)

    def refuse_own_turn(self) -> None:
        """Refuse if this thread or task already has the turn: waiting for another task's commit would then deadlock.

        Raises:
            StoreError: It has.
        """
        if self.write_lock is not None:
            self.write_lock.refuse_own()

    def refuse_to_wait(self) -> None:
        """Refuse to read an in-memory database while this thread or task writes to it, because a writer excludes readers."""
        if self._anchor is not None and self.write_lock is not None:
            self.write_lock.refuse_own(reads=True)

    @contextlib.asynccontextmanager
    async def awrite(self) -> "AsyncIterator[AsyncConnection]":
        """Asynchronous form of `write`, for the body of an asynchronous transactional tool, which needs an `AsyncSession`."""
        engine = await self._asynchronous()
        with self.translated():
            async with self._aturn(), engine.connect() as connection:
                # Prepared statements bypass SQLAlchemy, which starts a transaction only at its own first statement.
                begun = await connection.run_sync(Begun, self.dialect, write=True)
                try:
                    yield connection
                except BaseException:
                    await connection.run_sync(lambda _: begun.take_back())
                    raise
                with self.committing():
                    await connection.run_sync(lambda _: begun.commit())

    async def arun(self, work: Callable[[], T]) -> T:
        """Run synchronous work in one of the database's own threads, with the caller's context variables."""
        return await self.threads.run(Work.STATEMENTS, work)

    def now(self, connection: Connection) -> int:
        """The database's clock, in microseconds since 1970 UTC, because the clocks of processes differ."""
        return clock.read(connection)

    def begin_anew(self) -> None:
        """Start over in a forked process: with new threads, and without the parent's connections."""
        self.threads.begin_anew()
        self._guard = threading.Lock()
        if self._application is not None and self._application.loop is not None:
            self.engine.dispose(close=False)

    def close(self) -> None:
        """Close everything that this object opened. An engine that the application passed in stays open."""
        with self._guard:
            self._async_engines = {}  # their pools hold no connections
        self.threads.close()
        self.connections.close()
        self.autocommitting.close()
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None
        loop = None if self._application is None else self._application.loop
        if self._application is None or loop is not None:
            self.engine.dispose()
        if loop is not None:
            loop.stop()

    @contextlib.asynccontextmanager
    async def _aturn(self) -> AsyncIterator[None]:
        lock = self.write_lock
        if lock is None:
            yield
            return
        owner = asyncio.current_task()
        waiting = asyncio.get_running_loop().run_in_executor(
            self.threads.executor(Work.STATEMENTS), lock.acquire, owner
        )
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            # The thread may still get the lock after the cancellation, so release it then.
            waiting.add_done_callback(lambda done: None if done.cancelled() or done.exception() else lock.release())
            raise
        try:
            yield
        finally:
            lock.release()

    def cursor(self, connection: Any) -> Any:
        """A cursor on a kept connection."""
        # On PostgreSQL use the binary format for bytes.
        cursor = connection.cursor(binary=True) if self.dialect is Dialect.POSTGRESQL else connection.cursor()
        if is_shown(self.engine):
            cursor = EchoingCursor(cursor, self.engine)
        return packets.NotedCursor(cursor) if self.dialect is Dialect.MYSQL else cursor

    async def _asynchronous(self) -> "AsyncEngine":
        apart = OWN_LOOP.is_here()
        if apart not in self._async_engines:
            # An application's engine may have to connect first.
            made = await self.arun(lambda: self._make_asynchronous(apart=apart))
            with self._guard:
                engine = self._async_engines.setdefault(apart, made)
                if self._vault is not None:
                    protect(engine.sync_engine.dialect, self._vault)
        return self._async_engines[apart]

    def _make_asynchronous(self, *, apart: bool) -> "AsyncEngine":
        application, address, options = self._application, self._address, self.engine.get_execution_options()
        # The connections of an application's pool belong to its loop, and cannot be used on ours.
        if application is not None and application.asynchronous is not None and not apart:
            return application.asynchronous.execution_options(**options)
        if address is None or not address.options_are_plain:
            return awaitable(self.engine)
        return create_async_engine(address, echo=self.engine.echo).execution_options(**options)


_NO_TURN = contextlib.nullcontext()


class _ReadOnly:
    """A transaction in which the database refuses writes; it is always rolled back."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._begun = Begun(connection, dialect, write=False)
        connection.exec_driver_sql(_READ_ONLY[dialect])

    def leave(self) -> None:
        """End it, and reset the connection."""
        self._begun.take_back()
        if self._dialect is Dialect.SQLITE and not self._connection.invalidated:
            _write_again.execute(self._connection, {})  # bypass SQLAlchemy, which would start a transaction for it
