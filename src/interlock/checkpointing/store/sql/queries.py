"""One query by itself: on servers one round trip, where a transaction around it takes two more."""

from collections.abc import Mapping
from typing import Any

from ....tools.errors import StoreUnavailable
from ...database import Database
from ...statements import Prepared, Row


def rows_of(database: Database, statement: Prepared, parameters: Mapping[str, Any]) -> list[Row]:
    """Every row that one query finds, as it would in its own read transaction.

    Args:
        database: Whose tables are there.
        statement: A query; it writes nothing and locks nothing.
        parameters: By name.

    Raises:
        StoreError: The database could not be asked.
    """
    database.refuse_to_wait()
    engine = database.engine
    if engine.dispatch.before_cursor_execute or engine.dispatch.after_cursor_execute:
        with database.read() as connection:  # an application's listeners hear every statement
            return statement.all(connection, parameters)
    text, values = statement.alone(engine, parameters)
    try:
        with database.raw_query() as cursor:
            cursor.execute(text, values)
            found = cursor.fetchall()
    except StoreUnavailable:
        # The server may have ended a connection that is kept; the engine's pool looks before it gives one.
        with database.read() as connection:
            return statement.all(connection, parameters)
    return statement.opened(engine, found)


__all__ = ["rows_of"]
