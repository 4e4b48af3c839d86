"""One statement that changes jobs of the queue, in a transaction of its own."""

from typing import Any

import sqlalchemy as sa

from ...checkpointing.database import Database


def update(database: Database, statement: sa.TextClause, **values: Any) -> int:
    """Run a statement.

    Args:
        database: Where the queue is.
        statement: An UPDATE or DELETE.
        **values: Its parameters.

    Returns:
        How many jobs it changed.
    """
    with database.write() as connection:
        return int(connection.execute(statement, values).rowcount)


__all__ = ["update"]
