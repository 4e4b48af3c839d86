"""Bridges between engines: an asynchronous engine for synchronous code, and a synchronous one for an async tool.

Interlock's statements run in ordinary threads, but an application may have only an `AsyncEngine`; a tool may be async, but the
application may have only an `Engine`. Opening the same URL with another driver would lose the engine's configuration: the driver's
arguments, listeners, passwords generated per connection. So the bridges use the application's own driver connections.

`blocking` has an event loop in its own thread, the only one that uses the asynchronous driver's connections; a thread that runs a
statement waits for it. The pool is synchronous, with the same size and listeners, because connections must not change loops.
`awaitable` runs each call of a synchronous driver in a thread, while the event loop continues; it uses connections of the engine's pool.
"""

import asyncio
import collections
import copy
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import greenlet
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool, QueuePool
from sqlalchemy.util import await_only, greenlet_spawn

from .own_loop import ThreadedLoop

if TYPE_CHECKING:  # see `database`
    from sqlalchemy.ext.asyncio import AsyncEngine


# Asynchronous driver, synchronous code


class Loop(ThreadedLoop):
    """The loop of an asynchronous engine, the only one that uses its driver's connections."""

    def __init__(self) -> None:
        super().__init__("interlock-loop")

    def begin_anew(self) -> None:
        """Start over in a forked process, which does not have the thread."""
        super().begin_anew()
        self._here = threading.local()

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a driver on the loop, in a greenlet as SQLAlchemy does, and wait for it."""
        loop = self.running()
        if getattr(self._here, "loop", None) is loop:
            return function(*args, **kwargs)
        return asyncio.run_coroutine_threadsafe(self._spawned(loop, function, args, kwargs), loop).result()

    def lend(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call blocking code outside the loop; its awaitables run on the loop."""
        current = greenlet.getcurrent()
        if getattr(current, "__sqlalchemy_greenlet_provider__", False):
            return function(*args, **kwargs)
        child = _Waiting(function, current)
        child.gr_context = current.gr_context
        result = child.switch(*args, **kwargs)
        while not child.dead:
            try:
                value = asyncio.run_coroutine_threadsafe(_awaiting(result), self.running()).result()
            except BaseException:
                result = child.throw(*sys.exc_info())
            else:
                result = child.switch(value)
        return result

    async def _spawned(
        self, loop: asyncio.AbstractEventLoop, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        self._here.loop = loop
        return await greenlet_spawn(function, *args, **kwargs)


_Greenlet: Any = greenlet.greenlet


class _Waiting(_Greenlet):  # type: ignore[misc]
    """The greenlet interface through which SQLAlchemy awaits."""

    __sqlalchemy_greenlet_provider__ = True


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class _Blocking:
    """A connection or a cursor of an asynchronous driver, as SQLAlchemy adapts it, for use without an event loop."""

    __slots__ = ("_loop", "_of")

    def __init__(self, of: Any, loop: Loop) -> None:
        object.__setattr__(self, "_of", of)
        object.__setattr__(self, "_loop", loop)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._of, name)
        if (
            not callable(value)
            or name.startswith("_")
            or (name in _LOCAL and not getattr(self._of, "server_side", True))
        ):
            return value
        return partial(self._call, value)

    def __setattr__(self, name: str, value: Any) -> None:
        self._loop.call(setattr, self._of, name, value)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = self._loop.call(method, *args, **kwargs)
        return _Blocking(result, self._loop) if hasattr(result, "fetchone") else result

    def __iter__(self) -> Iterator[Any]:
        return iter(self._of)

    def __enter__(self) -> Any:
        self._loop.call(self._of.__enter__)
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._loop.call(self._of.__exit__, *error)


_LOCAL = {"fetchone", "fetchmany", "fetchall", "close"}
"""Cursor methods on buffered rows; a server-side cursor fetches the rows first."""


class _BlockingPool(Pool):
    """Checks out a connection outside the loop, because SQLAlchemy and the application's listeners may block."""

    loop: Loop

    def connect(self) -> Any:
        return self.loop.lend(super().connect)


class _BlockingQueuePool(_BlockingPool, QueuePool):
    pass


class _BlockingNullPool(_BlockingPool, NullPool):
    pass


def blocking(engine: "AsyncEngine", loop: Loop) -> Engine:
    """Make a synchronous engine with the driver, arguments, listeners and pool size of an asynchronous one."""
    of = engine.sync_engine
    theirs: Any = of.pool

    def connect(connection_record: ConnectionPoolEntry) -> Any:
        try:
            return _Blocking(loop.call(theirs._invoke_creator, connection_record), loop)
        except OSError as error:
            # Asynchronous drivers raise the operating system's errors unwrapped; they mean that the server is unreachable.
            raise OperationalError(None, None, error, connection_invalidated=True) from error

    create: Any = connect  # SQLAlchemy inspects the signature
    shared: dict[str, Any] = {
        "recycle": theirs._recycle,
        "echo": theirs.echo,
        "logging_name": theirs._orig_logging_name,
        "pre_ping": theirs._pre_ping,
        "reset_on_return": theirs._reset_on_return,
        "_dispatch": theirs.dispatch,
        "dialect": theirs._dialect,
    }
    pool: _BlockingPool
    if isinstance(theirs, QueuePool):
        size: dict[str, Any] = {
            "pool_size": theirs.size(),
            "max_overflow": theirs._max_overflow,
            "timeout": theirs._timeout,
        }
        pool = _BlockingQueuePool(create, **size, use_lifo=theirs._pool.use_lifo, **shared)
    else:
        pool = _BlockingNullPool(create, **shared)
    pool.loop = loop
    return _sibling(of, pool, of.dialect)


# Synchronous driver, async tool


class _Hopping:
    """A driver's connection whose calls all run in one thread."""

    def __init__(self, pooled: Any, thread: ThreadPoolExecutor) -> None:
        self._pooled = pooled
        self._thread = thread

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pooled.dbapi_connection, name)

    def cursor(self, *args: Any, **kwargs: Any) -> "_HoppingCursor":
        return _HoppingCursor(_hop(self._thread, partial(self._pooled.cursor, *args, **kwargs)), self._thread)

    def commit(self) -> None:
        _hop(self._thread, self._pooled.dbapi_connection.commit)

    def rollback(self) -> None:
        _hop(self._thread, self._pooled.dbapi_connection.rollback)

    def close(self) -> None:
        try:
            _hop(self._thread, self._pooled.close)
        finally:
            self._thread.shutdown(wait=False)

    def terminate(self) -> None:
        # It is lost or in an unknown state, so it must not go back to the pool.
        self._pooled.invalidate()
        self._thread.shutdown(wait=False)


class _HoppingCursor:
    """A driver's cursor whose statements run in a thread, and which buffers all rows."""

    def __init__(self, cursor: Any, thread: ThreadPoolExecutor) -> None:
        self._cursor = cursor
        self._thread = thread
        self._rows: collections.deque[Any] = collections.deque()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, *args: Any) -> Any:
        def run() -> Any:
            done = self._cursor.execute(*args)
            return done, self._cursor.fetchall() if self._cursor.description else ()

        done, rows = _hop(self._thread, run)
        self._rows = collections.deque(rows)
        return done

    def executemany(self, *args: Any) -> Any:
        return _hop(self._thread, partial(self._cursor.executemany, *args))

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = min(self._cursor.arraysize if size is None else size, len(self._rows))
        return [self._rows.popleft() for _ in range(wanted)]

    def fetchall(self) -> list[Any]:
        rows, self._rows = list(self._rows), collections.deque()
        return rows

    def __iter__(self) -> Iterator[Any]:
        while self._rows:
            yield self._rows.popleft()

    def close(self) -> None:
        self._cursor.close()

    async def _async_soft_close(self) -> None:
        """Do nothing, because all rows are buffered."""


def _hop(thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
    return await_only(_hopped(thread, work))


async def _hopped(thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
    running = asyncio.get_running_loop().run_in_executor(thread, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # Nobody may use the connection while the thread still does.
        await asyncio.wait([running])
        raise


def awaitable(engine: Engine) -> "AsyncEngine":
    """Make an asynchronous engine that uses the connections of a synchronous engine's pool."""
    from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 -- it brings the ORM along

    engine.connect().close()  # so that the dialect detects its server
    dialect = copy.copy(engine.dialect)
    dialect.is_async = True

    def create() -> Any:
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="interlock-tool")
        try:
            return _Hopping(_hop(thread, engine.raw_connection), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    return AsyncEngine(_sibling(engine, NullPool(create, dialect=dialect), dialect))


def _sibling(engine: Engine, pool: Pool, dialect: Any) -> Engine:
    """Make an engine with another pool, but the same options and listeners."""
    sibling: Any = Engine(
        pool,
        dialect,
        engine.url,
        logging_name=engine.logging_name,
        echo=engine.echo,
        execution_options=engine.get_execution_options(),
        hide_parameters=engine.hide_parameters,
    )
    sibling.dispatch = sibling.dispatch._join(engine.dispatch)
    sibling._has_events = True
    return sibling  # type: ignore[no-any-return]
