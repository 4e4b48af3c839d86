"""Migrates instances of another definition of their workflow to this one, if possible.

A definition is identified by its version and a fingerprint of its states and edges, which every instance's row has. The states and
edges of earlier definitions are stored too, so that this release can find its changes.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, Unit
from ...checkpointing.store import definitions as definition_rows
from ...rules.definition import Definition
from ...tools.canonical import JsonObject
from ...tools.errors import DefinitionChanged
from ...tools.principal import Principal


def adopt(definition: Definition, unit: Unit, principal: Principal) -> None:
    """Migrate an instance to this definition, if it ran under another one. Written by the unit's next `flush`.

    Raises:
        UnknownState: Its state is not in this definition, and no mapping renames it.
        DefinitionChanged: A newer definition has moved it, or the edges out of its state have changed incompatibly.
    """
    instance = unit.instance
    if instance.definition == definition.fingerprint or instance.workflow != definition.name:
        return
    if instance.workflow_version > definition.version:
        raise DefinitionChanged(
            f"The workflow {instance.workflow_id} was moved on by version {instance.workflow_version} of {definition.name}, and this process "
            f"runs version {definition.version}. Nothing was done; let a process with the newer version run it.",
            details={
                "workflowId": instance.workflow_id,
                "version": instance.workflow_version,
                "here": definition.version,
            },
        )
    state = definition.state_mapping.get(instance.state)
    if state is None:
        state = definition.state(instance.state).name
        shape = definition_rows.load(unit.connection, definition.name, instance.definition)
        problem = None if shape is None else _incompatible(shape, definition, state)
        if problem is not None:
            raise DefinitionChanged(
                f"The workflow {instance.workflow_id} is in {state!r} under version {instance.workflow_version} of {definition.name}, and "
                f"version {definition.version} changed that state: {problem}. Nothing was done. Run it with the version that it was made by, or "
                f"say in the new one that this is meant: Workflow(..., version={instance.workflow_version + 1}, "
                f"state_mapping={{{state!r}: {state!r}}}).",
                details={"workflowId": instance.workflow_id, "state": state, "problem": problem},
            )
    if state != instance.state and instance.running_key is not None:
        raise DefinitionChanged(
            f"The workflow {instance.workflow_id} has an effect outside the database that is in progress or has an unknown outcome, in {instance.state!r}. "
            f"Nothing was done; let version {instance.workflow_version} end it, or resolve it, before it continues as {state!r}.",
            details={"workflowId": instance.workflow_id, "state": instance.state},
        )
    before = {"version": instance.workflow_version, "definition": instance.definition, "state": instance.state}
    if state != instance.state:
        unit.move(state=state, data=instance.data, finished=definition.state(state).is_final)
    unit.set(workflow_version=definition.version, definition=definition.fingerprint)
    unit.record(
        AuditKind.MIGRATION,
        principal,
        {
            "from": before,
            "to": {"version": definition.version, "definition": definition.fingerprint, "state": state},
            **proved(definition),
        },
    )


def why_stranded(
    connection: Connection, definition: Definition, *, version: int, fingerprint: str, state: str, is_held: bool
) -> str | None:
    """Why `adopt` would refuse an instance of this workflow, in a few words, or None.

    Args:
        connection: A transaction.
        definition: The target definition.
        version: The version of the definition that moved the instance last.
        fingerprint: The fingerprint of that definition.
        state: The state of the instance.
        is_held: Whether an effect of it is in progress outside the database, or of unknown outcome.
    """
    if fingerprint == definition.fingerprint:
        return None
    if version > definition.version:
        return f"version {version} moved it on, which is newer"
    mapped = definition.state_mapping.get(state)
    if mapped is not None:
        return "an effect of it is in progress, or of unknown outcome" if is_held and mapped != state else None
    if state not in definition.states:
        return "there is no such state, and it is mapped to none"
    shape = definition_rows.load(connection, definition.name, fingerprint)
    return None if shape is None else _incompatible(shape, definition, state)


def keep(definition: Definition, unit: Unit) -> None:
    """Store this definition when an instance is created under it."""
    definition_rows.keep(
        unit.connection,
        definition.name,
        definition.fingerprint,
        version=definition.version,
        shape=shape_of(definition),
        now=unit.now,
    )


def proved(definition: Definition) -> JsonObject:
    """The claims proved of this definition, for the record of an instance that migrates to it; empty if there are none."""
    return {"claims": [*definition.claims]} if definition.claims else {}


def shape_of(definition: Definition) -> JsonObject:
    """States and edges as plain data."""
    return {
        "states": {name: state.kind.value for name, state in definition.states.items()},
        "edges": [[*edge] for edge in sorted((edge.source, edge.tool.name, edge.target) for edge in definition.edges)],
    }


def _incompatible(before: Mapping[str, Any], definition: Definition, state: str) -> str | None:
    """The incompatible changes of a state; additional edges are compatible."""
    was_final = before["states"].get(state) == "final"
    if was_final != definition.state(state).is_final:
        return "it was final and is not" if was_final else "it was not final and is"
    now = {(edge.tool.name, edge.target) for edge in definition.by_source[state]}
    lost = [(tool, target) for source, tool, target in before["edges"] if source == state and (tool, target) not in now]
    if lost:
        return "it no longer has " + ", ".join(f"{tool} to {target!r}" for tool, target in lost)
    return None
