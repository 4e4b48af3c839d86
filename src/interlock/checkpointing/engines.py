"""The engines that a database is opened with, and the dialects that Interlock knows."""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url

from ..tools.errors import StoreError
from .patience import bound

BUSY_TIMEOUT_SECONDS = 30.0
"""How long a writer waits for SQLite's one write lock before it gives up with `StoreUnavailable`."""


class Dialect(StrEnum):
    """The databases that Interlock knows."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"


ASYNC_DRIVERS = {
    Dialect.SQLITE: "sqlite+aiosqlite",
    Dialect.POSTGRESQL: "postgresql+psycopg",
    Dialect.MYSQL: "mysql+asyncmy",
}
_SYNC_DRIVERS = {
    Dialect.SQLITE: "sqlite+pysqlite",
    Dialect.POSTGRESQL: "postgresql+psycopg",
    Dialect.MYSQL: "mysql+pymysql",
}


def in_schema(engine: Engine, schema: str | None) -> Engine:
    """An engine whose tables are in a schema."""
    return engine if schema is None else engine.execution_options(schema_translate_map={None: schema})


def sync_url(target: str | URL) -> URL:
    """The URL with the synchronous driver that Interlock uses.

    Raises:
        StoreError: It is no URL, or of a database that Interlock does not know.
    """
    try:
        url = make_url(target)
    except sa.exc.ArgumentError as error:
        raise StoreError(
            "That is not a database URL. Give one such as sqlite:///shop.db, postgresql://user@host/db or mysql://user@host/db."
        ) from error
    return url.set(drivername=_SYNC_DRIVERS[dialect_of(url.get_backend_name())])


def dialect_of(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        StoreError: Interlock does not know it.
    """
    if name == "mariadb":
        return Dialect.MYSQL
    try:
        return Dialect(name)
    except ValueError:
        raise StoreError(
            f"Interlock does not know the database {name!r}. It works on sqlite, postgresql and mysql/mariadb."
        ) from None


def create_engine(url: URL, synchronous: str) -> Engine:
    """An engine of Interlock's own.

    Args:
        url: With a synchronous driver.
        synchronous: For SQLite: `FULL`, `NORMAL` or `OFF`.

    Raises:
        StoreError: The driver is not installed.
    """
    try:
        if url.get_backend_name() == Dialect.SQLITE:
            engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False})
            prepare_sqlite(engine, synchronous)
            return engine
        isolation = {"isolation_level": "READ COMMITTED"}
        engine = sa.create_engine(url, pool_pre_ping=True, pool_size=20, max_overflow=40, **isolation)
        bound(engine)
        return engine
    except ModuleNotFoundError as error:
        raise StoreError(
            f"The driver {error.name!r} is not installed. Install langgraph-interlock[postgres] or langgraph-interlock[mysql]."
        ) from error


def prepare_sqlite(engine: Engine, synchronous: str) -> None:
    """Set up every connection that an engine for SQLite opens from now on."""
    in_memory = "memdb" in str(engine.url)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by us, and only by us
        cursor = connection.cursor()
        try:
            if not in_memory:
                cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA synchronous={synchronous}")
            cursor.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_SECONDS * 1000)}")
            cursor.execute("PRAGMA foreign_keys=ON")
        finally:
            cursor.close()
