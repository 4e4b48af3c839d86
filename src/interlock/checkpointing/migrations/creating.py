"""What the migrations create tables with: only those of the groups in question, and only what is not there yet.

MySQL commits each of its statements, so a migration that was killed begins again among its own tables.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from ..schema import Run
from ..tables.columns import TABLE_OPTIONS

NAMES = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
"""The naming rules of the metadata, so that constraints get the same names by migration."""


def create(name: str, *parts: Any, **options: Any) -> None:
    """Create a table with its indexes, unless it belongs to a group that is elsewhere, or is there."""
    create_table(sa.Table(name, sa.MetaData(naming_convention=NAMES), *parts, **TABLE_OPTIONS, **options))


def create_table(table: sa.Table) -> None:
    """As `create`, for a table that is described already."""
    config: Any = op.get_context().config
    run: Run = config.attributes["run"]
    if run.wants(table.name) and not sa.inspect(run.connection).has_table(table.name, schema=run.schema):
        table.create(run.connection)
