"""Starts workflow instances."""

import difflib
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, Instance, Unit
from ...checkpointing.store import instances as instance_rows
from ...checkpointing.store.audit import GENESIS
from ...checkpointing.store.seal import Seal
from ...rules.definition import Definition, State
from ...rules.stored_data import NotKeptError, stored
from ...tools.canonical import JsonObject, to_json
from ...tools.errors import InvalidInput
from ...tools.ids import mint
from ...tools.principal import Principal
from ..running.engine import Engine
from ..running.scope import Scope
from ..waits.settling import arrive
from .cancel_deadline import keep_deadline
from .given_data import unknown_keys
from .versions import keep, proved


def ensure_instance(
    engine: Engine, connection: Connection, scope: Scope, requester: Principal, given: Mapping[str, Any] | None
) -> Instance:
    """Create the instance of a scope, in a write transaction; or find the one that another transaction has just created.

    Args:
        requester: The principal who starts it; it serves them, unless the scope names another person.
        given: Its data, if any.

    Raises:
        InvalidInput: The data does not fit the workflow's model.
    """
    # Look again inside the transaction: of two concurrent starts, one creates the instance and the other finds it.
    existing = instance_rows.load(connection, scope.workflow_id, lock=True)
    if existing is not None:
        return existing
    definition = engine.definition
    now = engine.store.now(connection)
    instance = blank_instance(
        definition,
        workflow_id=scope.workflow_id,
        state=definition.state(definition.initial),
        data=initial_data(engine, given),
        thread_id=scope.thread_id,
        namespace=scope.namespace or None,
        tenant=requester.tenant,
        started_by=requester,
        served=served_by_default(requester) if scope.served is None else scope.served,
        now=now,
    )
    if not instance_rows.insert(connection, instance):
        revived = instance_rows.revive(connection, instance)
        if revived is None:
            return ensure_instance(engine, connection, scope, requester, given)
        instance = revived
    unit = Unit(connection, instance, now)
    keep(definition, unit)
    unit.record(
        AuditKind.STARTED,
        requester,
        {
            "workflow": definition.name,
            "version": definition.version,
            "state": definition.initial,
            "data": unit.hide(instance.data, definition.sensitive),
            **proved(definition),
            **({} if instance.served == served_by_default(requester) else {"served": instance.served}),
        },
    )
    unit.flush()
    keep_deadline(engine, unit)
    return arrive(engine, unit)


def served_by_default(requester: Principal) -> str | None:
    """The default person served by an instance of this principal: the principal, or None for an anonymous one."""
    return requester.id if requester.is_known else None


def blank_instance(
    definition: Definition,
    *,
    workflow_id: str,
    state: State,
    data: JsonObject,
    thread_id: str | None,
    namespace: str | None,
    tenant: str,
    started_by: Principal,
    served: str | None,
    now: int,
) -> Instance:
    """The row of a new instance.

    Args:
        state: Its state.
        data: Its data, as an object of its model.
        namespace: The checkpoint namespace of its graph, if that is embedded.
        served: The id of the person whom it serves.
        now: Microseconds since 1970 UTC, by the database's clock.
    """
    return Instance(
        workflow_id=workflow_id,
        tenant=tenant,
        workflow=definition.name,
        workflow_version=definition.version,
        definition=definition.fingerprint,
        state=state.name,
        revision=0,
        data=data,
        finished=state.is_final,
        thread_id=thread_id,
        checkpoint_ns=namespace,
        head_checkpoint=None,
        running_key=None,
        lease_owner=None,
        lease_epoch=0,
        lease_until=None,
        trace_id=mint("trace"),
        started_by_text=instance_rows.principal_text(started_by),
        proposer_text=instance_rows.principal_text(started_by),
        seal=Seal.make(),
        served=served,
        run_by_text=instance_rows.run_by_text(definition.run_by),
        last_result_text=None,
        audit_count=0,
        audit_head=GENESIS,
        created_at=now,
        updated_at=now,
    )


def initial_data(engine: Engine, given: Mapping[str, Any] | None) -> JsonObject:
    """The data of a new instance, as an object of its model.

    Raises:
        InvalidInput: It does not fit the model, or the workflow has no data.
    """
    model = engine.definition.data_model
    if model is None:
        if given:
            raise InvalidInput(
                f"The workflow {engine.definition.name} has no data, and was given some: {', '.join(map(str, given))}. Nothing was started; "
                "leave it out, or declare Workflow(..., data=Model)."
            )
        return {}
    if unknown := unknown_keys(model, given or {}):
        near = {name: difflib.get_close_matches(name, model.model_fields, n=1) for name in unknown}
        meant = "".join(f" Did you mean {found[0]!r} instead of {name!r}?" for name, found in near.items() if found)
        raise InvalidInput(
            f"The data that {engine.definition.name} was started with has {', '.join(map(repr, unknown))}, which {model.__name__} does not "
            f"know; its fields are {', '.join(model.model_fields)}.{meant} Nothing was started; correct the names, or add the fields to "
            f"{model.__name__}. A model with the setting extra='ignore' or 'allow' takes other names.",
            details={"unknown": unknown},
        )
    try:
        data = stored(model, given or {})
    except NotKeptError as error:
        raise InvalidInput(
            f"The data that {engine.definition.name} was started with {error}. Nothing was started; give what fits {model.__name__} as "
            f'plain data, with the first input: {{"messages": [...], "data": {{{", ".join(f"{name!r}: ..." for name in model.model_fields)}}}}}.'
        ) from error
    for name, value in engine.definition.assumptions.starting_values.items():
        if data.get(name) != to_json(value):
            raise InvalidInput(
                f"{engine.definition.name} was started with {name} = {data.get(name)!r}, and its claims are proved for {value!r}. Nothing was "
                f"started; start it with {value!r}, or take starts_with({name}=...) out of the claims.",
                details={"field": name},
            )
    return data
