"""NATS JetStream: one stream for all events, a durable pull consumer for each consumer and event name.

JetStream drops what comes again under one message id within its duplicate window, two minutes by default; the inbox drops the rest.
"""

from typing import Any

from ..bus import Message
from .base import FastStreamBus

FETCHED = 100
"""Messages that a pull consumer takes at once."""


class NatsBus(FastStreamBus):
    """A JetStream stream named after the prefix in capitals, with the subjects `<prefix>.<event name>`."""

    module = "faststream.nats"
    extra = "nats"

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self.prefix.upper().replace(".", "-")

    def _make(self) -> Any:
        return self.library.NatsBroker(
            self.url, logger=None, apply_types=False, max_reconnect_attempts=-1, connect_timeout=int(self.timeout)
        )

    async def _prepare(self) -> None:
        from nats.js.errors import NotFoundError  # noqa: PLC0415

        # FastStream's own publish spends as much again on each message; its connection is used as it is.
        self._jetstream = self.broker.connection.jetstream(timeout=self.timeout, publish_async_max_pending=8_000)
        try:
            await self._jetstream.stream_info(self.stream)
        except NotFoundError:
            await self._jetstream.add_stream(name=self.stream, subjects=[f"{self.prefix}.>"])

    async def _publish(self, message: Message) -> str:
        headers = {
            **message.headers,
            "Nats-Msg-Id": message.event_id,
            "correlation_id": message.headers.get("interlock-trace-id", message.trace_id),
        }
        subject = f"{self.prefix}.{message.event_name}"
        taken = await self._jetstream.publish(
            subject, message.body, headers=headers, stream=self.stream, timeout=self.timeout
        )
        return f"nats:{taken.stream}/{subject}"

    async def _subscribers(self, name: str, consumer: str) -> list[Any]:
        made = self.broker.subscriber(
            f"{self.prefix}.{name}",
            durable=f"{consumer}-{name}".replace(".", "_"),
            stream=self.library.JStream(self.stream, declare=False),
            pull_sub=self.library.PullSub(batch_size=FETCHED, timeout=1.0),
            ack_policy=_nack_on_error(),
            no_reply=True,
            persistent=False,
        )
        return [made]

    def _is_refusal(self, error: Exception) -> bool:
        from nats.errors import BadSubjectError, MaxPayloadError  # noqa: PLC0415
        from nats.js.errors import APIError, ServiceUnavailableError  # noqa: PLC0415

        if isinstance(error, (MaxPayloadError, BadSubjectError)):
            return True
        return isinstance(error, APIError) and not isinstance(error, ServiceUnavailableError)


def _nack_on_error() -> Any:
    from faststream import AckPolicy  # noqa: PLC0415

    return AckPolicy.NACK_ON_ERROR
