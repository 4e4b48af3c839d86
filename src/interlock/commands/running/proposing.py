"""The proposer of an instance, stored in its row and not in a checkpoint."""

from ...checkpointing.store import Instance, WorkflowStore
from ...checkpointing.store import instances as instance_rows
from ...tools.principal import Principal


def take_turn(store: WorkflowStore, instance: Instance, principal: Principal) -> None:
    """Make a principal the proposer of an instance, because they wrote into its conversation.

    It writes only if the proposer changes.
    """
    text = instance_rows.principal_text(principal)
    if instance.proposer_text == text:
        return
    with store.write() as connection:
        unit = store.unit(connection, instance.workflow_id)
        if unit is not None and unit.instance.tenant == principal.tenant and unit.instance.proposer_text != text:
            unit.set(proposer_text=text)
            unit.flush()


__all__ = ["take_turn"]
