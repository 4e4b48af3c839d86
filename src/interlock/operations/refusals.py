"""Writing down what was tried at the graph's own doors and refused there: a run from the past, a jump, a change of its channels."""

from collections.abc import Mapping
from typing import Any

from ..checkpointing.store import AuditKind
from ..commands.running.engine import Engine
from ..commands.running.scope import THREAD_ID, WORKFLOW_ID, is_nested, workflow_id_of
from ..tools.errors import InterlockError
from ..tools.principal import Principal


def record_refusal(
    engine: Engine, configurable: Mapping[str, Any], error: InterlockError, *, by: Principal | None, **tried: Any
) -> None:
    """Record a denial in the trail of the instance that a config means, where there is one.

    Args:
        engine: The workflow.
        configurable: Where it was tried. Nothing is recorded of a config that stands for a part of another graph's run, which
            cannot be told from here.
        error: What it was refused with.
        by: Who tried; nobody in particular where nothing says so. Somebody of another tenant leaves no mark on the instance.
        tried: What was tried: plain JSON, and never a value that was to be written.
    """
    if is_nested(configurable):
        return
    if configurable.get(WORKFLOW_ID) is None and configurable.get(THREAD_ID) in {None, ""}:
        return
    workflow_id = workflow_id_of(configurable, engine.definition.name)
    with engine.store.write() as connection:
        unit = engine.store.unit(connection, workflow_id)
        if unit is None:
            return
        by = by or Principal.anonymous(unit.instance.tenant)
        if unit.instance.tenant != by.tenant:
            return
        said = {"code": error.code, "message": error.message}
        unit.record(
            AuditKind.DENIAL, by, {"state": unit.instance.state, "node": None, **tried, "error": said}, code=error.code
        )
        unit.flush()


__all__ = ["record_refusal"]
