"""The connections and threads that one database may use."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import InputError


@dataclass(frozen=True)
class Capacity:
    """How many connections and threads a process uses for one database.

    Connections are opened when they are needed. Several processes share what the server allows: give each of them its part
    (`interlock doctor` and `interlock work` show both numbers).
    """

    connections: int = 60
    """The largest number of connections to a database server. An engine that the application passes in keeps its own pool."""
    threads: int = 16
    """The number of threads for SQL statements of asynchronous runs."""
    tool_threads: int = 64
    """The number of threads for bodies of synchronous tools in asynchronous runs."""

    def __post_init__(self) -> None:
        for name, value in (
            ("connections", self.connections),
            ("threads", self.threads),
            ("tool_threads", self.tool_threads),
        ):
            least = 4 if name == "connections" else 1
            if value < least:
                raise InputError(f"Capacity({name}={value}) is too small. Nothing was opened; give at least {least}.")

    @property
    def kept(self) -> int:
        """The number of idle connections of each kind that are kept outside the pool; half of all connections always belong to the pool."""
        return min(32, self.connections // 4)


@dataclass(frozen=True)
class ServerLimit:
    """The connections of a server: its limit and those in use."""

    allowed: int
    """The number of connections that ordinary users may open."""
    taken: int
    """The number of connections that are open now."""


def server_limit(connection: Connection) -> ServerLimit | None:
    """The limit of a connection's server; None if it has none (SQLite) or does not report it.

    Args:
        connection: Any connection to the server.
    """
    match connection.dialect.name:
        case "postgresql":
            row = connection.execute(
                sa.text(
                    "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, "
                    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
                )
            ).one()
            return ServerLimit(int(row[0]), int(row[1]))
        case "mysql" | "mariadb":
            allowed = connection.execute(sa.text("SELECT @@max_connections")).scalar_one()
            taken = connection.execute(sa.text("SELECT COUNT(*) FROM information_schema.PROCESSLIST")).scalar_one()
            return ServerLimit(int(allowed), int(taken))
        case _:
            return None


__all__ = ["Capacity", "ServerLimit", "server_limit"]
