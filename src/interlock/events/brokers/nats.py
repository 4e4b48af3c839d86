"""NATS JetStream: one stream for all events, a durable pull consumer for each consumer and event name.

JetStream drops repeated message ids within its duplicate window, two minutes by default; the inbox drops later duplicates.
"""

import asyncio
import json
from typing import Any

from ..bus import Message
from .base import FastStreamBus

FETCHED = 100
"""The batch size of a pull consumer."""


class NatsBus(FastStreamBus):
    """A JetStream stream named after the prefix in capitals, with the subjects `<prefix>.<event name>`."""

    module = "faststream.nats"
    extra = "nats"
    keeps_time = True

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

        jetstream = self.broker.connection.jetstream(timeout=self.timeout)
        try:
            await jetstream.stream_info(self.stream)
        except NotFoundError:
            await jetstream.add_stream(name=self.stream, subjects=[f"{self.prefix}.>"])
        self._acknowledgements = Acknowledgements(self.broker.connection, self.timeout)
        await self._acknowledgements.listen()

    async def _publish(self, message: Message) -> str:
        headers = {
            **message.headers,
            "Nats-Msg-Id": message.event_id,
            "Nats-Expected-Stream": self.stream,
            "correlation_id": message.headers.get("interlock-trace-id", message.trace_id),
        }
        subject = f"{self.prefix}.{message.event_name}"
        await self._acknowledgements.publish(subject, message.body, headers)
        return f"nats:{self.stream}/{subject}"

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


class Acknowledgements:
    """Publishes to JetStream and waits for its acknowledgements on one shared subscription.

    The client's own `jetstream.publish` uses a timer, a parser and several coroutines for each message, which cost more than the
    message itself.

    Args:
        connection: A connected client.
        timeout: Seconds to wait for an acknowledgement.
    """

    def __init__(self, connection: Any, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._inbox = connection.new_inbox()
        self._begins = len(self._inbox) + 1
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, tuple[asyncio.Future[Any], float]] = {}
        """Pending publishes by the last part of the reply subject, with their deadlines, oldest first."""
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    async def listen(self) -> None:
        """Subscribe to the acknowledgements; the client renews the subscription after a reconnect."""
        await self._connection.subscribe(f"{self._inbox}.*", cb=self._take)

    async def publish(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        """Publish, and return when the stream has the message.

        Raises:
            TimeoutError: No answer arrived in time.
            NoStreamResponseError: No stream has this subject.
            APIError: The stream refuses the message.
        """
        from nats.js.errors import APIError, NoStreamResponseError  # noqa: PLC0415

        self._number += 1
        token = str(self._number)
        answer = self._loop.create_future()
        self._waiting[token] = answer, self._loop.time() + self._timeout
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._expire)
        try:
            await self._connection.publish(subject, body, reply=f"{self._inbox}.{token}", headers=headers)
            said = await answer
        finally:
            self._waiting.pop(token, None)
        if said.headers and said.headers.get("Status") == "503":
            raise NoStreamResponseError
        if b'"error"' in said.data and (error := json.loads(said.data).get("error")):
            raise APIError.from_error(error)

    async def _take(self, message: Any) -> None:
        waiting = self._waiting.get(message.subject[self._begins :])
        if waiting is not None and not waiting[0].done():
            waiting[0].set_result(message)

    def _expire(self) -> None:
        """Time out overdue publishes, and schedule the next check: one timer for all of them."""
        self._timer = None
        now = self._loop.time()
        for answer, overdue in self._waiting.values():
            if overdue > now:
                self._timer = self._loop.call_at(overdue, self._expire)
                break
            if not answer.done():
                answer.set_exception(TimeoutError(f"no acknowledgement within {self._timeout:g} seconds"))


def _nack_on_error() -> Any:
    from faststream import AckPolicy  # noqa: PLC0415

    return AckPolicy.NACK_ON_ERROR
