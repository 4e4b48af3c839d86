"""Stores the deadline of an instance's automatic cancel at its start."""

from ...checkpointing.store import Unit
from ...checkpointing.store.settled import cancellations
from ...checkpointing.store.settled.cancellations import CancellationRow, CancelStatus
from ...rules.case_approvals import within_of
from ...tools.approvals.deadlines import due
from ...tools.errors import RuleError, RunError
from ..running.engine import Engine


def keep_deadline(engine: Engine, unit: Unit) -> None:
    """Store the deadline of a new instance's automatic cancel, if its workflow has one.

    Raises:
        RunError: The function of the deadline raised, or returned an invalid one.
    """
    cancelling = engine.definition.cancelling
    if cancelling is None or cancelling.rule.after is None:
        return
    instance = unit.instance
    try:
        view = engine.view(instance, instance.started_by, unit)
        at = due(within_of(cancelling.rule.after, view, "the cancel"), unit.now)
    except RuleError as error:
        raise RunError(
            f"The workflow {engine.definition.name} cannot begin, because {error.message}. Nothing was started; fix cancellable(after=), then try again.",
            code="rule_error",
        ) from error
    if at is None:
        return
    row = CancellationRow(instance.workflow_id, instance.tenant, instance.workflow, CancelStatus.DUE, due_at=at)
    cancellations.write(unit.connection, row, is_new=True)


__all__ = ["keep_deadline"]
