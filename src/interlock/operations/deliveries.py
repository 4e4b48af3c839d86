"""Delivers events to workflows from outside their graphs, enforces deadlines, and resumes the graphs."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from ..checkpointing.store import inbox as inbox_rows
from ..checkpointing.store.inbox import InboxEvent, InboxStatus
from ..commands.running.driver import arun, run
from ..commands.running.operations import Look, Steps
from ..commands.waits.delivery import Delivery, DeliveryStatus, settle_due, take_again, take_in
from ..events.cloudevents import read
from ..events.envelopes import envelope_of
from ..tools.canonical import canonical_json
from ..tools.errors import InvalidInput
from ..tools.events import Event, EventEnvelope
from ..tools.ids import EventId, TraceId, WorkflowId, derive, mint
from ..tools.storable import storable_text
from .compiled import CompiledWorkflow
from .resuming import AnyGraph, Failure, Resumer

Deliverable = EventEnvelope | Event | Mapping[str, Any] | str | bytes
"""An event in any form: an envelope, the wire shape, a CloudEvent, their JSON text, or a bare `Event` with `workflow_id=`."""


@dataclass
class Ticked:
    """The results of one tick."""

    ended: list[str] = field(default_factory=list)
    """The instances whose waits it ended."""
    resumed: list[str] = field(default_factory=list)
    """The instances whose graphs continued."""
    failed: list[Failure] = field(default_factory=list)
    """The failures; a later tick retries."""


KEPT_BYTES = 65_536
"""The maximum stored length of an unreadable message."""


class Deliveries:
    """Delivers events to the instances of one compiled workflow.

    Args:
        graph: The compiled workflow.
        root: If the workflow runs inside another graph, that graph, which is resumed instead.
        abandoned_after: The seconds without a new checkpoint after which a resumed run counts as abandoned by a dead process. If such a run
            is only slow and continues as well, no command is executed twice; one of the two runs ends with a `ConflictError`. By default
            five minutes.
    """

    def __init__(
        self, graph: CompiledWorkflow, root: AnyGraph | None = None, *, abandoned_after: float | None = None
    ) -> None:
        self._engine = graph.engine
        self._resumer = Resumer(graph, root, abandoned_after=abandoned_after)

    @property
    def needs_loop(self) -> bool:
        """Whether the workflow has asynchronous tools, so that its graph runs in an event loop only."""
        return any(contract.is_async for contract in self._engine.definition.contracts.values())

    def deliver(
        self,
        event: Deliverable,
        *,
        workflow_id: str | None = None,
        source: str = "/application",
        resume: bool = True,
        connection: Connection | None = None,
    ) -> Delivery:
        """Receive an event once, and resume the workflows that wait for it. See `interlock.deliver`."""
        delivery = take_in(self._engine, self.envelope(event, workflow_id, source), connection)
        if resume and connection is None:
            self.resume(delivery.ended)
        return delivery

    async def adeliver(
        self, event: Deliverable, *, workflow_id: str | None = None, source: str = "/application", resume: bool = True
    ) -> Delivery:
        """Asynchronous form of `deliver`, with the same arguments, result and errors."""
        envelope = await self.aenvelope(event, workflow_id, source)
        delivery = await self._engine.store.database.arun(lambda: take_in(self._engine, envelope))
        if resume:
            await self.aresume(delivery.ended)
        return delivery

    def again(self, event: InboxEvent, *, resume: bool = True) -> Delivery:
        """Deliver an event of the inbox again that no wait has taken yet."""
        delivery = take_again(self._engine, event, envelope_of(event.envelope))
        if resume:
            self.resume(delivery.ended)
        return delivery

    async def aagain(self, event: InboxEvent, *, resume: bool = True) -> Delivery:
        """Asynchronous form of `again`, with the same arguments, result and errors."""
        delivery = await self._engine.store.database.arun(
            lambda: take_again(self._engine, event, envelope_of(event.envelope))
        )
        if resume:
            await self.aresume(delivery.ended)
        return delivery

    def tick(self, *, resume: bool = True) -> Ticked:
        """Enforce deadlines: end overdue waits, and resume every graph whose wait was settled."""
        return run(self._engine.store, self.ticking(resume=resume))

    async def atick(self, *, resume: bool = True) -> Ticked:
        """Asynchronous form of `tick`, with the same arguments, result and errors."""
        return await arun(self._engine.store, self.ticking(resume=resume))

    def ticking(self, *, resume: bool) -> Steps[Ticked]:
        """The body of `tick` and `atick`."""
        settled = yield Look(lambda: settle_due(self._engine))
        done = Ticked(
            ended=[wait.workflow_id for wait in settled.ended],
            failed=[Failure("wait", wait.wait_id, wait.workflow_id, error, None) for wait, error in settled.failed],
        )
        if resume:
            resumed = yield from self._resumer.all()
            done.resumed = resumed.workflow_ids
            done.failed += resumed.failed
        return done

    def resume(self, wait_ids: list[str] | tuple[str, ...]) -> list[str]:
        """Resume the graphs that wait at these ended waits.

        Returns:
            The instances whose graphs continued. If a graph could not continue, this is logged, and the next tick retries.
        """
        return run(self._engine.store, self._resumer.ended(wait_ids)).workflow_ids

    async def aresume(self, wait_ids: list[str] | tuple[str, ...]) -> list[str]:
        """Asynchronous form of `resume`, with the same arguments, result and errors."""
        return (await arun(self._engine.store, self._resumer.ended(wait_ids))).workflow_ids

    def keep_unreadable(self, body: bytes, *, name: str, problem: str) -> None:
        """Store an unreadable message of a bus in the inbox, so that a person can inspect it.

        Of a long message, the beginning is stored, with its length and its digest.
        """
        text = body[:KEPT_BYTES].decode("utf-8", errors="replace")
        digest = hashlib.sha256(body).hexdigest()
        cut = {"bytes": len(body), "sha256": digest} if len(body) > KEPT_BYTES else {}
        with self._engine.store.write() as connection:
            now = self._engine.store.now(connection)
            event = InboxEvent(
                position=0,
                consumer=self._engine.definition.name,
                source="/unreadable",
                event_id=derive("evt", name, digest),
                tenant="default",
                event_name=storable_text(name)[:128].rstrip(),
                workflow_id=None,
                correlation=None,
                trace_id="",
                envelope=canonical_json({"body": text.replace("\0", "\ufffd"), **cut}),
                status=InboxStatus.FAILED,
                note=storable_text(problem)[:2_000],
                repeats=0,
                received_at=now,
                settled_at=now,
            )
            inbox_rows.insert(connection, event)

    async def akeep_unreadable(self, body: bytes, *, name: str, problem: str) -> None:
        """Asynchronous form of `keep_unreadable`, with the same arguments, result and errors."""
        await self._engine.store.database.arun(lambda: self.keep_unreadable(body, name=name, problem=problem))

    def envelope(self, event: Deliverable, workflow_id: str | None, source: str) -> EventEnvelope:
        """Parse an event in any of its forms.

        Raises:
            InvalidInput: It is not an event; or it is a bare `Event` without the instance that it is for.
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
            f"A {type(event).__qualname__} was delivered, which is not an event. Nothing was done; pass an EventEnvelope, the wire shape as a "
            "mapping or JSON text, a CloudEvent, or an instance of an Event class with workflow_id=."
        )

    async def aenvelope(self, event: Deliverable, workflow_id: str | None, source: str) -> EventEnvelope:
        """Asynchronous form of `envelope`, with the same arguments, result and errors."""
        return await self._engine.store.database.arun(lambda: self.envelope(event, workflow_id, source))

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


__all__ = ["Deliverable", "Deliveries", "Delivery", "DeliveryStatus", "Ticked"]
