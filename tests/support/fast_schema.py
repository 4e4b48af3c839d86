"""Fresh databases get their tables by repeating what the first migration of this process did.

Thousands of tests begin with an empty database, and Alembic takes three times as long to work out the statements as the database to carry
them out. `tests/checkpointing/test_schema.py`, which is about the migrations, runs them for real each time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from interlock.checkpointing import schema

_migrate = schema._migrate
_READS = ("SELECT", "PRAGMA", "SHOW")
_known: dict[tuple[object, ...], list[tuple[str, Any]]] = {}


def _repeat(run: schema.Run) -> None:
    connection = run.connection
    kind = (connection.dialect.name, connection.dialect.driver, run.groups, run.schema)
    is_known_to_work = connection.dialect.name in {"sqlite", "postgresql"} and run.schema is None
    if not is_known_to_work or schema._read_version(connection, run.version_table) is not None:
        _migrate(run)
    elif kind not in _known:
        _known[kind] = _noted(run)
    else:
        for statement, parameters in _known[kind]:
            connection.exec_driver_sql(statement, parameters or None)


def _noted(run: schema.Run) -> list[tuple[str, Any]]:
    """Migrate, and note the statements."""
    noted: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(_READS):
            noted.append((statement, parameters))

    sa.event.listen(run.connection, "before_cursor_execute", note)
    try:
        _migrate(run)
    finally:
        sa.event.remove(run.connection, "before_cursor_execute", note)
    if run.connection.dialect.driver != "psycopg":  # asyncpg takes one statement at a time
        return noted
    plain = [statement for statement, parameters in noted if not parameters]
    return [(";\n".join(plain), None), *((statement, given) for statement, given in noted if given)]


def begin() -> None:
    """Let every migration of an empty database be a repetition from now on."""
    schema._migrate = _repeat


@contextlib.contextmanager
def real_migrations() -> Iterator[None]:
    """Run the migrations as they are."""
    schema._migrate = _migrate
    try:
        yield
    finally:
        schema._migrate = _repeat
