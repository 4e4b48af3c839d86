"""The servers that tests talk to, found on this machine or named by the environment.

Each of `postgres_url`, `mysql_url`, `nats_url`, `rabbitmq_url` and `redis_url` returns the URL of a server that
answered just now: the one named by `INTERLOCK_TEST_POSTGRES_URL`, `INTERLOCK_TEST_MYSQL_URL`,
`INTERLOCK_TEST_NATS_URL`, `INTERLOCK_TEST_RABBITMQ_URL` or `INTERLOCK_TEST_REDIS_URL`, or else the one at the
conventional local address. Where none answers, the test is skipped with the reason; where `INTERLOCK_REQUIRE_SERVERS`
names the server, the test fails (comma-separated: postgresql, mysql, nats, rabbitmq, redis, pgbouncer, chromium; tests start the
last two themselves, see `tests.support.pgbouncer` and `tests.browser`).

Tests that write take a database of their own: `tests.support.databases`.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
import pymysql
import pytest
from psycopg import sql
from sqlalchemy import URL, create_engine, make_url, text

REQUIRE = "INTERLOCK_REQUIRE_SERVERS"
TIMEOUT = 5
"""Seconds to wait for a server to greet before it counts as absent."""


@dataclass(frozen=True)
class Server:
    """One kind of server: what it is called, where it is looked for, and how to see that it is there."""

    name: str
    variable: str
    default: str
    probe: Callable[[str], object]
    """Takes the URL; raises where the server does not answer as its kind does."""

    @property
    def url(self) -> str:
        """The URL to look at, whether or not anything is there."""
        return os.environ.get(self.variable) or self.default


def _speaks(url: str, port: int, first_words: bytes, answer: bytes) -> None:
    """Check that what listens at `url` begins to answer `first_words` with `answer`, as its protocol demands."""
    parsed = make_url(url)
    with socket.create_connection((parsed.host or "127.0.0.1", parsed.port or port), timeout=TIMEOUT) as connection:
        connection.sendall(first_words)
        heard = b""
        while len(heard) < len(answer):
            received = connection.recv(len(answer) - len(heard))
            if not received:
                break
            heard += received
    if heard != answer:
        raise ConnectionError(f"what listens there began with {heard!r}, not with {answer!r}")


def connect_postgres(url: str) -> psycopg.Connection[tuple[object, ...]]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True, connect_timeout=TIMEOUT)


def connect_mysql(url: str) -> pymysql.Connection[pymysql.cursors.Cursor]:
    parsed = make_url(url)
    return pymysql.connect(
        host=parsed.host or "127.0.0.1",
        port=parsed.port or 3306,
        user=parsed.username or "root",
        password=parsed.password or "",
        autocommit=True,
        connect_timeout=TIMEOUT,
    )


POSTGRES = Server(
    "postgresql",
    "INTERLOCK_TEST_POSTGRES_URL",
    "postgresql+psycopg://postgres@127.0.0.1:5432/test",
    lambda url: connect_postgres(url).close(),
)
MYSQL = Server(
    "mysql",
    "INTERLOCK_TEST_MYSQL_URL",
    "mysql+pymysql://root@127.0.0.1:3306/test",
    lambda url: connect_mysql(url).close(),
)
NATS = Server(
    "nats",
    "INTERLOCK_TEST_NATS_URL",
    "nats://127.0.0.1:4222",
    lambda url: _speaks(url, 4222, b"", b"INFO "),
)
RABBITMQ = Server(
    "rabbitmq",
    "INTERLOCK_TEST_RABBITMQ_URL",
    "amqp://guest:guest@127.0.0.1:5672/",
    lambda url: _speaks(url, 5672, b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00"),  # a method frame on channel 0
)
REDIS = Server(
    "redis",
    "INTERLOCK_TEST_REDIS_URL",
    "redis://127.0.0.1:6379/0",
    lambda url: _speaks(url, 6379, b"PING\r\n", b"+PONG"),
)
SERVERS = (POSTGRES, MYSQL, NATS, RABBITMQ, REDIS)
PGBOUNCER = "pgbouncer"
CHROMIUM = "chromium"
"""Programs that tests start themselves."""


def required() -> frozenset[str]:
    """The names of servers whose absence is a failure; an unknown name is refused, for it would require nothing."""
    asked = frozenset(name.strip() for name in os.environ.get(REQUIRE, "").split(",") if name.strip())
    known = frozenset({*(server.name for server in SERVERS), PGBOUNCER, CHROMIUM})
    if unknown := asked - known:
        raise pytest.UsageError(f"{REQUIRE} names {sorted(unknown)}; known are {sorted(known)}")
    return asked


def find(server: Server) -> str:
    """The URL of `server` when it answers; otherwise skip the test, or fail it where the server is required."""
    must = server.name in required()
    try:
        server.probe(server.url)
    except Exception as error:
        where = make_url(server.url).render_as_string(hide_password=True)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        reason = f"no {server.name} answers at {where} ({said}); set {server.variable}"
        if must:
            pytest.fail(f"{reason}, or take {server.name} out of {REQUIRE}", pytrace=False)
        pytest.skip(reason)
    return server.url


def postgres_url() -> str:
    """The SQLAlchemy URL of a PostgreSQL server that answers."""
    return find(POSTGRES)


def mysql_url() -> str:
    """The SQLAlchemy URL of a MySQL or MariaDB server that answers."""
    return find(MYSQL)


def nats_url() -> str:
    """The URL of a NATS server that answers."""
    return find(NATS)


def rabbitmq_url() -> str:
    """The URL of a RabbitMQ broker that answers."""
    return find(RABBITMQ)


def redis_url() -> str:
    """The URL of a Redis server that answers."""
    return find(REDIS)


def create_postgres_database(template: str | None = None) -> str:
    """Create a database, and give its name.

    Args:
        template: The URL of a database that it is a copy of, which nobody is connected to. An empty one by default.
    """
    name, copied = fresh_name(), "template1" if template is None else str(make_url(template).database)
    with connect_postgres(postgres_url()) as server:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        server.execute(create.format(sql.Identifier(name), sql.Identifier(copied)))
    return name


def drop_postgres_database(name: str) -> None:
    """Drop a database, even when connections were left open."""
    with connect_postgres(POSTGRES.url) as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def temporary_postgres_database(template: str | None = None) -> Iterator[str]:
    """A database of one's own on the PostgreSQL server, dropped afterwards.

    Args:
        template: As above.
    """
    name = create_postgres_database(template)
    try:
        yield inside(postgres_url(), name)
    finally:
        drop_postgres_database(name)


def create_mysql_database() -> str:
    """Create an empty database, and give its name.

    It keeps the server's default collation, a case-insensitive one as a rule: the schema has to name those it needs.
    """
    name = fresh_name()
    with connect_mysql(mysql_url()) as server, server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    return name


def end_mysql_connections(cursor: pymysql.cursors.Cursor, name: str) -> None:
    """End all connections to a database: a transaction that was left open would hold its statements for ever."""
    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
    for (connection,) in cursor.fetchall():
        with suppress(pymysql.err.OperationalError):  # it may just have gone by itself
            cursor.execute(f"KILL {int(connection)}")


def drop_mysql_database(name: str) -> None:
    """Drop a database, even when connections were left open."""
    with connect_mysql(MYSQL.url) as server, server.cursor() as cursor:
        end_mysql_connections(cursor, name)
        cursor.execute("SET SESSION lock_wait_timeout = 20")
        cursor.execute(f"DROP DATABASE `{name}`")


@contextmanager
def temporary_mysql_database() -> Iterator[str]:
    """An empty database of one's own on the MySQL or MariaDB server, dropped afterwards."""
    name = create_mysql_database()
    try:
        yield inside(mysql_url(), name)
    finally:
        drop_mysql_database(name)


def fresh_name() -> str:
    """A name that no other database has."""
    return f"interlock_test_{uuid.uuid4().hex}"


def inside(server: str, database: str) -> str:
    """The URL of a database of a server."""
    url: URL = make_url(server).set(database=database)
    return url.render_as_string(hide_password=False)


def run_sql(url: str, statement: str) -> None:
    """Run one statement in a database, and close the connection."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
