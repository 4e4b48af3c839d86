"""Events into workflows, from outside their graphs: delivered, deadlines kept, and the graphs poked to go on.

What an event or a deadline does is decided and committed in SQL first. The poke only lets the graph see it; one that fails, or
that a killed process never made, is made up for by the next tick.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from ..checkpointing.store import Instance
from ..checkpointing.store import inbox as inbox_rows
from ..checkpointing.store import waits as wait_rows
from ..checkpointing.store.inbox import InboxEvent, InboxStatus
from ..checkpointing.store.waits import Wait
from ..events.cloudevents import read
from ..events.envelopes import envelope_of
from ..nodes.base import logger
from ..nodes.delivery import Delivery, DeliveryStatus, settle_due, take_again, take_in
from ..nodes.scope import workflow_id_of
from ..nodes.settling import CLOCK
from ..tools.canonical import canonical_json
from ..tools.errors import ConflictError, InvalidInput
from ..tools.events import Event, EventEnvelope
from ..tools.ids import EventId, TraceId, WorkflowId, derive, mint
from ..tools.principal import Principal

if TYPE_CHECKING:
    from .compiled import WorkflowGraph

AnyGraph = CompiledStateGraph[Any, Any, Any, Any]
Deliverable = EventEnvelope | Event | Mapping[str, Any] | str | bytes
"""An event in any form: an envelope, the wire shape, a CloudEvent, their JSON text, or a bare `Event` with `workflow_id=`."""


LEFT_SECONDS = 300.0
"""After so long without a checkpoint a run that was poked counts as left by a process that died, and the tick takes it up."""


class _Stands(Enum):
    WAITS = "waits"
    RUNS = "runs"
    LEFT = "left"
    ELSEWHERE = "elsewhere"


@dataclass
class Ticked:
    """What one tick did."""

    ended: list[str] = field(default_factory=list)
    """The instances whose waits it ended."""
    poked: list[str] = field(default_factory=list)
    """The instances whose graphs went on."""


class Deliveries:
    """Events into the instances of one compiled workflow.

    Args:
        graph: The compiled workflow.
        root: The graph that it is a part of, where it runs inside another one; poked in its place.
        left_seconds: How long a run that was poked may be without a checkpoint before it counts as left by a process that died.
            A run that is only slow, and is taken up beside, does no business twice; one of the two ends with a `ConflictError`.
    """

    def __init__(
        self, graph: "WorkflowGraph", root: AnyGraph | None = None, *, left_seconds: float = LEFT_SECONDS
    ) -> None:
        self._graph = graph
        self._engine = graph.engine
        self._root = root
        self._left_seconds = left_seconds

    @property
    def needs_loop(self) -> bool:
        """Whether the workflow has asynchronous tools, so that its graph runs in an event loop only."""
        return any(contract.is_async for contract in self._engine.definition.contracts.values())

    def deliver(
        self, event: Deliverable, *, workflow_id: str | None = None, source: str = "/application", poke: bool = True
    ) -> Delivery:
        """Take an event in, once, and let the workflows that wait for it go on. See `interlock.deliver`."""
        delivery = take_in(self._engine, self.envelope(event, workflow_id, source))
        if poke:
            self.poke(delivery.ended)
        return delivery

    async def adeliver(
        self, event: Deliverable, *, workflow_id: str | None = None, source: str = "/application", poke: bool = True
    ) -> Delivery:
        """As `deliver`."""
        database = self._engine.store.database
        envelope = await database.arun(lambda: self.envelope(event, workflow_id, source))
        delivery = await database.arun(lambda: take_in(self._engine, envelope))
        if poke:
            await self.apoke(delivery.ended)
        return delivery

    def again(self, event: InboxEvent, *, poke: bool = True) -> Delivery:
        """Deliver an event of the inbox again that no wait has taken."""
        delivery = take_again(self._engine, event, envelope_of(event.envelope))
        if poke:
            self.poke(delivery.ended)
        return delivery

    def tick(self, *, poke: bool = True) -> Ticked:
        """Keep the deadlines: end the waits that are due, and poke every graph that has not gone on from an ended wait."""
        done = Ticked(ended=[wait.workflow_id for wait in settle_due(self._engine)])
        if poke:
            done.poked = self.poke([wait.wait_id for wait in self._unpoked()])
        return done

    async def atick(self, *, poke: bool = True) -> Ticked:
        """As `tick`."""
        database = self._engine.store.database
        ended = await database.arun(lambda: settle_due(self._engine))
        done = Ticked(ended=[wait.workflow_id for wait in ended])
        if poke:
            waits = await database.arun(self._unpoked)
            done.poked = await self.apoke([wait.wait_id for wait in waits])
        return done

    def poke(self, wait_ids: list[str] | tuple[str, ...]) -> list[str]:
        """Let the graphs that stand at these ended waits go on.

        Returns:
            The instances whose graphs went on. One whose graph could not is left for the next tick, and logged.
        """
        poked: list[str] = []
        for wait, instance, config, runner in filter(None, map(self._poke_of, wait_ids)):
            try:
                stands = self._stands(runner.get_state(config), wait)
                if stands in {_Stands.WAITS, _Stands.LEFT}:
                    runner.invoke(None, config, **self._context(runner, instance))
                    poked.append(wait.workflow_id)
                if stands is not _Stands.RUNS:
                    self._mark(wait)
            except Exception as error:
                _log(wait, error)
        return poked

    async def apoke(self, wait_ids: list[str] | tuple[str, ...]) -> list[str]:
        """As `poke`."""
        poked: list[str] = []
        database = self._engine.store.database
        for wait_id in wait_ids:
            found = await database.arun(lambda wait_id=wait_id: self._poke_of(wait_id))  # type: ignore[misc]
            if found is None:
                continue
            wait, instance, config, runner = found
            try:
                stands = self._stands(await runner.aget_state(config), wait)
                if stands in {_Stands.WAITS, _Stands.LEFT}:
                    await runner.ainvoke(None, config, **self._context(runner, instance))
                    poked.append(wait.workflow_id)
                if stands is not _Stands.RUNS:
                    await database.arun(lambda wait=wait: self._mark(wait))  # type: ignore[misc]
            except Exception as error:
                _log(wait, error)
        return poked

    def keep_unreadable(self, body: bytes, *, name: str, problem: str) -> None:
        """Write something into the inbox that came over a bus and is no event, so that a person can look at it."""
        text = body.decode("utf-8", errors="replace")
        with self._engine.store.write() as connection:
            now = self._engine.store.now(connection)
            event = InboxEvent(
                position=0,
                consumer=self._engine.definition.name,
                source="/unreadable",
                event_id=derive("evt", name, text),
                tenant="default",
                event_name=name[:128],
                workflow_id=None,
                correlation=None,
                trace_id="",
                envelope=canonical_json({"body": text}),
                status=InboxStatus.FAILED,
                note=problem,
                repeats=0,
                received_at=now,
                settled_at=now,
            )
            inbox_rows.insert(connection, event)

    def envelope(self, event: Deliverable, workflow_id: str | None, source: str) -> EventEnvelope:
        """Read an event in any of its forms.

        Raises:
            InvalidInput: It is none; or a bare `Event` without the instance that it is for.
        """
        match event:
            case EventEnvelope():
                return event
            case Event():
                return self._wrapped(event, workflow_id, source)
            case str() | bytes():
                return read(event)
            case Mapping():
                return read(canonical_json(dict(event)))
        raise InvalidInput(
            f"A {type(event).__qualname__} was delivered, which is no event. Nothing was done; give an EventEnvelope, the wire shape as a "
            "mapping or JSON text, a CloudEvent, or an instance of an Event class with workflow_id=."
        )

    def _wrapped(self, event: Event, workflow_id: str | None, source: str) -> EventEnvelope:
        instance = None if workflow_id is None else self._engine.store.find(workflow_id)
        keyed = any(rule.key for rule in self._engine.definition.waits.values() if event.name_on_wire in rule.roles)
        if workflow_id is None and not keyed:
            raise InvalidInput(
                f"{event.name_on_wire} was delivered without saying which instance it is for. Nothing was done; pass workflow_id=, or "
                "deliver the whole envelope."
            )
        return EventEnvelope.wrap(
            event,
            event_id=EventId(mint("evt")),
            occurred_at=dt.datetime.now(dt.UTC),
            trace_id=TraceId(mint("trace") if instance is None else instance.trace_id),
            workflow_id=WorkflowId(workflow_id or ""),
            metadata={"source": source, "tenant": "default" if instance is None else instance.tenant},
        )

    def _unpoked(self) -> list[Wait]:
        with self._engine.store.read() as connection:
            return wait_rows.unpoked(connection, workflow=self._engine.definition.name, limit=1_000)

    def _poke_of(self, wait_id: str) -> tuple[Wait, Instance, RunnableConfig, AnyGraph] | None:
        with self._engine.store.read() as connection:
            wait = wait_rows.load(connection, wait_id)
        instance = None if wait is None else self._engine.store.find(wait.workflow_id)
        if wait is None or instance is None or wait.poked:
            return None
        if instance.thread_id is None:
            self._mark(wait)
            return None
        runner = self._root if instance.checkpoint_ns else self._graph
        if runner is None:  # inside another graph, which nobody has told us of: it finds out when it is run again
            return None
        configurable: dict[str, Any] = {"thread_id": instance.thread_id}
        if not instance.checkpoint_ns:
            derived = workflow_id_of(configurable, self._engine.definition.name)
            if derived != instance.workflow_id:
                configurable["workflow_id"] = instance.workflow_id
        return wait, instance, {"configurable": configurable}, runner

    def _context(self, runner: AnyGraph, instance: Instance) -> dict[str, Any]:
        return {"context": Principal(CLOCK, tenant=instance.tenant)} if runner is self._graph else {}

    def _stands(self, state: Any, wait: Wait) -> _Stands:
        """Where a thread stands as seen from one of its ended waits."""
        shown = [interrupt.value for interrupt in state.interrupts]
        if any(isinstance(value, Mapping) and value.get("waitId") == wait.wait_id for value in shown):
            return _Stands.WAITS
        # `next` leaves out a task that has ended and whose step has not.
        if shown or not state.tasks:
            return _Stands.ELSEWHERE
        # A run that is under way looks at the row by itself. One whose process died is under way for ever.
        if state.created_at is None:  # a saver that does not say when
            return _Stands.RUNS
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(state.created_at)
        return _Stands.LEFT if age.total_seconds() >= self._left_seconds else _Stands.RUNS

    def _mark(self, wait: Wait) -> None:
        with self._engine.store.write() as connection:
            wait_rows.mark_poked(connection, wait.wait_id)


def _log(wait: Wait, error: Exception) -> None:
    if isinstance(error, ConflictError):
        logger.info("somebody else runs the thread of %s: %s", wait.workflow_id, error)
        return
    logger.error(
        "the wait %s of %s has ended, and its graph could not go on; the next tick tries again",
        wait.wait_id,
        wait.workflow_id,
        exc_info=error,
    )


__all__ = ["Deliverable", "Deliveries", "Delivery", "DeliveryStatus", "Ticked"]
