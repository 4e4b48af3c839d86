"""Exceptions of subscribers, buses, brokers, templates and waits whose own text raises: each becomes a reason, and the event waits."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from interlock.checkpointing.store import inbox, outbox
from interlock.commands.waits.delivery import DeliveryStatus
from interlock.events import InProcessBus, Message
from interlock.events.brokers.redis import RedisBus
from interlock.events.bus import message_of
from interlock.events.webhooks import Webhook
from interlock.events.webhooks.deliveries import Due
from interlock.events.webhooks.sender import _posted
from interlock.operations import Deliveries
from interlock.operations.event_service import handler_of
from interlock.tools.canonical import canonical_json
from interlock.tools.errors import BusUnavailable, PublishRefused
from interlock.tools.storable import type_name, why_not_storable
from tests.events.support import Answered, Desk, Nothing, Recording, ask, envelope, relayed, waiting_flow
from tests.support.unreadable import ERRORS

OTHERS = [name for name in ERRORS if not name.startswith("refused")]
"""Those of classes that are not Interlock's."""


def of_outbox(desk: Desk) -> outbox.OutboxEvent:
    with desk.store.read() as connection:
        (found,) = outbox.listing(connection)
    return found


def asked() -> Desk:
    """An instance that has emitted one event."""
    desk = Desk(waiting_flow(), clock=None)
    desk.graph.instances.execute(desk.start(), ask, {})
    return desk


@pytest.mark.parametrize("raised", ERRORS)
async def test_what_a_subscriber_raises_is_the_reason_of_the_retry(raised: str) -> None:
    async def handler(_: Message) -> None:
        raise ERRORS[raised]()

    bus, desk = InProcessBus(), asked()
    async with bus.subscribe([of_outbox(desk).event_name], handler, consumer="books"):
        done = await relayed(desk.store, bus, first_pause=60, longest_pause=60).run_once()
    event = of_outbox(desk)
    assert (done.retrying, event.status, event.attempts) == (1, "pending", 1)
    assert event.error is not None
    assert "'books' could not take the event" in event.error
    assert type_name(ERRORS[raised]()) in event.error
    assert why_not_storable(event.error) is None
    assert (await relayed(desk.store, InProcessBus()).run_once()).published == 0  # not before its pause is over


@pytest.mark.parametrize("raised", OTHERS)
async def test_what_a_bus_raises_is_the_reason_of_the_retry(raised: str) -> None:
    desk = asked()
    done = await relayed(desk.store, Recording(lambda _: ERRORS[raised]()), first_pause=60, longest_pause=60).run_once()
    event = of_outbox(desk)
    assert (done.retrying, event.status) == (1, "pending")
    assert event.error is not None
    assert event.error.startswith(type_name(ERRORS[raised]()))


@pytest.mark.parametrize("raised", OTHERS)
@pytest.mark.parametrize("refuses", [True, False])
async def test_what_a_broker_raises_is_quoted(raised: str, refuses: bool) -> None:
    class Gone:
        async def start(self) -> NoReturn:
            raise ERRORS[raised]()

        async def stop(self) -> NoReturn:
            raise ERRORS[raised]()

    class Broken(RedisBus):
        def _make(self) -> Any:
            return Gone()

        def _is_refusal(self, error: Exception) -> bool:
            return refuses

    with pytest.raises(PublishRefused if refuses else BusUnavailable) as caught:
        async with Broken("redis://localhost:1"):
            pass
    assert type_name(ERRORS[raised]()) in caught.value.message


async def test_a_broker_without_an_answer_is_told_by_the_time_that_it_had() -> None:
    class Silent:
        async def start(self) -> NoReturn:
            raise TimeoutError

        async def stop(self) -> None:
            """Nothing to do."""

    class Unreachable(RedisBus):
        def _make(self) -> Any:
            return Silent()

    with pytest.raises(BusUnavailable, match="no answer within 7 seconds"):
        async with Unreachable("redis://localhost:1", timeout=7):
            pass


@pytest.mark.parametrize("raised", ERRORS)
async def test_what_a_template_raises_is_the_reason_of_the_retry(raised: str) -> None:
    def render(_: Any) -> Any:
        raise ERRORS[raised]()

    hook = Webhook("https://hooks.example/", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", render=render)
    due = Due("hook", "evt_1", 1, canonical_json(envelope(Answered()).to_json()))
    problem = await _posted(hook, client=None, one=due)  # type: ignore[arg-type]  # nothing is sent
    assert problem == (f"render failed: {type_name(ERRORS[raised]())}", False)


@pytest.mark.parametrize("raised", ERRORS)
def test_what_a_wait_raises_is_kept_with_its_event(raised: str) -> None:
    def apply(*_: Any) -> NoReturn:
        raise ERRORS[raised]()

    desk = Desk(waiting_flow(data=Nothing, apply=apply), clock=None)
    workflow_id = desk.ask()
    arrived = envelope(Answered(), workflow_id)
    delivery = desk.deliveries.deliver(arrived)
    assert delivery.status is DeliveryStatus.FAILED
    assert desk.state(workflow_id) == "asked"
    assert note_of(desk, arrived.event_id) == delivery.note


@pytest.mark.parametrize("raised", ERRORS)
def test_what_an_early_event_raises_does_not_stop_the_command(raised: str) -> None:
    def apply(*_: Any) -> NoReturn:
        raise ERRORS[raised]()

    desk = Desk(waiting_flow(data=Nothing, apply=apply), clock=None)
    workflow_id = desk.start()
    arrived = envelope(Answered(), workflow_id)
    assert desk.deliveries.deliver(arrived).status is DeliveryStatus.KEPT
    assert desk.graph.instances.execute(workflow_id, ask, {})["ok"]
    assert desk.state(workflow_id) == "asked"
    assert note_of(desk, arrived.event_id)


@pytest.mark.parametrize("raised", OTHERS)
async def test_what_cannot_be_taken_in_is_kept_with_its_reason(raised: str) -> None:
    class Broken(Deliveries):
        def deliver(self, *_: Any, **__: Any) -> NoReturn:
            raise ERRORS[raised]()

    desk = Desk(waiting_flow(), clock=None)
    arrived = envelope(Answered())
    message = message_of(arrived)
    await handler_of(Broken(desk.graph), resume=False)(message)
    with desk.store.read() as connection:
        (kept,) = inbox.listing(connection)
    assert kept.note is not None
    assert kept.note.startswith(type_name(ERRORS[raised]()))
    assert why_not_storable(kept.note) is None


def note_of(desk: Desk, event_id: str) -> str:
    """Why an event could not be taken in, as its row has it."""
    with desk.store.read() as connection:
        (kept,) = inbox.find(connection, event_id)
    assert kept.status is inbox.InboxStatus.FAILED
    assert kept.note is not None
    assert why_not_storable(kept.note) is None
    return kept.note
