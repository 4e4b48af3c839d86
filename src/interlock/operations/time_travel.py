"""Time travel in a workflow: an instance cannot continue from before its last command, but a new instance can start from there.

LangGraph continues from any checkpoint. For a workflow, that would repeat commands that were executed already, so a run from before the
last command is refused before anything is written. `head` returns the checkpoint to continue from, and `fork` starts a new instance
from an earlier checkpoint. `rejoin` is for a thread whose checkpoints were lost.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.graph import START
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot, StateUpdate
from sqlalchemy.engine import Connection

from ..checkpointing.store import AuditKind, Instance, Unit
from ..checkpointing.store import instances as instance_rows
from ..commands.execution.commands import stale
from ..commands.instances.cancel_deadline import keep_deadline
from ..commands.instances.lineage import descends, parents_of
from ..commands.instances.starting import blank_instance
from ..commands.instances.versions import keep, proved
from ..commands.origins.capturing import copy_sources
from ..commands.running.access import Access, looked_at
from ..commands.running.checkpoint_lookup import FromThreads, Saved, looking_at
from ..commands.running.engine import Engine
from ..commands.running.entrances import enter
from ..commands.running.operations import Either, Look, Steps, in_store
from ..commands.running.scope import is_nested, workflow_id_of
from ..commands.waits.settling import arrive
from ..rules.cancelling import CANCELLING
from ..tools.errors import ConflictError, InputError
from ..tools.principal import Principal
from .compiled import CompiledWorkflow, Config
from .refusals import record_refusal


def check_travel(
    engine: Engine,
    saver: Saved | None,
    configurable: Mapping[str, Any],
    entered: Access | None = None,
    *,
    by: Principal | None = None,
) -> None:
    """Refuse, and record, a run or an update at a checkpoint from before the workflow's last command.

    Args:
        engine: The workflow.
        saver: Its checkpointer.
        configurable: The `configurable` of the run.
        entered: The access that was determined at the entrance, if any.
        by: The principal of the run; None if unknown.

    Raises:
        StaleCheckpoint: The checkpoint is from before the last command; nothing was done.
    """
    checkpoint, thread = configurable.get("checkpoint_id"), configurable.get("thread_id")
    if checkpoint is None or thread is None or is_nested(configurable):
        return
    workflow_id = workflow_id_of(configurable, engine.definition.name)
    instance = engine.store.find(workflow_id) if entered is None else entered.instance
    wanted = None if instance is None else instance.head_checkpoint
    if (
        saver is None
        or instance is None
        or wanted is None
        or descends(str(checkpoint), wanted, parents_of(saver, str(thread)))
    ):
        return
    error = stale(workflow_id, instance.state, instance.revision)
    record_refusal(engine, configurable, error, by=by, checkpoint=str(checkpoint))
    raise error


def head(graph: CompiledWorkflow, config: Config, *, by: Principal | None) -> Steps[RunnableConfig]:
    """Return the config with which a thread that has branches continues: that of the newest checkpoint after the workflow's last command.

    Args:
        graph: The workflow.
        config: The thread.
        by: The principal who looks; None for the application.

    Raises:
        InputError: The thread no longer has such a checkpoint.
    """
    engine = graph.engine
    thread = config.get("configurable", {}).get("thread_id")
    saver = cast("Any", graph.checkpointer)
    instance: Instance = yield Look(lambda: _looked_at(engine, config, by))
    plain: RunnableConfig = {"configurable": {**config.get("configurable", {})}}
    plain["configurable"].pop("checkpoint_id", None)
    wanted = instance.head_checkpoint
    if wanted is None:
        return plain
    whole: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    listed: list[CheckpointTuple] = yield Either(lambda: [*saver.list(whole)], lambda: _listed(saver, whole))
    parents: dict[str, str | None] = {}
    for saved in listed:
        above = saved.parent_config
        parents[saved.config["configurable"]["checkpoint_id"]] = (
            None if above is None else above["configurable"]["checkpoint_id"]
        )
    for number, checkpoint in enumerate(parents):  # newest first
        if descends(checkpoint, wanted, parents.get):
            if number > 0:
                plain["configurable"]["checkpoint_id"] = checkpoint
            return plain
    raise InputError(
        f"The thread {thread!r} has no checkpoint that follows the last command of {instance.workflow_id}, which is in "
        f"{instance.state!r}. Nothing was done. If they were lost, graph.instances.rejoin(config) continues the thread from the "
        "workflow's current state; graph.instances.execute acts on it without a thread.",
        code="no_head",
    )


async def _listed(saver: Any, config: Config) -> list[CheckpointTuple]:
    return [saved async for saved in saver.alist(config)]


def rejoin(graph: CompiledWorkflow, config: Config, *, principal: Principal | None) -> Steps[RunnableConfig]:
    """Resume a thread whose checkpoints were lost, from the state of the instance's row.

    Args:
        graph: The workflow.
        config: The config of the thread, with the `workflow_id` of the instance if it ran in another thread.
        principal: The principal who asks for this; None for the application.

    Returns:
        The config to continue with.

    Raises:
        RunError: The principal's tenant has no such instance.
        PrincipalError: The instance serves somebody else.
        ConflictError: Nothing was lost: the checkpoint of the last command exists.
    """
    engine, saver = graph.engine, cast("Any", graph.checkpointer)
    plain: RunnableConfig = {"configurable": {**config.get("configurable", {})}}
    plain["configurable"].pop("checkpoint_id", None)
    instance: Instance = yield Look(lambda: _looked_at(engine, plain, principal))
    workflow_id, wanted = instance.workflow_id, instance.head_checkpoint
    by = principal or Principal.anonymous(instance.tenant)
    thread = plain["configurable"].get("thread_id")
    if wanted is None:
        return plain
    last = looking_at(str(thread), "", wanted)
    if (yield Either(lambda: saver.get_tuple(last), lambda: saver.aget_tuple(last))) is not None:
        raise ConflictError(
            f"The thread {thread!r} has the checkpoint of the last command of {workflow_id}, so nothing is lost. Nothing was done; continue with "
            "graph.instances.head(config).",
            retryable=False,
            details={"workflowId": workflow_id},
        )
    yield from in_store(lambda connection: _rejoined(engine, connection, instance, str(thread), by))
    return plain


def _rejoined(engine: Engine, connection: Connection, instance: Instance, thread: str, by: Principal) -> None:
    unit, wanted = engine.store.unit(connection, instance.workflow_id), instance.head_checkpoint
    engine.owned(None if unit is None else unit.instance, by, instance.workflow_id)
    assert unit is not None  # noqa: S101 -- `owned` has refused None
    if unit.instance.head_checkpoint == wanted:
        unit.set(head_checkpoint=None)
        unit.record(AuditKind.REJOINED, by, {"thread": thread, "lost": wanted, "state": unit.instance.state})
        unit.flush()


def fork(
    graph: CompiledWorkflow, config: Config, *, thread_id: str, principal: Principal | None
) -> Steps[RunnableConfig]:
    """Start a new instance from a checkpoint of another one.

    The new instance has the state and the data of that checkpoint and a copy of the conversation, without proposals that waited there.
    Effects outside the database are not undone.

    Args:
        graph: The workflow.
        config: The config of the thread, with the `checkpoint_id` of the checkpoint; by default the newest one.
        thread_id: The ID of the new thread.
        principal: The principal who asks for this; None for the application. The new instance serves the same person as the other one.

    Returns:
        The config of the new thread; `graph.invoke(None, config)` continues with it.

    Raises:
        RunError: There is no such instance, or the new thread is in use, for another tenant than the principal's.
        PrincipalError: One of them serves somebody else.
        InputError: There is no such checkpoint.
        ConflictError: The new thread exists already.
    """
    engine = graph.engine
    if engine.definition.assumptions.never_forked:
        raise InputError(
            f"The claims of {engine.definition.name} are proved for instances that are never forked. Nothing was done; start a new instance, "
            "or take never_forked out of the claims.",
            code="forks_forbidden",
        )
    source: Instance = yield Look(lambda: _looked_at(engine, config, principal))
    source_id = source.workflow_id
    snapshot: StateSnapshot = yield Either(lambda: graph.get_state(config), lambda: graph.aget_state(config))
    checkpoint = snapshot.config.get("configurable", {}).get("checkpoint_id")
    if not snapshot.values or checkpoint is None:
        raise InputError(
            f"There is no checkpoint at {config.get('configurable')} to fork from. Nothing was done; take one of graph.get_state_history(config).",
            code="unknown_checkpoint",
        )
    target: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    yield from _entered(graph, target, principal)
    by = principal or Principal.anonymous(source.tenant)
    requester = principal or source.started_by
    values = snapshot.values
    began = {
        "from": source_id,
        "checkpoint": checkpoint,
        "state": values.get("state", engine.definition.initial),
        "revision": values.get("revision", 0),
    }
    instance = yield from in_store(
        lambda connection: _begin(
            engine, connection, source, thread_id=thread_id, values=values, began=began, principal=by
        )
    )
    there: StateSnapshot = yield Either(lambda: graph.get_state(target), lambda: graph.aget_state(target))
    if there.values:
        return target  # an interrupted earlier call has created it after this checkpoint
    channels = yield from engine.shown(instance, requester)
    copied = {
        "messages": values.get("messages", []),
        "progress": [("turn", requester.to_json())],
        **channels,
    }
    # Not through the workflow's checked methods: these are its own channels, which follow the row that was just written.
    plain = cast("CompiledStateGraph[Any, Any, Any, Any]", graph)
    steps = [[StateUpdate(values=copied, as_node=START)]]
    yield Either(
        lambda: CompiledStateGraph.bulk_update_state(plain, target, steps),
        lambda: CompiledStateGraph.abulk_update_state(plain, target, steps),
    )
    return target


def _entered(graph: CompiledWorkflow, target: RunnableConfig, principal: Principal | None) -> Steps[None]:
    """Refuse a principal who may not start on the new thread."""
    if principal is None:
        return
    engine, saver, by = graph.engine, graph.checkpointer or None, principal

    async def awaited() -> None:
        read = None if saver is None else FromThreads(saver, asyncio.get_running_loop())
        await engine.store.database.arun(lambda: enter(engine, read, target["configurable"], by, {}))

    yield Either(lambda: enter(engine, saver, target["configurable"], by, {}), awaited)


def _looked_at(engine: Engine, config: Config, principal: Principal | None) -> Instance:
    configurable = config.get("configurable", {})
    if principal is not None:
        return looked_at(engine, configurable, principal)
    return engine.store.get(workflow_id_of(configurable, engine.definition.name))


def _begin(
    engine: Engine,
    connection: Connection,
    source: Instance,
    *,
    thread_id: str,
    values: Mapping[str, Any],
    began: Mapping[str, Any],
    principal: Principal,
) -> Instance:
    definition = engine.definition
    workflow_id = workflow_id_of({"thread_id": thread_id}, definition.name)
    existing = instance_rows.load(connection, workflow_id, lock=True)
    if existing is not None:
        return _same_fork(engine, existing, began)
    now = engine.store.now(connection)
    state = definition.state(definition.state_mapping.get(str(began["state"]), str(began["state"])))
    if state.name == CANCELLING:
        raise ConflictError(
            f"At that checkpoint {source.workflow_id} was being cancelled, and what was done is its own to undo. Nothing was forked; fork it from a "
            "checkpoint before the cancel.",
            retryable=False,
        )
    model = definition.data_model
    data = definition.parse_data(values.get("data"))
    instance = blank_instance(
        definition,
        workflow_id=workflow_id,
        state=state,
        data={} if model is None else data.model_dump(mode="json"),
        thread_id=thread_id,
        namespace=None,
        tenant=source.tenant,
        started_by=principal,
        served=source.served,
        now=now,
    )
    if not instance_rows.insert(connection, instance):
        return _begin(engine, connection, source, thread_id=thread_id, values=values, began=began, principal=principal)
    unit = Unit(connection, instance, now)
    keep(definition, unit)
    copy_sources(connection, definition, source.workflow_id, workflow_id)
    given = {"data": unit.hide(instance.data, definition.sensitive), **proved(definition)}
    unit.record(AuditKind.FORK, principal, {**began, **given})
    unit.flush()
    keep_deadline(engine, unit)
    return arrive(engine, unit)


def _same_fork(engine: Engine, existing: Instance, began: Mapping[str, Any]) -> Instance:
    first = next(iter(engine.store.audit(existing.workflow_id, limit=1)), None)
    payload = {} if first is None or first.payload is None else first.payload
    if first is None or first.kind is not AuditKind.FORK or any(payload.get(name) != began[name] for name in began):
        raise ConflictError(
            f"The thread {existing.thread_id!r} already has a workflow, {existing.workflow_id}, in {existing.state!r}. Nothing was done; give "
            "fork its own thread.",
            retryable=False,
            details={"workflowId": existing.workflow_id},
        )
    return existing
