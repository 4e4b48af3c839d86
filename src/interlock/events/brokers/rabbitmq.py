"""RabbitMQ: one durable topic exchange, a durable queue for each consumer and event name, publisher confirms.

RabbitMQ drops messages without a queue: subscribe once, which creates the queue, before events are published that must not be
missed.
"""

from typing import Any

from ..bus import Message
from .base import FastStreamBus


class RabbitBus(FastStreamBus):
    """A topic exchange named after the prefix; routing keys are event names."""

    module = "faststream.rabbit"
    extra = "rabbitmq"
    header_prefix = "cloudEvents_"

    def _make(self) -> Any:
        return self.library.RabbitBroker(self.url, logger=None, apply_types=False, fail_fast=True)

    async def _prepare(self) -> None:
        await self.broker.declare_exchange(self._exchange())

    async def _publish(self, message: Message) -> str:
        await self.broker.publish(
            message.body,
            exchange=self._exchange(),
            routing_key=message.event_name,
            headers=dict(message.headers),
            content_type=message.headers.get("content-type"),
            message_id=message.event_id,
            correlation_id=message.headers.get("interlock-trace-id", message.trace_id),
            persist=True,
            mandatory=False,
            timeout=self.timeout,
        )
        return f"rabbitmq:{self.prefix}/{message.event_name}"

    async def _subscribers(self, name: str, consumer: str) -> list[Any]:
        from faststream import AckPolicy  # noqa: PLC0415

        queue = self.library.RabbitQueue(f"{self.prefix}.{consumer}.{name}", durable=True, routing_key=name)
        made = self.broker.subscriber(
            queue, self._exchange(), ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True, persistent=False
        )
        return [made]

    def _exchange(self) -> Any:
        return self.library.RabbitExchange(self.prefix, type=self.library.ExchangeType.TOPIC, durable=True)

    def _is_refusal(self, error: Exception) -> bool:
        from aio_pika.exceptions import DeliveryError  # noqa: PLC0415

        return isinstance(error, DeliveryError)
