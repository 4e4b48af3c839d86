"""Kafka: one topic per event name; the key is the workflow ID, so that a workflow's events share a partition and keep their order."""

from typing import Any

from ..bus import Message
from .base import FastStreamBus


class KafkaBus(FastStreamBus):
    """Topics named `<prefix>.<event name>`; groups named `<prefix>.<consumer>`. Several brokers are separated by commas."""

    module = "faststream.kafka"
    extra = "kafka"
    header_prefix = "ce_"

    def _make(self) -> Any:
        hosts = self.url.partition("://")[2].rstrip("/").split(",")
        return self.library.KafkaBroker(hosts, logger=None, apply_types=False, acks="all", enable_idempotence=True)

    async def _prepare(self) -> None:
        """Do nothing: the cluster or its operator creates topics."""

    async def _publish(self, message: Message) -> str:
        topic = f"{self.prefix}.{message.event_name}"
        await self.broker.publish(
            message.body,
            topic,
            key=message.workflow_id.encode() or None,
            headers=dict(message.headers),
            correlation_id=message.headers.get("interlock-trace-id", message.trace_id),
        )
        return f"kafka:{topic}"

    async def _subscribers(self, name: str, consumer: str) -> list[Any]:
        from faststream import AckPolicy  # noqa: PLC0415

        made = self.broker.subscriber(
            f"{self.prefix}.{name}",
            group_id=f"{self.prefix}.{consumer}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            no_reply=True,
            persistent=False,
        )
        return [made]

    def _is_refusal(self, error: Exception) -> bool:
        from aiokafka.errors import (  # type: ignore[import-untyped]  # noqa: PLC0415
            InvalidTopicError,
            MessageSizeTooLargeError,
        )

        return isinstance(error, (MessageSizeTooLargeError, InvalidTopicError))
