"""The database's clock, in microseconds since 1970 UTC, because the clocks of processes disagree."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .statements import Prepared

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
    "mysql": "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)",
}


def now_on(dialect: str) -> sa.ColumnElement[int]:
    """The SQL for the time of the statement, not of its transaction's start, by the name of the dialect."""
    return sa.literal_column(_NOW["mysql" if dialect == "mariadb" else dialect])


_now = Prepared(lambda dialect: sa.select(now_on(dialect)))


def read(connection: Connection) -> int:
    """Read the clock."""
    return int(_now.all(connection, {})[0][0])
