"""Letting graphs go on from where something was settled: an ended wait, or an approval whose time was over.

What ends a wait or lets a request expire is committed in SQL first. Resuming only lets the graph see it; one that fails, or that
a killed process never made, is made up for by the next tick. So a stop is struck off only once its thread was seen to have gone on.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from sqlalchemy.engine import Connection

from ..checkpointing.store import ApprovalStatus, Instance, approval_listing
from ..checkpointing.store import approvals as approval_rows
from ..checkpointing.store import waits as wait_rows
from ..commands.running.engine import logger
from ..commands.running.principals import ACTOR
from ..commands.running.scope import workflow_id_of
from ..tools.errors import ConflictError
from ..tools.principal import RuntimeActor
from .compiled import CompiledWorkflow, HasEngine

AnyGraph = CompiledStateGraph[Any, Any, Any, Any]

ABANDONED_AFTER = 300.0
"""After so long without a checkpoint a run that was resumed counts as left by a process that died, and the tick takes it up."""
BATCH = 1_000
"""How many stops of a kind one tick looks at."""


class Kind(Enum):
    """What a graph stopped for; its value is what the interrupt shows its id as."""

    WAIT = "waitId"
    APPROVAL = "approvalId"


@dataclass(frozen=True)
class Stop:
    """Where a graph stands, as far as is known, though what it stands for is settled."""

    kind: Kind
    id: str


@dataclass(frozen=True)
class _Resumption:
    stop: Stop
    workflow_id: str
    config: RunnableConfig
    runner: AnyGraph


class _Standing(Enum):
    WAITS = "waits"
    RUNS = "runs"
    LEFT = "left"
    ELSEWHERE = "elsewhere"


class Resumer:
    """Lets the graphs of one workflow go on.

    Args:
        graph: The compiled workflow; or a middleware's stand-in for one.
        root: The graph that it is a part of, where it runs inside another one; resumed in its place.
        abandoned_after: How long a run that was resumed may be without a checkpoint before it counts as left by a process that died.
    """

    def __init__(
        self, graph: CompiledWorkflow | HasEngine, root: AnyGraph | None, *, abandoned_after: float | None = None
    ) -> None:
        self._engine = graph.engine
        # A middleware has no graph of its own: its threads are those of the agent.
        self._own: AnyGraph | None = graph if isinstance(graph, CompiledStateGraph) else root
        self._root = root
        self._abandoned_after = ABANDONED_AFTER if abandoned_after is None else abandoned_after

    def all(self) -> list[Stop]:
        """Where graphs have not gone on yet, as far as is known."""
        if self._own is None:
            return []
        # Those inside another graph, which nobody has told us of, find out when that is run again.
        name, inside = self._engine.definition.name, self._root is not None
        with self._engine.store.read() as connection:
            waits = wait_rows.not_resumed(connection, workflow=name, inside=inside, limit=BATCH)
            expired = approval_listing.not_resumed(connection, workflow=name, inside=inside, limit=BATCH)
        return [*(Stop(Kind.APPROVAL, one) for one in expired), *(Stop(Kind.WAIT, one.wait_id) for one in waits)]

    def resume(self, stops: list[Stop]) -> list[str]:
        """Let the graphs that stand there go on.

        Returns:
            The instances whose graphs went on. One whose graph could not is left for the next tick, and logged.
        """
        resumed: list[str] = []
        for due in filter(None, map(self._resumption_of, stops)):
            try:
                standing = self._standing(due.runner.get_state(due.config), due.stop)
                if standing in {_Standing.WAITS, _Standing.LEFT}:
                    due.runner.invoke(None, due.config)
                    resumed.append(due.workflow_id)
                if standing is not _Standing.RUNS:
                    self._mark(due.stop)
            except Exception as error:
                _log(due, error)
        return list(dict.fromkeys(resumed))

    async def aresume(self, stops: list[Stop]) -> list[str]:
        """As `resume`."""
        resumed: list[str] = []
        database = self._engine.store.database
        for stop in stops:
            due = await database.arun(lambda stop=stop: self._resumption_of(stop))  # type: ignore[misc]
            if due is None:
                continue
            try:
                standing = self._standing(await due.runner.aget_state(due.config), stop)
                if standing in {_Standing.WAITS, _Standing.LEFT}:
                    await due.runner.ainvoke(None, due.config)
                    resumed.append(due.workflow_id)
                if standing is not _Standing.RUNS:
                    await database.arun(lambda stop=stop: self._mark(stop))  # type: ignore[misc]
            except Exception as error:
                _log(due, error)
        return list(dict.fromkeys(resumed))

    def _resumption_of(self, stop: Stop) -> _Resumption | None:
        with self._engine.store.read() as connection:
            workflow_id = _stopped(connection, stop)
        instance = None if workflow_id is None else self._engine.store.find(workflow_id)
        if instance is None:
            return None
        if instance.thread_id is None:
            self._mark(stop)
            return None
        runner = self._root if instance.checkpoint_ns else self._own
        if runner is None:
            return None
        configurable: dict[str, Any] = {"thread_id": instance.thread_id}
        if not instance.checkpoint_ns:
            derived = workflow_id_of(configurable, self._engine.definition.name)
            if derived != instance.workflow_id:
                configurable["workflow_id"] = instance.workflow_id
        return _Resumption(stop, instance.workflow_id, going_on(configurable, instance), runner)

    def _standing(self, state: Any, stop: Stop) -> _Standing:
        """Where a thread stands as seen from a stop."""
        shown = [interrupt.value for interrupt in state.interrupts]
        if any(isinstance(value, Mapping) and value.get(stop.kind.value) == stop.id for value in shown):
            return _Standing.WAITS
        # `next` leaves out a task that has ended and whose step has not.
        if shown or not state.tasks:
            return _Standing.ELSEWHERE
        # A run that is under way looks at the row by itself. One whose process died is under way for ever.
        if state.created_at is None:  # a saver that does not say when
            return _Standing.RUNS
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(state.created_at)
        return _Standing.LEFT if age.total_seconds() >= self._abandoned_after else _Standing.RUNS

    def _mark(self, stop: Stop) -> None:
        with self._engine.store.write() as connection:
            if stop.kind is Kind.WAIT:
                wait_rows.mark_resumed(connection, stop.id)
            else:
                approval_rows.mark_resumed(connection, stop.id)


def _stopped(connection: Connection, stop: Stop) -> str | None:
    """The instance whose graph has not gone on from a stop; None when it has, or is not to."""
    if stop.kind is Kind.WAIT:
        wait = wait_rows.load(connection, stop.id)
        return None if wait is None or wait.resumed else wait.workflow_id
    approval = approval_rows.load_by_id(connection, stop.id)
    if approval is None or approval.status is not ApprovalStatus.EXPIRED or approval.interrupt_id is None:
        return None
    return approval.workflow_id


def going_on(configurable: Mapping[str, Any], instance: Instance) -> RunnableConfig:
    """The config that the library lets a thread go on with: as itself, which decides nothing.

    Proposals stay those of the turn that made them. It standing in the config because a parent graph's context may be of a class that
    nobody else can make.
    """
    return {"configurable": {**configurable, ACTOR: RuntimeActor.clock(instance.tenant)}}


def _log(due: _Resumption, error: Exception) -> None:
    if isinstance(error, ConflictError):
        logger.info("somebody else runs the thread of %s: %s", due.workflow_id, error)
        return
    logger.error(
        "the %s %s of %s is settled, and its graph could not go on; the next tick tries again",
        due.stop.kind.name.lower(),
        due.stop.id,
        due.workflow_id,
        exc_info=error,
    )


__all__ = ["ABANDONED_AFTER", "BATCH", "AnyGraph", "Kind", "Resumer", "Stop", "going_on"]
