"""A single query outside a transaction: one round trip on servers, instead of three with a transaction."""

from collections.abc import Mapping
from typing import Any

from ....tools.errors import StoreUnavailable
from ...database import Database
from ...statements import Prepared, Row


def rows_of(database: Database, statement: Prepared, parameters: Mapping[str, Any]) -> list[Row]:
    """The rows of one query, as in a separate read transaction.

    Args:
        database: The database.
        statement: A query without writes and locks.
        parameters: Its parameters, by name.

    Raises:
        StoreError: The query failed.
    """
    database.refuse_to_wait()
    engine = database.engine
    if engine._has_events and (engine.dispatch.before_cursor_execute or engine.dispatch.after_cursor_execute):
        with database.read() as connection:  # an application's listeners must see every statement
            return statement.all(connection, parameters)
    text, values = statement.alone(engine, parameters)
    try:
        with database.raw_query() as cursor:
            cursor.execute(text, values)
            found = cursor.fetchall()
    except StoreUnavailable:
        # The server may have closed a kept connection; the engine's pool checks before a checkout.
        with database.read() as connection:
            return statement.all(connection, parameters)
    return statement.opened(engine, found)


__all__ = ["rows_of"]
