"""Inserts a row unless its key exists, which every dialect writes differently."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Connection

from ...statements import Prepared


class InsertNew:
    """An insert of whole rows that keeps an existing row with the same key; compiled once.

    Args:
        table: The table.
    """

    def __init__(self, table: sa.Table) -> None:
        self._insert = Prepared(
            lambda dialect: (sqlite if dialect == "sqlite" else postgresql).insert(table).on_conflict_do_nothing()
        )
        self._plain = Prepared(sa.insert(table))

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> bool:
        """Insert a row.

        Returns:
            Whether it was inserted.
        """
        if connection.dialect.name in {"sqlite", "postgresql"}:
            return self._insert.execute(connection, values) == 1
        # MySQL's IGNORE would also truncate values that are too long.
        try:
            with connection.begin_nested():
                self._plain.execute(connection, values)
        except sa.exc.IntegrityError:
            return False
        return True


def insert_or_ignore(connection: Connection, table: sa.Table, values: Mapping[str, Any]) -> bool:
    """Insert a row, or keep the existing one with the same key.

    Returns:
        Whether it was inserted.
    """
    statement: Any
    match connection.dialect.name:
        case "sqlite":
            statement = sqlite.insert(table).on_conflict_do_nothing()
        case "postgresql":
            statement = postgresql.insert(table).on_conflict_do_nothing()
        case _:
            # MySQL counts an unchanged "updated" row like an inserted one, so its upsert cannot distinguish them.
            # IGNORE would also truncate values that are too long: callers check lengths first.
            statement = mysql.insert(table).prefix_with("IGNORE")
    # Inline and preserved: SQLAlchemy otherwise asks PostgreSQL for the new key instead of counting rows.
    statement = statement.values(dict(values)).inline().execution_options(preserve_rowcount=True)
    return bool(connection.execute(statement).rowcount == 1)
