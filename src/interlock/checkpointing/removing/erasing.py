"""Erases the workflow instances of a deleted thread; an audit trail without payloads remains, which still verifies."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import InProgress
from ...tools.principal import LibraryActor, Principal
from ..saver.threads import slices
from ..store import instances as instance_rows
from ..store import trail
from ..store.instances import ERASED
from ..store.seal import Seal
from ..store.workflow_store import WorkflowStore
from ..tables import inputs as waiting
from ..tables.workflow import inbox, instances
from . import rows

BY_DELETION: Principal = LibraryActor.deletion()
"""The recorded actor if a thread is deleted without a principal."""


def erase_instances(
    store: WorkflowStore, thread_id: str, *, by: Principal = BY_DELETION, reason: str = "The thread was deleted."
) -> int:
    """Erase every workflow instance of a thread, each in its own transaction. Checkpoints and conversation are not erased.

    `SQLCheckpointer.delete_thread(thread_id, instance=True)` does this as well; call this function if the checkpointer is another one, or
    uses another database. It does not check who may erase; the application has to.

    Args:
        store: Where the instances are.
        thread_id: The thread.
        by: Who erases; recorded.
        reason: Why; recorded.

    Returns:
        The number of instances.

    Raises:
        InProgress: An effect outside the database is in progress on one of them. What was erased before stays erased.
    """
    with store.read() as connection:
        of_thread = sa.select(instances.c.workflow_id).where(instances.c.thread_id == thread_id)
        found = list(connection.scalars(of_thread.order_by(instances.c.workflow_id)))
    with store.write() as connection:
        waiting.erase(connection, waiting.inputs.c.thread_id == thread_id)
    erased = 0
    for workflow_id in found:
        with store.write() as connection:
            erased += _erase(store, connection, workflow_id, by, reason)
    return erased


def _erase(store: WorkflowStore, connection: Connection, workflow_id: str, by: Principal, reason: str) -> int:
    rows.overwrite_what_is_deleted(store.database, connection)
    unit = store.unit(connection, workflow_id)
    if unit is None:
        return 0
    instance = unit.instance
    if instance.running_key is not None and instance.lease_until is not None and instance.lease_until > unit.now:
        raise InProgress(
            f"An effect outside the database is in progress on the workflow {workflow_id}, and its outcome is to be recorded. The instance was "
            "not erased. Try again once it has ended.",
            details={"workflowId": workflow_id},
        )
    trail.erase(unit, by, reason=reason)
    taken_in = rows.taken_in(connection, workflow_id, workflow=instance.workflow)
    rows.delete(connection, instance)
    # The row stays, so that a redelivered event is recognized as a duplicate.
    late = sa.case((inbox.c.status == "kept", "late"), else_=inbox.c.status)
    for some in slices(taken_in):
        taken = sa.update(inbox).where(inbox.c.position.in_(some))
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
