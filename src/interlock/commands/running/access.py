"""The one check of whose thread and whose instance it is, made before every run, stream, update and look-up.

Tenant first: to another tenant nothing is there, and it is answered in the same words as where nothing is. Then whom the
instance serves, and who else may propose on it by its workflow's `run_by`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, Instance
from ...tools.errors import InterlockError, PrincipalError
from ...tools.ownership import Ownership
from ...tools.principal import Principal
from .beginnings import begun_by
from .checkpoint_lookup import Saved
from .engine import Engine, unknown_instance
from .operations import InStore, Steps
from .scope import THREAD_ID, WORKFLOW_ID, is_nested, segments_of, workflow_id_of


@dataclass(frozen=True)
class Access:
    """What a principal may do where a config points."""

    workflow_id: str
    instance: Instance | None
    """The instance that is meant; None where there is none yet."""
    is_foreign: bool = False
    """Whether another tenant has the instance or its thread: nothing of it is there."""
    refused: PrincipalError | None = None
    """Why the principal may not propose on it, or see it."""
    is_begun: bool = False
    """Whether the thread has a checkpoint though the instance has none: its first run was interrupted, or was held, before that."""


def access(engine: Engine, configurable: Mapping[str, Any], by: Principal, saver: Saved | None = None) -> Access:
    """Look at whose the instance and the thread are that a config means.

    Args:
        engine: The workflow.
        configurable: Of the run or the look-up. What it says of namespaces counts only within another graph's run.
        by: Who acts.
        saver: Where the thread's checkpoints are; needed where there may be some before there is an instance.

    Raises:
        MissingThreadId: It names neither a thread nor an instance.
    """
    workflow_id = meant(engine, configurable)
    thread = configurable.get(THREAD_ID)
    # Within another graph the thread is that graph's, and the application's to guard.
    if is_nested(configurable) or thread in {None, ""}:
        one = engine.store.find(workflow_id)
        found = [] if one is None else [one]
    else:
        found = engine.store.on_thread(workflow_id, str(thread))
    instance = next((one for one in found if one.workflow_id == workflow_id), None)
    if any(not one.ownership.has(by) for one in found):
        return Access(workflow_id, None, is_foreign=True)
    for one in _counting(found, instance):
        if (refused := why_not_run(engine, one, by)) is not None:
            return Access(workflow_id, instance, refused=refused)
    if instance is not None or saver is None or is_nested(configurable) or thread in {None, ""}:
        return Access(workflow_id, instance)
    return _before_its_instance(engine, workflow_id, begun_by(saver, str(thread)), by, decides=not found)


def _before_its_instance(
    engine: Engine, workflow_id: str, begun: tuple[bool, Principal | None], by: Principal, *, decides: bool
) -> Access:
    """What may be done on a thread whose instance has not begun: what holds once it has, for whoever's input is there."""
    is_begun, starter = begun
    if starter is None or not decides:
        return Access(workflow_id, None, is_begun=is_begun)
    ownership = Ownership(starter.tenant, starter.id if starter.is_known else None, engine.definition.run_by)
    if not ownership.has(by):
        return Access(workflow_id, None, is_foreign=True)
    return Access(workflow_id, None, refused=_not_entitled(ownership, workflow_id, by), is_begun=is_begun)


def meant(engine: Engine, configurable: Mapping[str, Any]) -> str:
    """The id of the instance that a config means, as the graph's own nodes find it.

    Raises:
        MissingThreadId: It names neither a thread nor an instance.
    """
    return workflow_id_of(configurable, engine.definition.name, segments_of(configurable))


def ownership_of(engine: Engine, instance: Instance) -> Ownership:
    """Whose an instance is: of this workflow by its definition as it is now, of another one by what was stamped on it."""
    ownership = instance.ownership
    is_ours = instance.workflow == engine.definition.name
    return replace(ownership, run_by=engine.definition.run_by) if is_ours else ownership


def why_not_run(engine: Engine, instance: Instance, by: Principal) -> PrincipalError | None:
    """The error that a principal is refused with who may not propose on an instance, or None when they may."""
    return _not_entitled(ownership_of(engine, instance), instance.workflow_id, by)


def _not_entitled(ownership: Ownership, workflow_id: str, by: Principal) -> PrincipalError | None:
    reason = ownership.why_not_run(by)
    if reason is None:
        return None
    return PrincipalError(
        f"{by.id} may not run or see the workflow {workflow_id}: {reason}. Nothing was done. Run it as someone who may, or "
        "declare in the workflow who else may: Workflow(..., run_by='tenant'), or the name of a role.",
        code="not_entitled",
        details={"workflowId": workflow_id, "reason": reason},
    )


def why_not_resolve(engine: Engine, instance: Instance, by: Principal) -> PrincipalError | None:
    """The error that a principal is refused with who may not say what became of an attempt, or None when they may."""
    reason = ownership_of(engine, instance).why_not_resolve(by)
    if reason is None:
        return None
    return PrincipalError(
        f"{by.id} may not resolve an attempt in the workflow {instance.workflow_id}: {reason}. Nothing was resolved. Someone else in the tenant "
        "has to look into it: graph.instances.resolve(..., by=...), or `interlock resolve`.",
        code="not_entitled",
        details={"workflowId": instance.workflow_id, "reason": reason},
    )


def looked_at(engine: Engine, configurable: Mapping[str, Any], by: Principal) -> Instance:
    """The instance that a config means, for somebody who may propose on it; a refusal is recorded.

    Raises:
        RunError: It is not there, or another tenant's.
        PrincipalError: `by` is not allowed to.
        MissingThreadId: The config names neither a thread nor an instance.
    """
    found = access(engine, configurable, by)
    if found.refused is not None:
        record_denial(engine, found.workflow_id, found.refused, by=by)
        raise found.refused
    if found.instance is None:
        raise unknown_instance(found.workflow_id, by)
    return found.instance


def refuse_strangers(engine: Engine, instance: Instance, by: Principal) -> Steps[None]:
    """Refuse, and record, anyone who may not propose on an instance.

    Raises:
        PrincipalError: `by` is not allowed to.
    """
    refused = why_not_run(engine, instance, by)
    if refused is not None:
        yield InStore(lambda connection: note_denial(engine, connection, instance.workflow_id, refused, by=by))
        raise refused


def record_denial(
    engine: Engine, workflow_id: str, error: InterlockError, *, by: Principal | None, **tried: Any
) -> None:
    """Write down in the trail of an instance, where there is one, what was refused before it came to a proposal.

    Args:
        engine: The workflow.
        workflow_id: The instance.
        error: What it was refused with.
        by: Who tried; nobody in particular where nothing says so. Somebody of another tenant leaves no mark.
        tried: What was tried: plain JSON, and never a value that was to be written.
    """
    with engine.store.write_and_know() as connection:
        note_denial(engine, connection, workflow_id, error, by=by, **tried)


def note_denial(
    engine: Engine,
    connection: Connection,
    workflow_id: str,
    error: InterlockError,
    *,
    by: Principal | None,
    **tried: Any,
) -> None:
    """As `record_denial`, in a write transaction."""
    unit = engine.store.unit(connection, workflow_id)
    if unit is None:
        return
    by = by or Principal.anonymous(unit.instance.tenant)
    if unit.instance.tenant != by.tenant:
        return
    said = {"code": error.code, "message": error.message}
    payload = {"state": unit.instance.state, "node": None, **tried, "error": said}
    unit.record(AuditKind.DENIAL, by, payload, code=error.code)
    unit.flush()


def has_thread(configurable: Mapping[str, Any]) -> bool:
    """Whether a config says at all which thread or instance is meant."""
    return configurable.get(WORKFLOW_ID) is not None or configurable.get(THREAD_ID) not in {None, ""}


def _counting(found: list[Instance], instance: Instance | None) -> list[Instance]:
    """The instances by which it is decided who may act here: the one that is meant, and those whose conversation the thread is.

    What runs inside of other graphs on the same thread counts only where nothing else does.
    """
    own = [one for one in found if one is instance or not one.checkpoint_ns]
    return own or found


__all__ = [
    "Access",
    "access",
    "has_thread",
    "looked_at",
    "meant",
    "note_denial",
    "ownership_of",
    "record_denial",
    "refuse_strangers",
    "why_not_resolve",
    "why_not_run",
]
