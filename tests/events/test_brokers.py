"""Every broker keeps what the bus promises: at least once, to every consumer, also to one that comes later."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from interlock.events import InProcessBus, Message, message_of
from interlock.events.brokers import KafkaBus, open_bus
from interlock.tools.errors import BusUnavailable, InputError, PublishRefused
from tests.events.conftest import Broker
from tests.events.support import Answered, Asked, aeventually, envelope, wire

ASKED = Asked.name_on_wire


def bus_of(broker: Broker, **settings: Any) -> Any:
    bus: Any = open_bus(broker.url, prefix=broker.prefix)
    bus.redelivery = 0.01
    for name, value in {"claim_after": 0.1, **settings}.items():
        setattr(bus, name, value)
    return bus


def message(bus: Any, number: int = 0, workflow_id: str = "wf_1", **options: Any) -> Message:
    return message_of(envelope(Asked(number=number), workflow_id), prefix=bus.header_prefix, **options)


async def subscribed_before(bus: Any, *consumers: str, name: str = ASKED) -> None:
    """Have consumers known to the broker: RabbitMQ keeps nothing for those that it has never heard of."""
    for consumer in consumers:
        async with bus.subscribe([name], lambda _: None, consumer=consumer):
            pass


async def test_a_message_arrives_as_it_was_sent(broker: Broker) -> None:
    got: list[Message] = []
    async with bus_of(broker) as bus, bus.subscribe([ASKED], got.append, consumer="reader"):
        sent = message_of(envelope(Asked(number=7), "wf_ü", tenant="tänänt\r\nevil: 1"), prefix=bus.header_prefix)
        where = await bus.publish(sent)
        await aeventually(lambda: got)

    assert broker.prefix in where
    assert got[0].envelope() == sent.envelope()
    assert (got[0].event_name, got[0].event_id, got[0].trace_id) == (ASKED, sent.event_id, "trace_outside")
    assert got[0].headers["traceparent"] == sent.headers["traceparent"]
    assert "evil" not in {name.lower() for name in got[0].headers}


async def test_what_was_published_while_nobody_listened_is_taken_later(broker: Broker) -> None:
    got: list[Message] = []
    async with bus_of(broker) as bus:
        await subscribed_before(bus, "reader")
        for number in range(5):
            await bus.publish(message(bus, number))
    async with bus_of(broker) as bus, bus.subscribe([ASKED], got.append, consumer="reader"):
        await aeventually(lambda: len(got) == 5)

    assert [one.envelope().fields["number"] for one in got] == [*range(5)]


async def test_every_consumer_gets_its_own_and_processes_of_one_consumer_share(broker: Broker) -> None:
    one: list[int] = []
    two: list[int] = []
    other: list[int] = []

    def into(got: list[int]) -> Any:
        return lambda received: got.append(received.envelope().fields["number"])

    async with bus_of(broker) as bus, bus_of(broker) as second:
        await subscribed_before(bus, "reader", "other")
        async with (
            bus.subscribe([ASKED], into(one), consumer="reader"),
            second.subscribe([ASKED], into(two), consumer="reader"),
            bus.subscribe([ASKED], into(other), consumer="other"),
        ):
            for number in range(20):
                await bus.publish(message(bus, number))
            await aeventually(lambda: len(one) + len(two) >= 20 and len(other) >= 20)

    assert sorted(one + two) == sorted(other) == [*range(20)]


async def test_a_message_whose_handler_raised_comes_again_and_holds_up_no_other(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    tried: list[int] = []

    async def handler(received: Message) -> None:
        number = received.envelope().fields["number"]
        assert isinstance(number, int)
        tried.append(number)
        if number == 1 and tried.count(1) < 3:
            raise ConnectionError("the database is away")

    async with bus_of(broker) as bus, bus.subscribe([ASKED], handler, consumer="reader"):
        for number in range(4):
            await bus.publish(message(bus, number))
        await aeventually(lambda: tried.count(1) == 3 and {0, 2, 3} <= set(tried))

    assert [tried.count(number) for number in (0, 2, 3)] == [1, 1, 1]


async def test_a_subscription_gives_only_what_was_asked_for(broker: Broker) -> None:
    got: list[str] = []
    async with bus_of(broker) as bus:
        names = [ASKED]
        async with bus.subscribe(names, lambda one: got.append(one.event_name), consumer="reader"):
            await bus.publish(message_of(envelope(Answered(), "wf_1"), prefix=bus.header_prefix))
            await bus.publish(message(bus))
            await aeventually(lambda: got)

    assert got == [ASKED]


async def test_what_is_no_event_still_reaches_the_handler(broker: Broker) -> None:
    got: list[Message] = []
    async with bus_of(broker) as bus, bus.subscribe([ASKED], got.append, consumer="reader"):
        await bus.publish(Message(ASKED, "x", "wf", "t", b"\xff{", {"content-type": "application/json"}))
        await aeventually(lambda: got)

    assert got[0].body == b"\xff{"
    with pytest.raises(InputError):
        got[0].envelope()


async def test_nats_drops_what_comes_again_under_one_id(nats: Broker) -> None:
    got: list[Message] = []
    async with bus_of(nats) as bus, bus.subscribe([ASKED], got.append, consumer="reader"):
        again = message(bus, 1)
        for one in (again, again, again, message(bus, 2)):
            await bus.publish(one)
        await aeventually(lambda: len(got) == 2)

    assert [one.envelope().fields["number"] for one in got] == [1, 2]


async def test_a_message_that_is_too_large_is_refused_and_others_go_through(nats: Broker) -> None:
    async with bus_of(nats) as bus:
        with pytest.raises(PublishRefused, match="MaxPayload"):
            await bus.publish(Message(ASKED, "large", "wf", "t", b"x" * 2_000_000))
        assert await bus.publish(message(bus))


async def test_nats_without_its_stream_is_away_and_loses_nothing(nats: Broker) -> None:
    async with open_bus(nats.url, prefix=nats.prefix) as bus:
        connection: Any = bus.broker.connection  # type: ignore[attr-defined]
        await connection.jetstream().delete_stream(bus.stream)  # type: ignore[attr-defined]
        with pytest.raises(BusUnavailable, match="NoStreamResponse"):
            await bus.publish(message_of(envelope(Asked(), "wf")))


async def test_nats_refuses_what_the_stream_does_not_take_and_says_why(nats: Broker) -> None:
    async with open_bus(nats.url, prefix=nats.prefix) as bus:
        jetstream: Any = bus.broker.connection.jetstream()  # type: ignore[attr-defined]
        config = (await jetstream.stream_info(bus.stream)).config  # type: ignore[attr-defined]
        config.max_msg_size = 1_000
        await jetstream.update_stream(config)
        with pytest.raises(PublishRefused, match="exceeds maximum"):
            await bus.publish(message_of(envelope(Asked(), "wf", note="x" * 2_000)))
        await bus.publish(message_of(envelope(Asked(), "wf")))


async def test_an_acknowledgement_that_nats_gives_too_late_is_not_taken_for_another_message(nats: Broker) -> None:
    """What was given up comes again under its own id; the stream has it once."""
    got: list[Message] = []
    async with (
        open_bus(nats.url, prefix=nats.prefix) as bus,
        bus.subscribe([Asked.name_on_wire], got.append, consumer="reader"),
    ):
        async with wire(nats.url) as cable:
            far: Any = open_bus(cable.url, prefix=nats.prefix)
            async with far:
                far._acknowledgements._timeout = 0.05
                cable.flowing.clear()
                first, second = (message_of(envelope(Asked(number=number), "wf")) for number in (1, 2))
                with pytest.raises(BusUnavailable, match="no acknowledgement within"):
                    await far.publish(first)
                far._acknowledgements._timeout = 10
                again = asyncio.create_task(far.publish(second))
                cable.flowing.set()
                await again
                await far.publish(first)
        await aeventually(lambda: len(got) >= 2)
        info = await bus.broker.connection.jetstream().stream_info(bus.stream)  # type: ignore[attr-defined]
    assert info.state.messages == 2


@pytest.mark.parametrize(
    "url", ["nats://127.0.0.1:9", "amqp://guest:secret@127.0.0.1:9/", "redis://:secret@127.0.0.1:9/0"]
)
async def test_a_broker_that_is_not_there_is_said_to_be_away_without_its_password(url: str) -> None:
    bus: Any = open_bus(url)
    bus.timeout = 2.0

    with pytest.raises(BusUnavailable) as refused:
        async with bus:
            pass

    assert "127.0.0.1:9" in refused.value.message
    assert "secret" not in refused.value.message
    assert refused.value.retryable


async def test_a_broker_that_says_nothing_is_given_up_in_words(nats: Broker) -> None:
    async with wire(nats.url) as cable:
        cable.flowing.clear()
        bus: Any = open_bus(cable.url, prefix=nats.prefix)
        bus.timeout = 0.2
        with pytest.raises(BusUnavailable, match="no answer within 0"):
            await bus.__aenter__()


async def test_a_bus_that_is_not_open_says_so() -> None:
    bus: Any = open_bus("nats://127.0.0.1:4222")

    with pytest.raises(BusUnavailable, match="not open"):
        await bus.publish(Message("a.v1", "e", "w", "t", b"{}"))
    with pytest.raises(BusUnavailable, match="not open"):
        async with bus.subscribe(["a.v1"], lambda _: None, consumer="c"):
            pass


@pytest.mark.parametrize("url", ["mqtt://host", "nats", "", "file:///x"])
def test_a_broker_that_nobody_knows_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="names no broker"):
        open_bus(url)


def test_the_bus_of_this_process_has_a_url_too() -> None:
    assert isinstance(open_bus("in-process:"), InProcessBus)


async def test_kafka_through_faststreams_test_broker() -> None:
    from faststream.kafka import KafkaBroker, TestKafkaBroker

    broker = KafkaBroker("nowhere:9092", apply_types=False)
    bus = KafkaBus("kafka://nowhere:9092", prefix="probe", broker=broker)
    got: list[Message] = []
    async with bus.subscribe([ASKED], got.append, consumer="reader"), TestKafkaBroker(broker, connect_only=False), bus:
        sent = message_of(envelope(Asked(number=3), "wf_1"), prefix=bus.header_prefix)
        assert await bus.publish(sent) == f"kafka:probe.{ASKED}"
        await bus.publish(message_of(envelope(Answered(), "wf_1"), prefix=bus.header_prefix))
        await asyncio.wait_for(aeventually(lambda: got), 10)

    assert [one.envelope() for one in got] == [sent.envelope()]
    assert got[0].headers["ce_type"] == ASKED
