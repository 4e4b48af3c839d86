"""The database's clock, in microseconds since 1970 UTC: processes disagree about the time, the database does not."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .statements import Prepared

_NOW = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
    "mysql": "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)",
}


def now_on(dialect: str) -> sa.ColumnElement[int]:
    """The time at which the statement comes to it, and not at which its transaction began; for the name of a dialect."""
    return sa.literal_column(_NOW["mysql" if dialect == "mariadb" else dialect])


_now = Prepared(lambda dialect: sa.select(now_on(dialect)))


def read(connection: Connection) -> int:
    """What the clock says."""
    return int(_now.all(connection, {})[0][0])
