"""Stops a run that exceeds a limit: the interrupt for the person, and the audit record."""

from langgraph.types import interrupt
from sqlalchemy.engine import Connection

from ..checkpointing.store import AuditKind, Instance
from ..checkpointing.store import audit as audit_rows
from ..commands.budgets.spending import Spent
from ..commands.budgets.standing import BudgetStanding
from ..commands.running import needed
from ..commands.running.access import why_not_run
from ..commands.running.engine import Engine
from ..commands.running.operations import InStore, Steps
from ..commands.running.scope import Scope
from ..rules.definition import Limits
from ..tools.codes import ErrorCode
from ..tools.ids import AuditRef, derive


def why_stopped(limits: Limits, *, denials: int, calls: int) -> str | None:
    """The reason why a run stops before its next model call; None if it continues.

    Args:
        limits: The limits of the workflow.
        denials: The number of consecutive proposals that were denied or refused.
        calls: The number of model calls in this turn.
    """
    if denials >= limits.denials:
        return f"{denials} proposals in a row were denied or refused"
    if calls >= limits.calls:
        return f"the model was called {calls} times in one turn"
    return None


def stop(engine: Engine, instance: Instance, scope: Scope, why: str | Spent, *, denials: int, calls: int) -> Steps[str]:
    """Record that a run stops, and wait until it is resumed.

    Args:
        engine: The workflow.
        instance: The instance.
        scope: The scope of the run.
        why: The reason for the stop, or the budget that is spent.
        denials: The number of consecutive proposals that were denied or refused.
        calls: The number of model calls in this turn.

    Returns:
        The text for the model with which the run was resumed; empty for any other answer.
    """
    reason, budget = (why.reason, why.standing) if isinstance(why, Spent) else (why, None)
    yield InStore(lambda connection: _record(engine, connection, instance.state, reason, scope, budget))
    about = {} if budget is None else {"budget": {**budget.to_json(), "requestedBy": instance.proposer.id}}
    answer = interrupt(
        {
            "type": "stopped",
            "schemaVersion": 1,
            "code": ErrorCode.LIMIT_REACHED.value,
            "workflowId": instance.workflow_id,
            "state": instance.state,
            "reason": reason,
            "denials": denials,
            "calls": calls,
            "lastResult": instance.last_result,
            "description": _description(instance.state, reason, budget),
            **about,
        }
    )
    # Anyone who may resume a parent graph can answer; the model receives the text only from a principal who may propose here.
    heard = isinstance(answer, str) and why_not_run(engine, instance, scope.principal) is None
    return answer if heard else ""


def _description(state: str, reason: str, budget: BudgetStanding | None) -> str:
    stopped = f"The run stopped in {state}: {reason}. Nothing is lost."
    if budget is None:
        return f"{stopped} Resume with any answer to let the model continue (it receives a text answer), or send a new message."
    if budget.raised_by is None:
        return f"{stopped} Nobody can raise this budget."
    return f"{stopped} Someone with the role {budget.raised_by!r} can raise the budget; then resume."


def _record(  # noqa: PLR0917 -- one act
    engine: Engine, connection: Connection, state: str, reason: str, scope: Scope, budget: BudgetStanding | None
) -> None:
    # The node runs again when it is resumed; the derived id prevents a second record.
    audit_ref = AuditRef(derive("audit", "stopped", scope.workflow_id, scope.task_key))
    unit = engine.store.unit(connection, scope.workflow_id)
    if unit is None or audit_rows.exists(connection, scope.workflow_id, audit_ref):
        return
    unit.record(
        AuditKind.LIMIT,
        scope.principal,
        {"reason": reason, "state": state, **({} if budget is None else {"budget": budget.to_json()})},
        code=ErrorCode.LIMIT_REACHED.value,
        audit_ref=audit_ref,
    )
    if budget is not None and budget.raised_by is not None:
        needed.budget_spent(engine, unit, budget.name, budget.raised_by, scope.principal, audit_ref)
    unit.flush()


__all__ = ["stop", "why_stopped"]
