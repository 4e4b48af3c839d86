"""Keeps driver connections between steps, because a checkout from a pool costs as much as SQLite needs for a step."""

import os
import threading
import time
import weakref
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

TRUSTED_SECONDS = 5.0
"""The idle time after which a connection to a server is checked before use."""


class _Server:
    """The state of the server behind an engine: when a connection was last found broken."""

    def __init__(self, engine: Engine) -> None:
        self.broke_at = float("-inf")

        @sa.event.listens_for(engine, "handle_error")
        def seen(context: Any) -> None:
            if context.is_disconnect:
                self.broke()

    def broke(self) -> None:
        """Record a broken connection: after a restart of the server all others are broken too."""
        self.broke_at = time.monotonic()


_servers: "weakref.WeakKeyDictionary[Engine, _Server]" = weakref.WeakKeyDictionary()
_servers_guard = threading.Lock()
_abandoned: list[Any] = []
"""Connections of the parent process. A forked process must neither use nor close them, so it keeps references to them."""


def _server_of(engine: Engine) -> _Server:
    with _servers_guard:
        if engine not in _servers:
            _servers[engine] = _Server(engine)
        return _servers[engine]


class Connections:
    """Connections of one engine.

    Args:
        engine: Creates them, and runs its listeners on them.
        kept: The maximum number of idle connections; 0 for an application's engine, whose own pool decides. On a server they count
            as checked out of the pool, so that its limit holds.
        autocommit: Whether every statement is a transaction.
    """

    def __init__(self, engine: Engine, *, kept: int, autocommit: bool = False) -> None:
        self._engine = engine
        self._kept = kept
        self._autocommit = autocommit
        self._on_server = engine.dialect.name != "sqlite"
        self._server = _server_of(engine) if kept and self._on_server else None
        self._guard = threading.Lock()
        self._idle: list[tuple[Any, float]] = []
        self._pooled: dict[int, Any] = {}
        """The pool's checkout for each connection, by the connection's id."""
        self._process = os.getpid()

    def take(self) -> Any:
        """Take a connection for exclusive use until it is given back."""
        while self._kept:
            with self._guard:
                if self._process != os.getpid():
                    # A forked process shares its parent's sockets, and must not even close them.
                    self._idle, self._process = [], os.getpid()
                    _abandoned.append(self._pooled)
                    self._pooled = {}
                if not self._idle:
                    break
                connection, since = self._idle.pop()
            if self._server is None or self._is_trusted(self._server, since) or self._answers(connection):
                return connection
        pooled = self._engine.raw_connection()
        if not self._kept:
            return pooled
        connection = pooled.driver_connection
        if self._on_server:
            with self._guard:
                self._pooled[id(connection)] = pooled
        else:
            pooled.detach()
        if self._autocommit and self._on_server:
            self._make_autocommit(connection)
        return connection

    def give(self, connection: Any, *, intact: bool) -> None:
        """Give a connection back; after an error it is closed."""
        if self._kept and intact and self._process == os.getpid():
            with self._guard:
                if len(self._idle) < self._kept:
                    self._idle.append((connection, time.monotonic() if self._on_server else 0.0))
                    return
        if self._server is not None and not intact:
            self._server.broke()
        self._end(connection)

    def close(self) -> None:
        """Close the idle connections."""
        with self._guard:
            idle, self._idle = self._idle, []
        if self._process == os.getpid():
            for connection, _ in idle:
                self._end(connection)

    def _end(self, connection: Any) -> None:
        """Close a connection, and release its place in the pool."""
        with self._guard:
            pooled = self._pooled.pop(id(connection), None)
        if pooled is not None:
            pooled.detach()
        connection.close()

    @staticmethod
    def _is_trusted(server: _Server, since: float) -> bool:
        return since > server.broke_at and time.monotonic() - since < TRUSTED_SECONDS

    def _make_autocommit(self, connection: Any) -> None:
        if callable(connection.autocommit):
            connection.autocommit(True)
        else:
            connection.autocommit = True

    def _answers(self, connection: Any) -> bool:
        try:
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.fetchone()
            cursor.close()
            if not self._autocommit:
                connection.rollback()
        except Exception:
            self._end(connection)
            return False
        return True


def close_when_collected(database: Any, *others: Any) -> "weakref.finalize[..., Any]":
    """Close the connections of a database that Interlock opened when nobody uses it any more, whether or not it was closed.

    Python 3.13 and psycopg warn of each connection that is only collected.
    """
    connections = {database.connections, database.autocommitting}
    return weakref.finalize(database, _close_all, os.getpid(), (*connections, *others), database.engine)


def _close_all(process: int, opened: tuple[Any, ...], engine: Engine) -> None:
    if os.getpid() != process:
        return  # a forked process shares its parent's sockets, and must not even close them
    for one in opened:
        one.close()
    engine.dispose()
