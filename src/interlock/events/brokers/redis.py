"""Redis Streams: one stream for each event name, a consumer group for each consumer.

A message whose handler raised, or whose process died, stays with the group and is claimed by another reader after a while. Redis
drops no duplicates; the inbox does. How much survives a crash of Redis is a matter of its `appendfsync`.
"""

from typing import Any

from ...tools.ids import mint
from ..bus import Message
from .base import FastStreamBus

CLAIM_SECONDS = 60.0
"""How long a message must have been with a reader before another one takes it over."""


class RedisBus(FastStreamBus):
    """Streams named `<prefix>:<event name>`.

    Attributes:
        claim_after: Seconds before a message that was read and not acknowledged is given to another reader.
        longest: About how many messages a stream keeps; None for all of them.
    """

    module = "faststream.redis"
    extra = "redis"
    claim_after: float = CLAIM_SECONDS
    longest: int | None = None

    def _make(self) -> Any:
        return self.library.RedisBroker(self.url, logger=None, apply_types=False)

    async def _prepare(self) -> None:
        await self.broker.ping(self.timeout)

    async def _publish(self, message: Message) -> str:
        stream = self._stream(message.event_name)
        await self.broker.publish(
            message.body,
            stream=stream,
            headers=dict(message.headers),
            correlation_id=message.headers.get("interlock-trace-id", message.trace_id),
            maxlen=self.longest,
        )
        return f"redis:{stream}"

    async def _subscribers(self, name: str, consumer: str) -> list[Any]:
        from faststream import AckPolicy  # noqa: PLC0415

        stream, reader = self._stream(name), mint("reader")
        await self._make_group(stream, consumer)
        shared = {"group": consumer, "last_id": ">", "polling_interval": 200}
        return [
            self.broker.subscriber(
                stream=self.library.StreamSub(stream, consumer=f"{reader}{suffix}", **shared, **more),
                ack_policy=AckPolicy.NACK_ON_ERROR,
                no_reply=True,
                persistent=False,
            )
            for suffix, more in (("", {}), ("-claim", {"min_idle_time": int(self.claim_after * 1000)}))
        ]

    async def _make_group(self, stream: str, consumer: str) -> None:
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.exceptions import ResponseError  # noqa: PLC0415

        # From the stream's beginning: FastStream's own would begin with what is published after it.
        async with Redis.from_url(self.url) as client:
            try:
                await client.xgroup_create(stream, consumer, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def _stream(self, name: str) -> str:
        return f"{self.prefix}:{name}"

    def _is_refusal(self, error: Exception) -> bool:
        from redis.exceptions import DataError, ResponseError  # noqa: PLC0415

        waits = ("OOM", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS")
        return isinstance(error, (DataError, ResponseError)) and not str(error).startswith(waits)
