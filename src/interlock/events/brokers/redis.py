"""Redis Streams: one stream for each event name, a consumer group for each consumer.

A message whose handler raised, or whose process died, stays pending in the group until another reader claims it. Redis does not
drop duplicates; the inbox does. The setting `appendfsync` determines what survives a crash of Redis.
"""

from typing import Any

from ...tools.ids import mint
from ..bus import Message
from .base import FastStreamBus

CLAIM_SECONDS = 60.0
"""How long a message stays with a reader before another reader may claim it."""


class RedisBus(FastStreamBus):
    """Streams named `<prefix>:<event name>`.

    Attributes:
        claim_after: Seconds before another reader may claim an unacknowledged message.
        longest: The approximate maximum length of a stream; None for no limit.
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

        # From the start of the stream: a group made by FastStream would see only later messages.
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
