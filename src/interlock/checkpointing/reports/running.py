"""Lists the running instances of a workflow with their states."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..store.instances import ERASED
from ..tables.workflow import instances


@dataclass(frozen=True)
class Running:
    """One instance that is not finished."""

    workflow_id: str
    version: int
    """The version of the workflow that moved it last."""
    state: str


def running(connection: Connection, workflow: str, *, tenant: str | None = None) -> Iterator[Running]:
    """The instances of a workflow that are not finished, in the order of their states.

    Args:
        connection: In a read transaction.
        workflow: The name of the workflow.
        tenant: Whose; everybody's by default.
    """
    table = instances
    statement = (
        sa.select(table.c.workflow_id, table.c.workflow_version, table.c.state)
        .where(table.c.workflow == workflow, table.c.finished == 0, table.c.definition != ERASED)
        .order_by(table.c.state, table.c.workflow_id)
    )
    if tenant is not None:
        statement = statement.where(table.c.tenant == tenant)
    for workflow_id, version, state in connection.execute(statement):
        yield Running(workflow_id, version, state)


__all__ = ["Running", "running"]
