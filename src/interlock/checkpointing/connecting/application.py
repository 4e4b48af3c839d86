"""Accepts an application's own engine unchanged, or refuses it with the reason."""

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.pool import AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool

from ...tools.errors import StoreError
from .bridges import Loop, blocking
from .engines import Dialect, dialect_of

if TYPE_CHECKING:  # see `database`
    from sqlalchemy.ext.asyncio import AsyncEngine

DRIVERS = {
    Dialect.SQLITE: ("pysqlite", "aiosqlite"),
    Dialect.POSTGRESQL: ("psycopg", "psycopg_async", "asyncpg"),
    Dialect.MYSQL: ("pymysql", "mysqldb", "asyncmy"),
}
"""The drivers that an application's engine may have."""

_ONE_CONNECTION = {
    StaticPool: "gives one connection to all threads at once, so that one would commit or take back what another is writing",
    SingletonThreadPool: "gives a thread the same connection each time, so that the thread would read inside its own transaction",
    AssertionPool: "gives out one connection at a time and fails for a second thread",
}


class Application(NamedTuple):
    """An application's engine in both forms."""

    engine: Engine
    asynchronous: "AsyncEngine | None"
    """The application's own engine, if it has one of this form."""
    loop: Loop | None
    """The event loop of an asynchronous driver."""


def is_asynchronous(target: Any) -> bool:
    """Whether it is an `AsyncEngine`, without importing that class."""
    return isinstance(getattr(target, "sync_engine", None), Engine)


def accept(target: Any) -> Application:
    """Make both forms of an application's engine.

    Raises:
        StoreError: The engine cannot be used without losing some of its configuration.
    """
    asynchronous: AsyncEngine | None = target if is_asynchronous(target) else None
    engine: Engine = target if asynchronous is None else asynchronous.sync_engine
    dialect = dialect_of(engine.dialect.name)
    _check_driver(engine, dialect)
    _check_pool_size(engine)
    if asynchronous is None and engine.dialect.is_async:
        raise StoreError(
            "The engine is the synchronous side of an AsyncEngine, which works only inside of it. Give the AsyncEngine itself."
        )
    _check_isolation(engine, dialect)
    loop = None if asynchronous is None else Loop()
    if asynchronous is not None and loop is not None:
        engine = blocking(asynchronous, loop)
    if dialect is Dialect.SQLITE:
        _check_is_file(engine)
    if engine.get_execution_options().get("stream_results"):
        # Interlock buffers its rows; the application's own statements stream as before.
        engine = engine.execution_options(stream_results=False)
    return Application(engine, asynchronous, loop)


def in_schema(engine: Any, schema: str | None, dialect: Dialect) -> Any:
    """The same engine, of either kind, with its tables in a schema; its other schema translations stay.

    Raises:
        StoreError: The name is not valid for a schema.
    """
    if schema is None:
        return engine
    if not schema or "\0" in schema or re.search("[\ud800-\udfff]", schema):
        raise StoreError(
            f"No schema can be called {schema!r}. Give its name, or leave `schema` out for the default one."
        )
    longest, size = {
        Dialect.POSTGRESQL: (63, len(schema.encode())),
        Dialect.MYSQL: (64, len(schema)),
        Dialect.SQLITE: (1000, 0),
    }[dialect]
    if size > longest:
        raise StoreError(
            f"The schema's name {schema!r} is too long: {dialect} takes {longest} {'bytes' if dialect is Dialect.POSTGRESQL else 'characters'}, "
            "and would cut the rest off. Give a shorter one."
        )
    translated = {**(engine.get_execution_options().get("schema_translate_map") or {}), None: schema}
    return engine.execution_options(schema_translate_map=translated)


def _check_driver(engine: Engine, dialect: Dialect) -> None:
    known = DRIVERS[dialect]
    if engine.dialect.driver not in known:
        raise StoreError(
            f"Interlock cannot use an engine with the driver {engine.dialect.driver!r} as it is; on {dialect} it knows "
            f"{', '.join(sorted(known))}. Make the engine with one of those, or give a URL: it is opened with Interlock's own driver."
        )


def _check_pool_size(engine: Engine) -> None:
    pool: Any = engine.pool
    for kind, why in _ONE_CONNECTION.items():
        if isinstance(pool, kind):
            memory = dialect_of(engine.dialect.name) is Dialect.SQLITE
            hint = " For a database in memory give the URL sqlite:// instead, or one of a file." if memory else ""
            raise StoreError(
                f"The engine's pool, {kind.__name__}, {why}. Make the engine with poolclass=QueuePool or NullPool.{hint}"
            )
    if not isinstance(pool, QueuePool | NullPool):
        raise StoreError(
            f"Interlock does not know the engine's pool, {type(pool).__name__}. Make the engine with poolclass=QueuePool or NullPool, or a kind of them."
        )


def _check_isolation(engine: Engine, dialect: Dialect) -> None:
    level = engine.get_execution_options().get("isolation_level") or getattr(
        engine.dialect, "_on_connect_isolation_level", None
    )
    if dialect is Dialect.MYSQL and str(level or "").upper().replace("_", " ") == "READ UNCOMMITTED":
        raise StoreError(
            "The engine reads what others have not committed (READ UNCOMMITTED): a run could continue from a checkpoint or a "
            "decision that is rolled back later. Make the engine with another isolation_level, or give engine.execution_options(isolation_level='READ COMMITTED')."
        )


def _check_is_file(engine: Engine) -> None:
    if engine.url.database not in {None, "", ":memory:"} and "mode=memory" not in str(engine.url):
        return
    # If the application creates the connections itself, the URL does not show their server.
    try:
        with engine.connect() as connection:
            files = [row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main"]
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(
            f"The engine's SQLite database cannot be opened: {getattr(error, 'orig', None) or error}."
        ) from error
    if not any(files):
        raise StoreError(
            "Each connection of this engine opens a separate SQLite database in memory, which is lost when the connection closes. "
            "Pass the URL sqlite:// instead, which all threads of this process share, or an engine for a file."
        )
