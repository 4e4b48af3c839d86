"""The service: events out, events in and deadlines kept, in one thread of an ordinary program."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlock import EventService
from interlock.checkpointing.store import inbox, outbox
from interlock.checkpointing.store.inbox import InboxStatus
from interlock.events import Message, RelayOptions, message_of, reply
from interlock.events.brokers import open_bus
from interlock.tools.errors import InputError
from tests.events.conftest import Broker
from tests.events.support import Answered, Asked, Desk, ask, eventually, waiting_flow

QUICK = RelayOptions(idle=0.01, first_pause=0.01)


def answering(service: EventService) -> Any:
    async def answer(message: Message) -> None:
        await service.bus.publish(message_of(reply(message.envelope(), Answered(), source="/answers")))

    return answer


@pytest.mark.parametrize("count", [1, 20])
def test_with_no_set_up_a_workflow_asks_is_answered_and_goes_on(count: int) -> None:
    desk = Desk(waiting_flow())
    service = EventService(desk.graph, tick=0.05, options=QUICK)
    service.on([Asked.name_on_wire], answering(service), consumer="answers")

    with service:
        ids = [desk.ask(f"t-{number}") for number in range(count)]
        eventually(lambda: {desk.state(one) for one in ids} == {"answered"})
        eventually(lambda: all(desk.shown(f"t-{number}").next == () for number in range(count)))
    desk.close()


def test_it_keeps_deadlines_when_the_answer_never_comes() -> None:
    desk = Desk(waiting_flow())
    service = EventService(desk.graph, tick=0.01, options=QUICK)
    service.on([Asked.name_on_wire], lambda _: None, consumer="answers")

    with service:
        workflow_id = desk.ask()
        assert desk.state(workflow_id) == "asked"
        desk.clock.forward(hours=2)
        eventually(lambda: desk.shown().values["state"] == "overdue")
    assert desk.state(workflow_id) == "overdue"
    desk.close()


def test_an_answer_that_is_quicker_than_the_graph_is_not_missed() -> None:
    """Moved from outside: the graph learns of it when it comes to the wait, or when it is resumed."""
    desk = Desk(waiting_flow())
    service = EventService(desk.graph, tick=0.01, options=QUICK)
    service.on([Asked.name_on_wire], answering(service), consumer="answers")

    with service:
        for number in range(10):
            thread = f"t-{number}"
            workflow_id = desk.start(thread)
            desk.graph.instances.execute(workflow_id, ask, {})
            eventually(lambda workflow_id=workflow_id: desk.state(workflow_id) == "answered")  # type: ignore[misc]
    desk.close()


def test_what_comes_over_a_bus_and_is_no_event_is_kept_where_it_is_seen(nats: Broker) -> None:
    desk = Desk(waiting_flow())
    bus = open_bus(nats.url, prefix=nats.prefix)
    with EventService(desk.graph, bus, tick=0.05, options=QUICK):
        workflow_id = desk.ask()

        async def send() -> None:
            async with open_bus(nats.url, prefix=nats.prefix) as other:
                await other.publish(Message(Answered.name_on_wire, "bad", workflow_id, "t", b"not json at all"))
                for event in taken_from(desk):
                    await other.publish(message_of(reply(event, Answered(), source="/answers")))

        asyncio.run(send())
        eventually(lambda: desk.state(workflow_id) == "answered")

    with desk.store.read() as connection:
        (bad,) = inbox.listing(connection, status=InboxStatus.FAILED)
    assert "not json at all" in bad.envelope
    assert bad.source == "/unreadable"
    desk.close()


def taken_from(desk: Desk) -> list[Any]:
    from interlock.events.envelopes import envelope_of

    with desk.store.read() as connection:
        return [envelope_of(event.envelope) for event in outbox.listing(connection)]


def test_consumers_of_this_process_are_only_for_the_bus_of_this_process(desk: Desk) -> None:
    service = EventService(desk.graph, open_bus("nats://127.0.0.1:4222"))

    with pytest.raises(InputError, match="in-process bus"):
        service.on(["a.v1"], lambda _: None, consumer="c")


def test_it_stops_at_once_although_its_broker_was_never_there(desk: Desk) -> None:
    bus: Any = open_bus("nats://127.0.0.1:9")
    bus.timeout = 0.2

    with EventService(desk.graph, bus, tick=0.05):
        workflow_id = desk.ask()
        desk.clock.forward(hours=2)
        eventually(lambda: desk.state(workflow_id) == "overdue")
