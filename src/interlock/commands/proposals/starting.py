"""Starts an instance from outside the graph, without a thread; idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.identifiers import named
from ...checkpointing.store import AuditKind, Instance
from ...checkpointing.store import audit as audit_rows
from ...checkpointing.store import instances as instance_rows
from ...tools.errors import CommitUnknown, ConflictError, InputError, PrincipalError
from ...tools.ids import mint
from ...tools.ownership import Ownership
from ...tools.principal import Principal
from ...tools.redaction import Secrets
from ..instances.starting import ensure_instance, initial_data, served_by_default
from ..running.access import refuse_strangers
from ..running.engine import Engine, unknown_instance
from ..running.operations import InStore, Steps
from ..running.principals import served_by
from ..running.scope import Scope, outside_scope

_OURS = "wf_"
"""The prefix of ids that the library generates, at random or from a thread."""


@dataclass(frozen=True)
class Start:
    """The parameters of a start."""

    principal: Principal
    data: Mapping[str, Any] | None = None
    workflow_id: str | None = None
    """The caller's own id; None to generate one."""
    served: str | Principal | None = None


def start(engine: Engine, given: Start) -> Steps[Instance]:
    """Create an instance, or find the one that the same principal has created under this id.

    Raises:
        InvalidInput: The data does not fit the workflow's model.
        InputError: The ID cannot be stored, or begins with `wf_`.
        PrincipalError: It is to serve somebody whose workflow the principal may not run, or somebody of another tenant.
        RunError: The ID is in use by another tenant.
        ConflictError: An instance with this ID was started by somebody else or with other data.
    """
    principal, served = given.principal, given.served
    person = None if served is None else served_by(served, principal)
    is_chosen = given.workflow_id is not None
    workflow_id = named("workflow_id", given.workflow_id, 64) if is_chosen else mint("wf")
    _may_run(engine, principal, served_by_default(principal) if person is None else person, workflow_id)
    scope = replace(outside_scope(workflow_id, principal), served=person)
    try:
        instance: Instance = yield InStore(partial(_begun, engine, given, scope))
    except CommitUnknown as lost:
        lost.details = {**lost.details, "workflowId": workflow_id}
        lost.retryable = is_chosen  # otherwise it would be a different instance
        raise
    if is_chosen:
        yield from refuse_strangers(engine, instance, principal)
        yield InStore(partial(_same_start, engine, given, instance, person), write=False)
    return instance


def _begun(engine: Engine, given: Start, scope: Scope, connection: Connection) -> Instance:
    existing = instance_rows.load(connection, scope.workflow_id, lock=True)
    if existing is None and given.workflow_id is not None and scope.workflow_id.startswith(_OURS):
        raise InputError(
            f"{scope.workflow_id!r} has the form of generated ids, and there is no "
            f"such instance. Nothing was started; omit workflow_id, or pass your own id that does not "
            f"begin with {_OURS!r}.",
            code="reserved_workflow_id",
        )
    if existing is None:
        existing = ensure_instance(engine, connection, scope, given.principal, given.data)
    return engine.owned(existing, given.principal, scope.workflow_id)


def _may_run(engine: Engine, principal: Principal, served: str | None, workflow_id: str) -> None:
    reason = Ownership(principal.tenant, served, engine.definition.run_by).why_not_run(principal)
    if reason is not None:
        raise PrincipalError(
            f"{principal.id} may not start a workflow {engine.definition.name} that serves {served}: {reason}. Nothing was started. Start it as someone who may "
            "run it, or declare in the workflow who else may: Workflow(..., run_by='tenant'), or the name of a role.",
            code="not_entitled",
            details={"workflowId": workflow_id, "reason": reason},
        )


def _same_start(engine: Engine, given: Start, instance: Instance, served: str | None, connection: Connection) -> None:
    """Check that an instance was started by the same principal, with the same data, for the same person.

    Raises:
        ConflictError: One of these differs.
    """
    principal, data = given.principal, given.data
    if instance.workflow != engine.definition.name:
        raise unknown_instance(instance.workflow_id, principal)
    starter = instance.started_by
    if (starter.tenant, starter.id) != (principal.tenant, principal.id):
        raise _taken(instance, f"{starter.id} started it")
    if served is not None and served != instance.served:
        raise _taken(instance, f"it serves {instance.served or 'nobody in particular'}")
    if data is None:
        return
    started = audit_rows.last(connection, instance.workflow_id, AuditKind.STARTED)
    recorded = None if started is None or started.payload is None else started.payload.get("data")
    # Compare the recorded forms, with sensitive values masked; an erased record cannot be compared.
    if recorded is not None and Secrets().redacted(initial_data(engine, data), engine.definition.sensitive) != recorded:
        raise _taken(instance, "it was started with other data")


def _taken(instance: Instance, why: str) -> ConflictError:
    return ConflictError(
        f"There is a workflow instance {instance.workflow_id} already, and {why}. Nothing was started; it is in {instance.state!r} at revision "
        f"{instance.revision}. Give another workflow_id, or look at this one with instances.snapshot({instance.workflow_id!r}).",
        retryable=False,
        details={
            "workflowId": instance.workflow_id,
            "currentState": instance.state,
            "revision": instance.revision,
        },
    )


__all__ = ["Start", "start"]
