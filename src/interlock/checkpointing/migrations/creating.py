"""Creates tables for migrations: only those of the requested groups, and only missing ones.

MySQL commits each DDL statement, so an interrupted migration restarts with some of its tables present.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from ..schema import Run
from ..tables.columns import TABLE_OPTIONS

NAMES = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
"""The naming convention of the metadata, so that migrations name constraints alike."""


def create(name: str, *parts: Any, **options: Any) -> None:
    """Create a table with its indexes, unless it exists or its group is in another database."""
    create_table(sa.Table(name, sa.MetaData(naming_convention=NAMES), *parts, **TABLE_OPTIONS, **options))


def create_table(table: sa.Table) -> None:
    """As `create`, for a table object."""
    config: Any = op.get_context().config
    run: Run = config.attributes["run"]
    if run.wants(table.name) and not sa.inspect(run.connection).has_table(table.name, schema=run.schema):
        table.create(run.connection)
