"""Sends events to webhooks, without blocking the relay.

The handler only records an event of the bus in SQL and returns. Any process sends the recorded events, and retries with growing
pauses until the receiver acknowledges them. A redelivered event is already recorded.
"""

import asyncio
import contextlib
import datetime as dt
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from ...checkpointing.store import WorkflowStore
from ...tools.errors import BusUnavailable, InputError, InterlockError, StoreHeld, StoreUnavailable
from ...tools.sinks import logger_of
from ...tools.storable import type_name
from ..bus import Bus, Message
from ..envelopes import envelope_of
from . import deliveries
from .deliveries import DEAD, DELIVERED, PENDING, Due
from .webhook import Webhook, names_of

if TYPE_CHECKING:
    import httpx

logger = logger_of("interlock.webhooks")
PAUSES = (5.0, 30.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""The pauses after failed attempts, in seconds; after the last one the sender gives up."""
_AT_ONCE = 20
_KEPT_SECONDS = 7 * 86_400
_IDLE = 1.0


@dataclass
class Sent:
    """The counts of one round over the due events."""

    delivered: int = 0
    retrying: int = 0
    dead: int = 0


class Webhooks:
    """Sends events to webhooks.

    Args:
        stores: The stores whose outboxes have the events.
        hooks: The webhooks, with unique names.
        client: Sends the requests instead of a default client: for a proxy, or a test.

    Raises:
        InputError: Two webhooks have one name.
    """

    consumer = "interlock-webhooks"
    """The consumer name at the bus."""

    def __init__(
        self,
        stores: WorkflowStore | Iterable[WorkflowStore],
        hooks: Iterable[Webhook],
        *,
        client: "httpx.AsyncClient | None" = None,
    ) -> None:
        self._stores = [stores] if isinstance(stores, WorkflowStore) else [*stores]
        given = [*hooks]
        self.hooks = {hook.name: hook for hook in given}
        if len(self.hooks) < len(given):
            raise InputError(
                "Two webhooks have one name, under which what was sent is remembered. Give each its own.",
                code="settings",
            )
        self._client = client

    @property
    def names(self) -> list[str]:
        """The events to subscribe to."""
        return names_of(self.hooks.values())

    async def take(self, message: Message) -> None:
        """Record an event for each webhook that subscribes to it; the handler of a subscription.

        Raises:
            StoreUnavailable: The database is not reachable; the bus has to redeliver the event.
        """
        wanted = [hook.name for hook in self.hooks.values() if message.event_name in hook.events]
        for store in self._stores:
            if await store.database.arun(lambda store=store: _noted(store, wanted, message.event_id)):  # type: ignore[misc]
                return
        logger.warning("the event %s is in none of the outboxes, and no webhook is sent", message.event_id)

    async def deliver_due(self) -> Sent:
        """Send the events that are due now, once.

        Raises:
            StoreUnavailable: The database is away.
            StoreHeld: A backup was restored, and nobody has said yet that work may continue; nothing was sent.
        """
        sent = Sent()
        async with self._open() as client:
            for store in self._stores:
                store.refuse_held()
                while due := await store.database.arun(lambda store=store: self._taken(store)):  # type: ignore[misc]
                    await asyncio.gather(*(self._send(store, client, one, sent) for one in due))
        return sent

    async def run(self, stop: asyncio.Event, bus: Bus | None = None) -> None:
        """Send until asked to stop, and record the events of a bus if one is given. Waits for an unavailable database or bus."""
        forget_at = 0.0
        listening = None if bus is None else asyncio.create_task(self._listen(bus, stop))
        try:
            while not stop.is_set():
                try:
                    await self.deliver_due()
                    if (now := asyncio.get_running_loop().time()) >= forget_at:
                        forget_at = now + 3_600.0
                        await self._forget()
                except (StoreUnavailable, StoreHeld) as error:
                    logger.warning("%s No webhook is sent meanwhile.", error.message)
                except Exception:
                    logger.exception("webhooks could not be sent; the next look tries again")
                await _wait(stop, _IDLE)
        finally:
            if listening is not None:
                await listening

    async def _listen(self, bus: Bus, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with bus, bus.subscribe(self.names, self.take, consumer=self.consumer):
                    await stop.wait()
            except BusUnavailable as error:
                logger.warning("%s Trying again.", error.message)
                await _wait(stop, 5.0)

    @contextlib.asynccontextmanager
    async def _open(self) -> "AsyncIterator[httpx.AsyncClient]":
        if self._client is not None:
            yield self._client
            return
        import httpx  # noqa: PLC0415 -- of the extra `webhooks`

        async with httpx.AsyncClient(follow_redirects=False) as client:
            yield client

    def _taken(self, store: WorkflowStore) -> list[Due]:
        longest = max(hook.timeout for hook in self.hooks.values())
        with store.read() as connection:
            if not deliveries.any_due(connection, [*self.hooks], now=store.now(connection)):
                return []
        with store.write() as connection:
            now = store.now(connection)
            until = now + int((2 * longest + 30) * 1_000_000)
            return deliveries.take(connection, [*self.hooks], now=now, until=until, limit=_AT_ONCE)

    async def _send(self, store: WorkflowStore, client: "httpx.AsyncClient", one: Due, sent: Sent) -> None:
        hook = self.hooks[one.hook]
        problem, is_gone = await _posted(hook, client, one)
        if problem is None:
            status, pause = DELIVERED, None
            sent.delivered += 1
        elif is_gone or one.attempt > len(PAUSES):
            status, pause = DEAD, None
            sent.dead += 1
            logger.error(
                "the webhook %s for %s was abandoned after %d attempts: %s",
                hook.name,
                one.event_id,
                one.attempt,
                problem,
            )
        else:
            status, pause = PENDING, PAUSES[one.attempt - 1] * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter, no secret
            sent.retrying += 1
            logger.warning("the webhook %s for %s failed: %s. It will be retried.", hook.name, one.event_id, problem)

        def settle() -> None:
            with store.write() as connection:
                now = store.now(connection)
                again = None if pause is None else now + int(pause * 1_000_000)
                deliveries.settle(connection, one, status, now=now, next_attempt_at=again, error=problem)

        await store.database.arun(settle)

    async def _forget(self) -> None:
        for store in self._stores:
            await store.database.arun(lambda store=store: _forgotten(store))  # type: ignore[misc]


async def _posted(hook: Webhook, client: "httpx.AsyncClient", one: Due) -> tuple[str | None, bool]:
    """Send one request; returns the problem, and whether the receiver refuses the event permanently."""
    import httpx  # noqa: PLC0415 -- of the extra `webhooks`

    try:
        body = hook.body(envelope_of(one.envelope))
    except Exception as error:  # a failing template of the application keeps failing, so report it
        logger.exception("the webhook %s could not make a body of %s", hook.name, one.event_id)
        return f"render failed: {type_name(error)}", False
    headers = hook.headers(one.event_id, body, dt.datetime.now(dt.UTC))
    try:
        async with asyncio.timeout(hook.timeout):
            request = client.build_request("POST", hook.url, content=body.encode(), headers=headers)
            answer = await client.send(request, stream=True, follow_redirects=False)
            await answer.aclose()  # the body is not read, because it may be long or endless
    except (httpx.HTTPError, TimeoutError, InterlockError) as error:
        return type(error).__name__, False
    if answer.is_success:
        return None, False
    return f"it answered {answer.status_code}", answer.status_code == HTTPStatus.GONE


def _noted(store: WorkflowStore, hooks: list[str], event_id: str) -> bool:
    with store.write() as connection:
        return deliveries.note(connection, hooks, event_id, now=store.now(connection))


def _forgotten(store: WorkflowStore) -> None:
    with store.write() as connection:
        deliveries.forget(connection, before=store.now(connection) - _KEPT_SECONDS * 1_000_000)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


__all__ = ["PAUSES", "Sent", "Webhooks"]
