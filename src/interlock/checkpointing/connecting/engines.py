"""Creates Interlock's own engines, and lists the supported dialects."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import NullPool, QueuePool

from ...tools.errors import StoreError
from .patience import bound

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


BUSY_TIMEOUT_SECONDS = 30.0
"""How long a writer waits for SQLite's write lock before it raises `StoreUnavailable`."""


class Dialect(StrEnum):
    """The databases that Interlock knows."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"


_ASYNC_DRIVERS = {
    Dialect.SQLITE: "sqlite+aiosqlite",
    Dialect.POSTGRESQL: "postgresql+psycopg",
    Dialect.MYSQL: "mysql+asyncmy",
}


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


@dataclass(frozen=True)
class Address:
    """Where a database is, and how to connect to it."""

    url: URL
    """The URL with Interlock's synchronous driver, and the options that this driver accepts in a URL."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Other arguments of the driver, which are not text."""
    options_are_plain: bool = True
    """Whether the asynchronous driver of the same database accepts the same options."""
    demands_tls: bool = False
    """Whether a connection without TLS is refused."""

    @property
    def dialect(self) -> Dialect:
        """The database."""
        return dialect_of(self.url.get_backend_name())


def create_engine(address: Address, synchronous: str, *, connections: int = 60) -> Engine:
    """Interlock's own engine.

    Args:
        address: Where the database is.
        synchronous: For SQLite: `FULL`, `NORMAL` or `OFF`.
        connections: For servers: how many there are at most.

    Raises:
        StoreError: The driver is not installed.
    """
    with _drivers_missed():
        if address.dialect is Dialect.SQLITE:
            seconds = address.arguments.get("timeout", BUSY_TIMEOUT_SECONDS)
            engine = sa.create_engine(
                address.url, poolclass=QueuePool, connect_args={"timeout": seconds, "check_same_thread": False}
            )
            prepare_sqlite(engine, synchronous, seconds)
            return engine
        engine = sa.create_engine(
            address.url,
            connect_args=address.arguments,
            pool_pre_ping=True,
            pool_size=(idle := max(1, connections // 3)),
            max_overflow=connections - idle,
            isolation_level="READ COMMITTED",
        )
        bound(engine, demands_tls=address.demands_tls)
        return engine


def create_async_engine(address: Address, *, echo: Any) -> "AsyncEngine":
    """Interlock's own engine for async tools.

    Raises:
        StoreError: The driver is not installed.
    """
    from sqlalchemy.ext import asyncio  # noqa: PLC0415 -- it brings SQLAlchemy's ORM along

    # No pool: a pooled connection belongs to the event loop that opened it, and applications may have several.
    url = address.url.set(drivername=_ASYNC_DRIVERS[address.dialect])
    with _drivers_missed():
        if address.dialect is Dialect.SQLITE:
            engine = asyncio.create_async_engine(url, poolclass=NullPool, echo=echo)
            prepare_sqlite(engine.sync_engine, "FULL", address.arguments.get("timeout", BUSY_TIMEOUT_SECONDS))
            return engine
        engine = asyncio.create_async_engine(
            url, poolclass=NullPool, echo=echo, connect_args=address.arguments, isolation_level="READ COMMITTED"
        )
        bound(engine.sync_engine)
        return engine


@contextlib.contextmanager
def _drivers_missed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise StoreError(
            f"The driver {error.name!r} is not installed. Install langgraph-interlock[postgres] or langgraph-interlock[mysql]."
        ) from error


def prepare_sqlite(engine: Engine, synchronous: str, seconds: float) -> None:
    """Configure every new connection of an engine for SQLite."""
    in_memory = "memdb" in str(engine.url)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # only Interlock starts transactions
        cursor = connection.cursor()
        try:
            if not in_memory:
                cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA synchronous={synchronous}")
            cursor.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")
            cursor.execute("PRAGMA foreign_keys=ON")
        finally:
            cursor.close()
