"""The column types of all tables, and their common metadata.

Identifiers compare byte by byte on every database: the default collations of MySQL and MariaDB treat `A` and `a` as equal, which
would merge two threads. Points in time are microseconds since 1970-01-01 UTC in a 64-bit integer, so that they compare alike
everywhere and keep their precision.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)
"""Every table of Interlock, `workflow_…` and `conversation_…` alike."""


def ident(length: int = 128) -> TypeEngine[str]:
    """An identifier of at most `length` characters, compared byte by byte on every database."""
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    plain = sa.String(length, collation="C")
    return sa.String(length).with_variant(binary, "mysql", "mariadb").with_variant(plain, "postgresql")


def blob() -> TypeEngine[bytes]:
    """Bytes of any length (MySQL's plain BLOB would end at 64 KiB)."""
    return sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")


def text() -> TypeEngine[str]:
    """Text of any length, such as canonical JSON."""
    long = mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(long, "mysql", "mariadb")


def instant() -> TypeEngine[int]:
    """A point in time: microseconds since 1970-01-01 UTC."""
    return sa.BigInteger()


def counter() -> TypeEngine[int]:
    """An auto-incremented primary key; SQLite supports that only for INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def only_where(condition: str) -> dict[str, Any]:
    """The options of a partial index; MySQL and MariaDB have none and index all rows."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mariadb_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_charset": "utf8mb4",
}
"""Options of every table: transactions and full Unicode on MySQL and MariaDB."""
