"""Stopping a run that goes round in circles: what is asked then, and what is written down of it."""

from langgraph.types import interrupt
from sqlalchemy.engine import Connection

from ..checkpointing.store import AuditKind, Instance
from ..checkpointing.store import audit as audit_rows
from ..commands.running.access import why_not_run
from ..commands.running.engine import Engine
from ..commands.running.operations import InStore, Steps
from ..commands.running.scope import Scope
from ..rules.definition import Limits
from ..tools.codes import ErrorCode
from ..tools.ids import AuditRef, derive


def why_stopped(limits: Limits, *, denials: int, calls: int) -> str | None:
    """Why a run stops before its model is asked again; None where it continues.

    Args:
        limits: Of the workflow.
        denials: How many proposals in a row were denied or refused.
        calls: How often the model was called in this turn.
    """
    if denials >= limits.denials:
        return f"{denials} proposals in a row were denied or refused"
    if calls >= limits.calls:
        return f"the model was called {calls} times in one turn"
    return None


def stop(engine: Engine, instance: Instance, scope: Scope, reason: str, *, denials: int, calls: int) -> Steps[str]:
    """Write down that a run stops, and wait until it is resumed.

    Returns:
        The text that it was resumed with, for the model; empty for any other answer.
    """
    yield InStore(lambda connection: _record(engine, connection, instance.state, reason, scope))
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
            "description": f"The run stopped in {instance.state}: {reason}. Nothing is lost. Resume with any answer to let the "
            "model continue (it receives a text answer), or send a new message.",
        }
    )
    # Anyone who resumes a parent graph may resume it; words for the model are only theirs who may propose here.
    heard = isinstance(answer, str) and why_not_run(engine, instance, scope.principal) is None
    return answer if heard else ""


def _record(engine: Engine, connection: Connection, state: str, reason: str, scope: Scope) -> None:
    # The node runs again when it is resumed, and would write the same thing again.
    audit_ref = AuditRef(derive("audit", "stopped", scope.workflow_id, scope.task_key))
    unit = engine.store.unit(connection, scope.workflow_id)
    if unit is None or audit_rows.exists(connection, scope.workflow_id, audit_ref):
        return
    unit.record(
        AuditKind.LIMIT,
        scope.principal,
        {"reason": reason, "state": state},
        code=ErrorCode.LIMIT_REACHED.value,
        audit_ref=audit_ref,
    )
    unit.flush()


__all__ = ["stop", "why_stopped"]
