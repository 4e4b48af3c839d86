"""The bus protocol: the relay publishes to it, and subscriptions receive events from it."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol, Self

from ..tools.canonical import canonical_json
from ..tools.events import EventEnvelope
from . import cloudevents
from .envelopes import tenant_in


class WireFormat(StrEnum):
    """The form of events on a bus."""

    BINARY = "binary"
    """Interlock's wire shape as the body, CloudEvents attributes as headers."""
    STRUCTURED = "structured"
    """One CloudEvents document."""
    PLAIN = "plain"
    """Interlock's wire shape as the body, and no CloudEvents at all."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event as a message on a bus."""

    event_name: str
    """The event's name with its version, which subscriptions use."""
    event_id: str
    """The ID of the event, the same at every attempt; brokers and consumers use it to drop duplicates."""
    workflow_id: str
    """Messages of one workflow instance keep their order."""
    trace_id: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def envelope(self) -> EventEnvelope:
        """Parse the event.

        Raises:
            InvalidInput: The body is not an event.
        """
        return cloudevents.read(self.body, self.headers)


Handler = Callable[[Message], Awaitable[Any] | Any]
"""Called with each message. If it returns, the message is acknowledged; if it raises, the message is redelivered."""


class Bus(Protocol):
    """A message broker, or a substitute for one. Open it with `async with`."""

    async def publish(self, message: Message) -> str:
        """Publish one message, and return when the broker has taken responsibility for it.

        Several messages may be on their way at once; those of one workflow instance are published one after another.

        Returns:
            Where it was published, in words.

        Raises:
            BusUnavailable: The broker cannot be reached or does not answer. The message may or may not have arrived.
            PublishRefused: The broker rejects this message; it may accept others.
        """
        ...

    def subscribe(self, names: Iterable[str], handler: Handler, *, consumer: str) -> AbstractAsyncContextManager[None]:
        """Deliver every message of these event names to the handler, at least once, while the context is open.

        Messages that were published while no process was subscribed are delivered to the next one. Processes of one consumer share the
        messages; each consumer receives all of them.

        Args:
            names: Event names with their versions.
            handler: A function or coroutine function. A message is acknowledged when it returns, and redelivered if it raises.
            consumer: The name under which the broker stores which messages were acknowledged.
        """
        ...

    async def __aenter__(self) -> Self:
        """Connect. Entries are counted, and the last exit disconnects."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        ...


def message_of(
    envelope: EventEnvelope,
    *,
    wire: WireFormat = WireFormat.BINARY,
    prefix: str = "ce-",
    schema_base: str | None = None,
) -> Message:
    """Create the message for an event, with trace and correlation headers in every form.

    Args:
        envelope: The event.
        wire: In which form it travels.
        prefix: The prefix of headers in the broker's CloudEvents binding.
        schema_base: The address under which the schemas of events are published.
    """
    text = canonical_json(envelope.to_json())
    return message_of_text(text, wire=wire, prefix=prefix, schema_base=schema_base)


def message_of_text(text: str, *, wire: WireFormat, prefix: str, schema_base: str | None = None) -> Message:
    """As `message_of`, for an event that is already JSON text, as in the outbox."""
    event: dict[str, Any] = json.loads(text)
    if wire is WireFormat.STRUCTURED:
        body = canonical_json(cloudevents.structured(event, schema_base=schema_base)).encode()
        headers = {"content-type": cloudevents.STRUCTURED}
    else:
        body = text.encode()
        headers = {"content-type": cloudevents.JSON_TYPE}
        if wire is WireFormat.BINARY:
            headers = cloudevents.headers(event, prefix=prefix, schema_base=schema_base)
    trace_id, workflow_id, event_id = event["traceId"], event["workflowId"], event["eventId"]
    # Encoded: not every broker accepts every character in a header, and a value must not break out of one.
    plain = cloudevents.all_plain((trace_id, workflow_id, tenant_in(event["metadata"])))
    headers["traceparent"] = cloudevents.traceparent(trace_id, event_id)
    headers["interlock-trace-id"], headers["interlock-workflow-id"], headers["interlock-tenant"] = plain
    return Message(event["eventName"], event_id, workflow_id, trace_id, body, headers)


async def handle(handler: Handler, message: Message) -> None:
    """Pass a message to a handler; a synchronous handler runs in a thread."""
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        await handler(message)
    else:
        await asyncio.to_thread(handler, message)
