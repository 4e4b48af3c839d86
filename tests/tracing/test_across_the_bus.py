"""Trace context travels with events and comes back with them."""

from __future__ import annotations

import asyncio
from typing import Any

from interlock import EventEnvelope, ToolContext, Workflow, command
from interlock.events import InProcessBus, Relay, reply
from interlock.operations import Deliveries
from interlock.testing import ScriptedChatModel, TraceSink, call
from interlock.tracing import reference_in
from tests.tracing.support import ADA, Asked, Collected, arrived, config


def carrier_flow() -> Workflow:
    @command("parcel.ask", effect="transactional")
    def ask(order_id: str, ctx: ToolContext) -> str:
        """Ask the carrier to collect a parcel."""
        ctx.emit(Asked(order_id=order_id))
        return order_id

    flow = Workflow("parcel", model=ScriptedChatModel([call("parcel.ask", orderId="W1")]))
    flow.add_state("packed")
    flow.add_wait("asked", for_event=Collected, within="2h", then="collected", on_timeout="packed")
    flow.add_state("collected", final=True)
    flow.add_edge("packed", ask, "asked")
    return flow


def test_the_woken_workflow_links_to_what_caused_it(sink: TraceSink, traced: Any) -> None:
    graph = carrier_flow().compile()
    store = graph.engine.store
    graph.invoke({"messages": [("user", "collect W1")]}, config(), context=ADA)
    bus = InProcessBus()
    heard: list[EventEnvelope] = []
    bus.add([Asked.name_on_wire], lambda message: heard.append(message.envelope()), consumer="carrier")
    asyncio.run(Relay(store, bus).drain())
    (question,) = heard
    Deliveries(graph).deliver(reply(question, Collected(order_id="W1"), source="/carrier"))
    runs = arrived(sink, traced)

    assert graph.instances.get(config()).state == "collected"
    first, woken = (run for run in runs if run.parent_id is None)
    (asked,) = (run for run in runs if run.name == "parcel.ask")
    assert question.metadata["trace"]["run"] == asked.id  # type: ignore[index, call-overload]
    assert woken.name == "parcel: continued"
    assert (woken.metadata["caused_by_trace"], woken.metadata["caused_by_run"]) == (first.id, asked.id)
    assert woken.metadata["thread_id"] == first.metadata["thread_id"] == "t-1"
    assert [run.error for run in runs if run.error] == []
    taken = next(record for record in graph.instances.audit(config()) if record.kind == "event_in")
    assert taken.payload is not None
    assert taken.payload["causedBy"]["run"] == asked.id  # type: ignore[index, call-overload]
    assert reference_in(taken) is None
    assert store.verify(graph.instances.id_of(config())) == []
