"""The table of inputs and answers that wait for their run in a queue, on PostgreSQL.

The queue creates it and writes its rows. It is declared here because it contains messages: erasing a thread or a conversation, and
encrypting with another key, have to include it, with or without a queue in the same process.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..vault import Protected
from .columns import ident, instant

BESIDE_THE_QUEUE: dict[str, Any] = {"schema_translate_map": {}}
"""Execution options of its statements: it is in the queue's schema, not in that of the store's tables."""

inputs = sa.Table(
    "interlock_inputs",
    sa.MetaData(),
    sa.Column("input_id", ident(64), primary_key=True),
    sa.Column("thread_id", ident(255), nullable=False, index=True),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("body", Protected("interlock_inputs.body"), nullable=False),
    sa.Column("created_at", instant(), nullable=False),
    info={"place": ("input_id",), "protected": ("body",)},
)
"""One row for each input that no run has taken yet."""


def has_inputs(connection: Connection) -> bool:
    """Whether this database has a queue's inputs."""
    if connection.dialect.name != "postgresql":
        return False
    return connection.execute(sa.select(sa.func.to_regclass(inputs.name))).scalar_one() is not None


def erase(connection: Connection, *which: sa.ColumnElement[bool]) -> int:
    """Delete the inputs that match conditions, if the table exists; a run that was to take one finds it missing.

    Returns:
        The number of deleted inputs.
    """
    if not has_inputs(connection):
        return 0
    return connection.execute(sa.delete(inputs).where(*which), execution_options=BESIDE_THE_QUEUE).rowcount


__all__ = ["BESIDE_THE_QUEUE", "erase", "has_inputs", "inputs"]
