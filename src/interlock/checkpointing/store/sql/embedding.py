"""Distinguishes instances with their own thread from those inside another graph."""

from typing import Any

import sqlalchemy as sa

from ...tables.workflow import instances


def on_its_own(workflow_id: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """The condition that an instance's graph does not run inside another one, for tables with its id."""
    return sa.exists().where(
        instances.c.workflow_id == workflow_id,
        sa.or_(instances.c.checkpoint_ns.is_(None), instances.c.checkpoint_ns == ""),
    )


__all__ = ["on_its_own"]
