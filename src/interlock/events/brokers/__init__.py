"""Message brokers that applications already have, through FastStream: NATS JetStream, RabbitMQ, Redis Streams and Kafka.

Each needs its extra: `langgraph-interlock[nats]`, `[rabbitmq]`, `[redis]`, `[kafka]`, or `[brokers]` for all of them.
"""

from ...tools.errors import InputError
from ...tools.urls import parts_of
from ..bus import Bus
from ..in_process import InProcessBus
from .base import FastStreamBus
from .kafka import KafkaBus
from .nats import NatsBus
from .rabbitmq import RabbitBus
from .redis import RedisBus

SCHEMES: dict[str, type[FastStreamBus]] = {
    "nats": NatsBus,
    "tls": NatsBus,
    "amqp": RabbitBus,
    "amqps": RabbitBus,
    "redis": RedisBus,
    "rediss": RedisBus,
    "kafka": KafkaBus,
}


def open_bus(url: str, *, prefix: str = "interlock") -> Bus:
    """The bus that a URL names; it is connected by `async with`.

    Args:
        url: `nats://host:4222`, `amqp://user@host/`, `redis://host:6379/0` or `kafka://host:9092`; `in-process:` for this process.
        prefix: Begins the names of subjects, exchanges, streams and topics.

    Raises:
        InputError: The URL is of a broker that Interlock does not know, or its extra is not installed.
    """
    scheme = parts_of(url, "The URL of the broker").scheme
    if scheme == "in-process":
        return InProcessBus()
    kind = SCHEMES.get(scheme)
    if kind is None:
        raise InputError(
            f"{url!r} names no broker that Interlock knows. Give one such as nats://host:4222, amqp://user@host/, redis://host:6379/0 or "
            "kafka://host:9092.",
            code="unknown_bus",
        )
    return kind(url, prefix=prefix)


__all__ = ["SCHEMES", "FastStreamBus", "KafkaBus", "NatsBus", "RabbitBus", "RedisBus", "open_bus"]
