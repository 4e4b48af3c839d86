"""Workflow instances of a deleted thread, erased: what is left of each is its audit trail without payloads, which still verifies."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..tools.errors import InProgress
from ..tools.principal import Principal
from .connecting.engines import Dialect
from .store import instances as instance_rows
from .store import ledger_counts, trail
from .store.instances import ERASED
from .store.seal import Seal
from .store.workflow_store import WorkflowStore
from .tables.feedback import feedback
from .tables.resumptions import resumptions
from .tables.sources import sources
from .tables.webhooks import webhooks
from .tables.workflow import approvals, decisions, inbox, instances, ledger, outbox, wait_events, wait_items, waits

BY_DELETION = Principal("interlock.deletion")
"""Who erases where a thread is deleted and nobody says who deletes it."""


def erase_instances(
    store: WorkflowStore, thread_id: str, *, by: Principal = BY_DELETION, reason: str = "The thread was deleted."
) -> int:
    """Erase every workflow instance of a thread, each in a transaction of its own; its checkpoints and conversation stay.

    `SQLCheckpointer.delete_thread(thread_id, instance=True)` does this as well. Call it where the checkpointer is another one, or has
    another database. It is a call of the application's, which says for whom it erases.

    Args:
        store: Where the instances are.
        thread_id: The thread.
        by: Who erases; recorded.
        reason: Why; recorded.

    Returns:
        How many instances there were.

    Raises:
        InProgress: An effect outside the database is under way on one of them. What was erased before stays erased.
    """
    with store.read() as connection:
        of_thread = sa.select(instances.c.workflow_id).where(instances.c.thread_id == thread_id)
        found = list(connection.scalars(of_thread.order_by(instances.c.workflow_id)))
    erased = 0
    for workflow_id in found:
        with store.write() as connection:
            erased += _erase(store, connection, workflow_id, by, reason)
    return erased


def _erase(store: WorkflowStore, connection: Connection, workflow_id: str, by: Principal, reason: str) -> int:
    if store.database.dialect is Dialect.SQLITE:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    unit = store.unit(connection, workflow_id)
    if unit is None:
        return 0
    instance = unit.instance
    if instance.running_key is not None and instance.lease_until is not None and instance.lease_until > unit.now:
        raise InProgress(
            f"An effect outside the database is under way on the workflow {workflow_id}, and its outcome is to be recorded. The instance was "
            "not erased. Try again once it has ended.",
            details={"workflowId": workflow_id},
        )
    trail.erase(unit, by, reason=reason)
    of_waits = sa.select(waits.c.wait_id).where(waits.c.workflow_id == workflow_id).scalar_subquery()
    of_approvals = sa.select(approvals.c.approval_id).where(approvals.c.workflow_id == workflow_id).scalar_subquery()
    for table in (wait_items, wait_events):
        connection.execute(sa.delete(table).where(table.c.wait_id.in_(of_waits)))
    connection.execute(sa.delete(decisions).where(decisions.c.approval_id.in_(of_approvals)))
    for table in (waits, approvals, ledger, outbox, feedback, resumptions, sources, webhooks):
        connection.execute(sa.delete(table).where(table.c.workflow_id == workflow_id))
    ledger_counts.erase(connection, workflow_id)
    # An event that comes again is known by its row still.
    taken = sa.update(inbox).where(inbox.c.workflow_id == workflow_id)
    late = sa.case((inbox.c.status == "kept", "late"), else_=inbox.c.status)
    connection.execute(taken.values(envelope="{}", note=None, correlation=None, status=late))
    nobody = instance_rows.principal_text(Principal("erased", tenant=instance.tenant))
    connection.execute(
        sa.update(instances)
        .where(instances.c.workflow_id == workflow_id)
        .values(
            definition=ERASED, revision=unit.instance.revision + 1, data="{}", finished=1, thread_id=None, checkpoint_ns=None,
            head_checkpoint=None, running_key=None, lease_owner=None, lease_epoch=instance.lease_epoch + 1, lease_until=None,
            started_by=nobody, proposer=nobody, seal=Seal.make().column(), served=None, run_by=None, last_result=None,
            updated_at=unit.now,
        )
    )  # fmt: skip
    return 1


__all__ = ["BY_DELETION", "erase_instances"]
