"""The rows of a workflow instance, in addition to its own row and its audit trail."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..connecting.engines import Dialect
from ..database import Database
from ..reports import sums
from ..store import ledger_counts
from ..store.instances import Instance
from ..tables.budgets import budgets
from ..tables.cancellations import cancellations
from ..tables.feedback import feedback
from ..tables.resumptions import resumptions
from ..tables.sources import sources
from ..tables.webhooks import webhooks
from ..tables.workflow import (
    approvals,
    decisions,
    inbox,
    ledger,
    outbox,
    relay_lanes,
    wait_events,
    wait_items,
    waits,
)


def delete(connection: Connection, instance: Instance) -> None:
    """Delete the rows, except the inbox events (`taken_in`), which can only be found through the waits."""
    workflow_id = instance.workflow_id
    of_waits = sa.select(waits.c.wait_id).where(waits.c.workflow_id == workflow_id).scalar_subquery()
    of_approvals = sa.select(approvals.c.approval_id).where(approvals.c.workflow_id == workflow_id).scalar_subquery()
    asked: sa.Select[Any] = sa.select(sa.literal_column("1")).where(approvals.c.workflow_id == workflow_id).limit(1)
    if connection.execute(asked).first() is not None:
        sums.forget(connection, instance.workflow, instance.tenant)
    for table in (wait_items, wait_events):
        connection.execute(sa.delete(table).where(table.c.wait_id.in_(of_waits)))
    connection.execute(sa.delete(decisions).where(decisions.c.approval_id.in_(of_approvals)))
    for table in (waits, approvals, ledger, outbox, budgets, cancellations, feedback, resumptions, sources, webhooks):
        connection.execute(sa.delete(table).where(table.c.workflow_id == workflow_id))
    # A leased lane is released by its relay.
    resting = sa.and_(relay_lanes.c.workflow_id == workflow_id, relay_lanes.c.owner == "")
    connection.execute(sa.delete(relay_lanes).where(resting))
    ledger_counts.erase(connection, workflow_id)


def taken_in(connection: Connection, workflow_id: str, *, workflow: str) -> list[int]:
    """The inbox positions of the events that name an instance, or that its waits matched by correlation."""
    named = connection.scalars(sa.select(inbox.c.position).where(inbox.c.workflow_id == workflow_id))
    by_key = connection.scalars(
        sa.select(inbox.c.position)
        .select_from(waits)
        .join(wait_events, wait_events.c.wait_id == waits.c.wait_id)
        .join(
            inbox,
            sa.and_(
                inbox.c.consumer == workflow,
                inbox.c.correlation == wait_events.c.correlation,
                inbox.c.event_name == wait_events.c.event_name,
            ),
        )
        .join(
            wait_items,
            sa.and_(wait_items.c.wait_id == waits.c.wait_id, wait_items.c.event_id == inbox.c.event_id),
        )
        .where(waits.c.workflow_id == workflow_id)
    )
    return sorted({*named, *by_key})


def overwrite_what_is_deleted(database: Database, connection: Connection) -> None:
    """Make SQLite overwrite the text of deleted rows, and not only unlink its pages."""
    if database.dialect is Dialect.SQLITE:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


__all__ = ["delete", "overwrite_what_is_deleted", "taken_in"]
