"""Letting graphs go on from where something was settled: an ended wait, or an approval whose time was over.

What ends a wait or lets a request expire is committed in SQL first. The poke only lets the graph see it; one that fails, or that
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

LEFT_SECONDS = 300.0
"""After so long without a checkpoint a run that was poked counts as left by a process that died, and the tick takes it up."""
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
class _Poke:
    stop: Stop
    workflow_id: str
    config: RunnableConfig
    runner: AnyGraph


class _Stands(Enum):
    WAITS = "waits"
    RUNS = "runs"
    LEFT = "left"
    ELSEWHERE = "elsewhere"


class Poker:
    """Lets the graphs of one workflow go on.

    Args:
        graph: The compiled workflow; or a middleware's stand-in for one.
        root: The graph that it is a part of, where it runs inside another one; poked in its place.
        left_seconds: How long a run that was poked may be without a checkpoint before it counts as left by a process that died.
    """

    def __init__(
        self, graph: CompiledWorkflow | HasEngine, root: AnyGraph | None, *, left_seconds: float | None = None
    ) -> None:
        self._engine = graph.engine
        # A middleware has no graph of its own: its threads are those of the agent.
        self._own: AnyGraph | None = graph if isinstance(graph, CompiledStateGraph) else root
        self._root = root
        self._left_seconds = LEFT_SECONDS if left_seconds is None else left_seconds

    def all(self) -> list[Stop]:
        """Where graphs have not gone on yet, as far as is known."""
        if self._own is None:
            return []
        # Those inside another graph, which nobody has told us of, find out when that is run again.
        name, inside = self._engine.definition.name, self._root is not None
        with self._engine.store.read() as connection:
            waits = wait_rows.unpoked(connection, workflow=name, inside=inside, limit=BATCH)
            expired = approval_listing.unpoked(connection, workflow=name, inside=inside, limit=BATCH)
        return [*(Stop(Kind.APPROVAL, one) for one in expired), *(Stop(Kind.WAIT, one.wait_id) for one in waits)]

    def poke(self, stops: list[Stop]) -> list[str]:
        """Let the graphs that stand there go on.

        Returns:
            The instances whose graphs went on. One whose graph could not is left for the next tick, and logged.
        """
        poked: list[str] = []
        for poke in filter(None, map(self._poke_of, stops)):
            try:
                stands = self._stands(poke.runner.get_state(poke.config), poke.stop)
                if stands in {_Stands.WAITS, _Stands.LEFT}:
                    poke.runner.invoke(None, poke.config)
                    poked.append(poke.workflow_id)
                if stands is not _Stands.RUNS:
                    self._mark(poke.stop)
            except Exception as error:
                _log(poke, error)
        return list(dict.fromkeys(poked))

    async def apoke(self, stops: list[Stop]) -> list[str]:
        """As `poke`."""
        poked: list[str] = []
        database = self._engine.store.database
        for stop in stops:
            poke = await database.arun(lambda stop=stop: self._poke_of(stop))  # type: ignore[misc]
            if poke is None:
                continue
            try:
                stands = self._stands(await poke.runner.aget_state(poke.config), stop)
                if stands in {_Stands.WAITS, _Stands.LEFT}:
                    await poke.runner.ainvoke(None, poke.config)
                    poked.append(poke.workflow_id)
                if stands is not _Stands.RUNS:
                    await database.arun(lambda stop=stop: self._mark(stop))  # type: ignore[misc]
            except Exception as error:
                _log(poke, error)
        return list(dict.fromkeys(poked))

    def _poke_of(self, stop: Stop) -> _Poke | None:
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
        return _Poke(stop, instance.workflow_id, going_on(configurable, instance), runner)

    def _stands(self, state: Any, stop: Stop) -> _Stands:
        """Where a thread stands as seen from a stop."""
        shown = [interrupt.value for interrupt in state.interrupts]
        if any(isinstance(value, Mapping) and value.get(stop.kind.value) == stop.id for value in shown):
            return _Stands.WAITS
        # `next` leaves out a task that has ended and whose step has not.
        if shown or not state.tasks:
            return _Stands.ELSEWHERE
        # A run that is under way looks at the row by itself. One whose process died is under way for ever.
        if state.created_at is None:  # a saver that does not say when
            return _Stands.RUNS
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(state.created_at)
        return _Stands.LEFT if age.total_seconds() >= self._left_seconds else _Stands.RUNS

    def _mark(self, stop: Stop) -> None:
        with self._engine.store.write() as connection:
            if stop.kind is Kind.WAIT:
                wait_rows.mark_poked(connection, stop.id)
            else:
                approval_rows.mark_gone_on(connection, stop.id)


def _stopped(connection: Connection, stop: Stop) -> str | None:
    """The instance whose graph has not gone on from a stop; None when it has, or is not to."""
    if stop.kind is Kind.WAIT:
        wait = wait_rows.load(connection, stop.id)
        return None if wait is None or wait.poked else wait.workflow_id
    approval = approval_rows.load_by_id(connection, stop.id)
    if approval is None or approval.status is not ApprovalStatus.EXPIRED or approval.interrupt_id is None:
        return None
    return approval.workflow_id


def going_on(configurable: Mapping[str, Any], instance: Instance) -> RunnableConfig:
    """The config that the library lets a thread go on with: as itself, which decides nothing.

    Proposals stay those of the turn that made them. It stands in the config because a parent graph's context may be of a class that
    nobody else can make.
    """
    return {"configurable": {**configurable, ACTOR: RuntimeActor.clock(instance.tenant)}}


def _log(poke: _Poke, error: Exception) -> None:
    if isinstance(error, ConflictError):
        logger.info("somebody else runs the thread of %s: %s", poke.workflow_id, error)
        return
    logger.error(
        "the %s %s of %s is settled, and its graph could not go on; the next tick tries again",
        poke.stop.kind.name.lower(),
        poke.stop.id,
        poke.workflow_id,
        exc_info=error,
    )


__all__ = ["BATCH", "LEFT_SECONDS", "AnyGraph", "Kind", "Poker", "Stop", "going_on"]
