"""The bus without any set-up: it calls the subscriptions of this process one after another."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ..tools.errors import PublishRefused
from ..tools.storable import described
from .bus import Handler, Message, handle


@dataclass(frozen=True, eq=False)
class _Subscription:
    names: frozenset[str]
    handler: Handler
    consumer: str


class InProcessBus:
    """Deliver each message to the subscriptions of this process before it counts as published.

    The outbox is its queue: if a handler raises, the event stays there and is tried again, so nothing is lost when the process dies. A
    message without a subscription counts as published. If one consumer has several subscriptions, the first one receives the message. The
    bus may be used from several event loops and threads at once.
    """

    def __init__(self) -> None:
        self._subscriptions: list[_Subscription] = []
        self._guard = threading.Lock()

    async def publish(self, message: Message) -> str:
        """Deliver the message to every consumer that is subscribed to its event.

        Raises:
            PublishRefused: A handler raised. Publish the message again later.
        """
        with self._guard:
            found = {one.consumer: one for one in reversed(self._subscriptions) if message.event_name in one.names}
        for one in reversed(found.values()):
            try:
                await handle(one.handler, message)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                raise PublishRefused(
                    f"The consumer {one.consumer!r} could not take the event {message.event_id} ({message.event_name}): "
                    f"{described(error)}. It stays in the outbox and is tried again.",
                    details={"eventId": message.event_id, "consumer": one.consumer},
                ) from error
        return f"in-process:{','.join(found) or 'nobody'}"

    @contextlib.asynccontextmanager
    async def subscribe(self, names: Iterable[str], handler: Handler, *, consumer: str) -> AsyncIterator[None]:
        """Deliver messages to the handler while the context is open. Messages that were published before are not delivered."""
        one = self.add(names, handler, consumer=consumer)
        try:
            yield
        finally:
            with self._guard:
                self._subscriptions.remove(one)

    def add(self, names: Iterable[str], handler: Handler, *, consumer: str) -> _Subscription:
        """Add a subscription for the lifetime of the bus."""
        one = _Subscription(frozenset(names), handler, consumer)
        with self._guard:
            self._subscriptions.append(one)
        return one

    async def __aenter__(self) -> Self:
        """There is nothing to connect to."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to disconnect."""
