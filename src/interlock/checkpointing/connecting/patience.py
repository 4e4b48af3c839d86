"""Sets timeouts on database servers, so that a stalled process cannot block others forever.

A process that is suspended inside a transaction keeps its locks, and its connection stays open. SQLite has a busy timeout for that;
a server waits without limit by default. So connections opened from a URL get timeouts, unless they are set elsewhere: in the URL
(`?options=-c lock_timeout=5s` on PostgreSQL, `?init_command=SET …` on MySQL and MariaDB), for the role, the database or the server.
An application's engine is left unchanged.

| database | a waiting transaction gives up after | an idle transaction is ended after |
|---|---|---|
| PostgreSQL | `lock_timeout`, 30 s | `idle_in_transaction_session_timeout`, 60 s |
| MariaDB | `innodb_lock_wait_timeout`, 50 s, the server's default | `idle_transaction_timeout`, 60 s |
| MySQL | `innodb_lock_wait_timeout`, 50 s, the server's default | never: it knows no such bound; end the connection by hand |

Behind a pooler (pgbouncer) no timeout is set: the next client of the server connection would inherit it. Set it for the role there
(`ALTER ROLE … SET lock_timeout = '30s'`), or in the pooler (`idle_transaction_timeout`).

On PostgreSQL a read-only transaction is not ended. MariaDB cannot distinguish it from one that has locked a row and written nothing
yet, so a read tool there must not leave `ctx.session` idle for so long.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

LOCK_SECONDS = 30
"""How long a statement waits for a lock on PostgreSQL before it raises `StoreUnavailable`."""
IDLE_SECONDS = 60
"""How long a transaction may be idle before the server closes its connection and releases its locks."""

# A pooler reports its own number for the connection. In transaction mode the next transaction runs on another server connection, and
# another client would inherit the settings of this one, so none are made.
_POSTGRESQL = f"""
SELECT pg_backend_pid(), (SELECT count(set_config(name, value, false)) FROM (VALUES
('lock_timeout', '{LOCK_SECONDS}s'), ('idle_in_transaction_session_timeout', '{IDLE_SECONDS}s')) AS bound (name, value)
WHERE current_setting(name) = '0' AND pg_backend_pid() = {{backend}})"""  # noqa: S608 -- our own numbers
# MariaDB's own settings are in a comment that only MariaDB executes.
_MARIADB = f"""
SET @interlock = 0 /*M!100301 , SESSION idle_transaction_timeout =
IF(@@SESSION.idle_transaction_timeout = 0, {IDLE_SECONDS}, @@SESSION.idle_transaction_timeout) */"""

READ_ONLY_POSTGRESQL = "SELECT set_config('transaction_read_only', 'on', true), set_config('idle_in_transaction_session_timeout', '0', true)"
"""Starts a read-only transaction, which blocks nobody and therefore needs no timeout."""


def bound(engine: Engine, *, demands_tls: bool = False) -> None:
    """Set timeouts on every new connection of an engine for a server.

    Behind a pooler of PostgreSQL, no timeout is set and no statement is prepared: neither outlasts a transaction.

    Args:
        engine: One of Interlock's own engines.
        demands_tls: Refuse an unencrypted connection, because some drivers fall back to one.
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
    driver: Any = getattr(connection, "driver_connection", connection)  # SQLAlchemy's asynchronous adapter wraps it
    backend = driver.info.backend_pid
    # A rollback would undo a setting that is made inside a transaction.
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
