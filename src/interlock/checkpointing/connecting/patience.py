"""How long a database server lets a process that does not move keep others waiting.

A process that is stopped in the middle of a transaction keeps the locks on what it wrote, and its connection stays open. SQLite has a
busy timeout for that; a server waits for ever unless it is told not to. So the connections that are opened from a URL are bounded, where
nobody else has bounded them: in the URL (`?options=-c lock_timeout=5s` on PostgreSQL, `?init_command=SET …` on MySQL and MariaDB), for
the role, for the database or for the server. An engine of the application's own is left as it is.

| database | a waiting transaction gives up after | an idle transaction is ended after |
|---|---|---|
| PostgreSQL | `lock_timeout`, 30 s | `idle_in_transaction_session_timeout`, 60 s |
| MariaDB | `innodb_lock_wait_timeout`, 50 s, the server's default | `idle_transaction_timeout`, 60 s |
| MySQL | `innodb_lock_wait_timeout`, 50 s, the server's default | never: it knows no such bound; end the connection by hand |

Behind a pooler (pgbouncer) nothing is bound: a setting would be that of anyone who gets the server connection next. Bound the role there
(`ALTER ROLE … SET lock_timeout = '30s'`), or the pooler (`idle_transaction_timeout`).

On PostgreSQL a transaction that only reads is not thrown out. MariaDB cannot tell it from one that has locked a row and written nothing
yet, so a read tool there must not keep `ctx.session` waiting for so long.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

LOCK_SECONDS = 30
"""How long a statement waits for a lock on PostgreSQL before it gives up with `StoreUnavailable`."""
IDLE_SECONDS = 60
"""How long a transaction may send nothing before the server ends its connection and gives its locks to others."""

# A pooler gives its clients its own number for the connection. In transaction mode the next transaction runs on another server
# connection, and what is set on this one is set for anyone who gets it then: so nothing is.
_POSTGRESQL = f"""
SELECT pg_backend_pid(), (SELECT count(set_config(name, value, false)) FROM (VALUES
('lock_timeout', '{LOCK_SECONDS}s'), ('idle_in_transaction_session_timeout', '{IDLE_SECONDS}s')) AS bound (name, value)
WHERE current_setting(name) = '0' AND pg_backend_pid() = {{backend}})"""  # noqa: S608 -- our own numbers
# What only MariaDB knows is in a comment that only MariaDB reads.
_MARIADB = f"""
SET @interlock = 0 /*M!100301 , SESSION idle_transaction_timeout =
IF(@@SESSION.idle_transaction_timeout = 0, {IDLE_SECONDS}, @@SESSION.idle_transaction_timeout) */"""

READ_ONLY_POSTGRESQL = "SELECT set_config('transaction_read_only', 'on', true), set_config('idle_in_transaction_session_timeout', '0', true)"
"""Begins a transaction that cannot write, and so keeps nobody waiting: it may take its time."""


def bound(engine: Engine, *, demands_tls: bool = False) -> None:
    """Bound the waiting on every connection that an engine for a server opens from now on.

    Where a pooler stands before PostgreSQL, nothing is bound and nothing is prepared: neither lasts for longer than a transaction.

    Args:
        engine: One of Interlock's own.
        demands_tls: Refuse a connection that is not encrypted: some drivers are content with one.
    """
    on_postgresql = engine.dialect.name == "postgresql"

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        if on_postgresql:
            _bound_postgresql(connection)
            return
        if demands_tls and not getattr(connection, "_secure", True):
            raise engine.dialect.loaded_dbapi.OperationalError(2026, "the server offers no TLS, and the URL demands it")
        cursor = connection.cursor()
        try:
            cursor.execute(_MARIADB)
        finally:
            cursor.close()


def _bound_postgresql(connection: Any) -> None:
    driver: Any = getattr(connection, "driver_connection", connection)  # SQLAlchemy's asynchronous one has it inside
    backend = driver.info.backend_pid
    # A setting that is made inside a transaction goes with it when it is rolled back.
    before, connection.autocommit = connection.autocommit, True
    cursor = connection.cursor()
    try:
        cursor.execute(_POSTGRESQL.format(backend=backend))
        served_by = cursor.fetchone()[0]
    finally:
        cursor.close()
    if served_by != backend:
        driver.prepare_threshold = None
    connection.autocommit = before
