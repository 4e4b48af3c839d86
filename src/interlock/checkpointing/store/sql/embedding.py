"""Which instances have their own thread, and which one belongs to a graph around theirs."""

from typing import Any

import sqlalchemy as sa

from ...tables.workflow import instances


def on_its_own(workflow_id: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """That the graph of an instance does not run inside another one, for a query over a table that has its id."""
    return sa.exists().where(
        instances.c.workflow_id == workflow_id,
        sa.or_(instances.c.checkpoint_ns.is_(None), instances.c.checkpoint_ns == ""),
    )


__all__ = ["on_its_own"]
