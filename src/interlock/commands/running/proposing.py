"""Whose turn it is: who proposes on an instance, which its row says and no checkpoint."""

from ...checkpointing.store import Instance, WorkflowStore
from ...checkpointing.store import instances as instance_rows
from ...tools.principal import Principal


def take_turn(store: WorkflowStore, instance: Instance, principal: Principal) -> None:
    """Let somebody propose on an instance from now on, because they put words into its conversation.

    It writes only where somebody else did before.
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
