"""The access check of a thread and its instance, before every run, stream, update and read.

The tenant is checked first: for another tenant, the instance does not exist, and the error is the same as for a missing one. Then
the check considers whom the instance serves, and who else may propose on it by its workflow's `run_by`.
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
    """The rights of a principal on the thread and instance of a config."""

    workflow_id: str
    instance: Instance | None
    """The instance; None if it does not exist yet."""
    is_foreign: bool = False
    """Whether the instance or its thread belongs to another tenant, for which it does not exist."""
    refused: PrincipalError | None = None
    """Why the principal may not propose on it or see it."""
    is_begun: bool = False
    """Whether the thread has a checkpoint but no instance yet: its first run was interrupted or held before it created the instance."""


def access(engine: Engine, configurable: Mapping[str, Any], by: Principal, saver: Saved | None = None) -> Access:
    """Check a principal's access to the instance and thread of a config.

    Args:
        engine: The workflow.
        configurable: The `configurable` of the run or read. Its namespaces count only inside another graph's run.
        by: The principal.
        saver: The checkpointer of the thread; needed if there may be checkpoints before there is an instance.

    Raises:
        MissingThreadId: The config names neither a thread nor an instance.
    """
    workflow_id = meant(engine, configurable)
    thread = configurable.get(THREAD_ID)
    # Inside another graph, the thread belongs to that graph, and the application has to protect it.
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
    """The access to a thread whose instance does not exist yet: the same as after its creation, for the principal of the stored input."""
    is_begun, starter = begun
    if starter is None or not decides:
        return Access(workflow_id, None, is_begun=is_begun)
    ownership = Ownership(starter.tenant, starter.id if starter.is_known else None, engine.definition.run_by)
    if not ownership.has(by):
        return Access(workflow_id, None, is_foreign=True)
    return Access(workflow_id, None, refused=_not_entitled(ownership, workflow_id, by), is_begun=is_begun)


def meant(engine: Engine, configurable: Mapping[str, Any]) -> str:
    """The id of the instance that a config names, as the graph's own nodes determine it.

    Raises:
        MissingThreadId: The config names neither a thread nor an instance.
    """
    return workflow_id_of(configurable, engine.definition.name, segments_of(configurable))


def ownership_of(engine: Engine, instance: Instance) -> Ownership:
    """The ownership of an instance: by the current definition if it is of this workflow, else by the ownership stored with it."""
    ownership = instance.ownership
    is_ours = instance.workflow == engine.definition.name
    return replace(ownership, run_by=engine.definition.run_by) if is_ours else ownership


def why_not_run(engine: Engine, instance: Instance, by: Principal) -> PrincipalError | None:
    """The error for a principal who may not propose on an instance; None if they may."""
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
    """The error for a principal who may not resolve an attempt; None if they may."""
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
    """The instance of a config, for a principal who may propose on it; a refusal is recorded.

    Raises:
        RunError: It does not exist, or belongs to another tenant.
        PrincipalError: `by` may not propose on it.
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
    """Refuse, and record, a principal who may not propose on an instance.

    Raises:
        PrincipalError: `by` may not propose on it.
    """
    refused = why_not_run(engine, instance, by)
    if refused is not None:
        yield InStore(lambda connection: note_denial(engine, connection, instance.workflow_id, refused, by=by))
        raise refused


def record_denial(
    engine: Engine, workflow_id: str, error: InterlockError, *, by: Principal | None, **tried: Any
) -> None:
    """Record in the trail of an instance, if it exists, a request that was refused before it became a proposal.

    Args:
        engine: The workflow.
        workflow_id: The instance.
        error: The error of the refusal.
        by: The principal; None if unknown. A principal of another tenant is not recorded.
        tried: Details of the request: plain JSON, and never a value that was to be written.
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
    """Whether a config names a thread or an instance at all."""
    return configurable.get(WORKFLOW_ID) is not None or configurable.get(THREAD_ID) not in {None, ""}


def _counting(found: list[Instance], instance: Instance | None) -> list[Instance]:
    """The instances that determine who may act here: the one that the config names, and those whose conversation is on the thread.

    Instances inside other graphs on the same thread count only if there are no others.
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
