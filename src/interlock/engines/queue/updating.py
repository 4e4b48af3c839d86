"""Runs one statement that changes jobs of the queue, in a separate transaction."""

from typing import Any

import sqlalchemy as sa

from ...checkpointing.database import Database


def update(database: Database, statement: sa.TextClause, **values: Any) -> int:
    """Run a statement.

    Args:
        database: The database of the queue.
        statement: An UPDATE or DELETE.
        **values: Its parameters.

    Returns:
        The number of changed jobs.
    """
    with database.write() as connection:
        return int(connection.execute(statement, values).rowcount)


__all__ = ["update"]
