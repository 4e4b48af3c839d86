"""Statements that are built once with SQLAlchemy Core and then run as plain text.

Compiling and walking a Core statement costs several times what SQLite needs to run it; a prepared one costs a dictionary
look-up. It is only for statements whose parameters and results need no conversion: the column types of `columns`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.sql.compiler import SQLCompiler


class Prepared:
    """One statement, compiled once per dialect.

    Args:
        statement: A Core statement whose parameters are `sa.bindparam(…)` by name, or an insert of named columns.
        columns: For an insert: the columns that are given values.
    """

    def __init__(self, statement: sa.sql.expression.ClauseElement, columns: Iterable[str] | None = None) -> None:
        self._statement = statement
        self._columns = list(columns) if columns is not None else None
        self._compiled: dict[tuple[str, str], tuple[str, list[str] | None, dict[str, Any]]] = {}

    def run(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute with named parameters."""
        text, positions, defaults = self._for(connection)
        values = {**defaults, **parameters} if defaults else parameters
        if positions is None:
            return connection.exec_driver_sql(text, dict(values))
        return connection.exec_driver_sql(text, tuple([values[name] for name in positions]))

    def run_many(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """Execute once for each of the rows; nothing for none."""
        if len(rows) == 1:
            self.run(connection, rows[0])
        elif rows:
            text, positions, defaults = self._for(connection)
            if positions is None:
                connection.exec_driver_sql(text, [{**defaults, **row} for row in rows])
            else:
                values = ({**defaults, **row} for row in rows)
                connection.exec_driver_sql(text, [tuple([row[name] for name in positions]) for row in values])

    def _for(self, connection: Connection) -> tuple[str, list[str] | None, dict[str, Any]]:
        key = (connection.dialect.name, connection.dialect.driver)
        found = self._compiled.get(key)
        if found is None:
            compiled = cast(
                "SQLCompiler", self._statement.compile(dialect=connection.dialect, column_keys=self._columns)
            )
            positions = list(compiled.positiontup) if compiled.positional and compiled.positiontup else None
            if compiled.positional and positions is None:
                positions = []
            defaults = {name: value for name, value in compiled.params.items() if value is not None}
            found = self._compiled[key] = (str(compiled), positions, defaults)
        return found
