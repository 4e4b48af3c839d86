"""The common base of the brokers: connects, translates errors, passes messages to one handler and acknowledges them by its outcome."""

import abc
import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import ModuleType, TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import unquote

from ...checkpointing.fault_points import reach
from ...tools.errors import BusError, BusUnavailable, InputError, PublishRefused
from ...tools.sinks import logger_of
from ...tools.storable import described
from ..bus import Handler, Message, handle
from ..cloudevents import PREFIXES
from ..points import EventPoint

logger = logger_of("interlock.bus")


class FastStreamBus(abc.ABC):
    """One broker.

    Args:
        url: The address of the broker.
        prefix: The prefix of every name at the broker.
        broker: The application's own FastStream broker, instead of one made from the URL; the bus starts and stops it too.
        timeout: Seconds in which the broker must answer.
        redelivery: Seconds before redelivery of a message whose handler raised.
    """

    module: ClassVar[str]
    """The FastStream module, which the constructor imports."""
    extra: ClassVar[str]
    header_prefix: ClassVar[str] = "ce-"
    """The header prefix of the broker's CloudEvents binding."""
    keeps_time: ClassVar[bool] = False
    """Whether `_publish` itself times out, because a timer for each message is expensive."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "interlock",
        broker: Any = None,
        timeout: float = 10.0,
        redelivery: float = 1.0,
    ) -> None:
        self.url = url
        self.prefix = prefix
        self.timeout = timeout
        self.redelivery = redelivery
        self.library = self._import()
        self.broker = broker
        self._given = broker is not None
        self._opened = False
        self._holders = 0

    async def publish(self, message: Message) -> str:
        """Publish one message, and return when the broker has acknowledged it. See `Bus.publish`.

        Raises:
            BusUnavailable: The broker is not reachable, or does not answer in time.
            PublishRefused: The broker refuses this message.
        """
        if not self._opened:
            raise BusUnavailable(f"The bus {self._name} is not open. Nothing was published; use `async with bus:`.")
        try:
            if self.keeps_time:
                return await self._publish(message)
            async with asyncio.timeout(self.timeout):
                return await self._publish(message)
        except (BusError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise self._translated(error, f"the event {message.event_id} ({message.event_name})") from error

    @contextlib.asynccontextmanager
    async def subscribe(self, names: Iterable[str], handler: Handler, *, consumer: str) -> AsyncIterator[None]:
        """Pass messages to the handler while the context is open. See `Bus.subscribe`.

        Raises:
            BusUnavailable: The broker is not reachable.
        """
        if self.broker is None:
            raise BusUnavailable(f"The bus {self._name} is not open. Nothing was subscribed; use `async with bus:`.")
        subscribers = []
        try:
            for name in names:
                for subscriber in await self._subscribers(name, consumer):
                    subscriber(self._receiver(handler), decoder=_decoder(name))
                    subscribers.append(subscriber)
                    if self._opened:
                        await subscriber.start()
        except (BusError, asyncio.CancelledError):
            raise
        except Exception as error:
            await self._end(subscribers)
            raise self._translated(error, f"the subscription of {consumer}") from error
        try:
            yield
        finally:
            await self._end(subscribers)

    async def __aenter__(self) -> Self:
        """Connect, and create the publishing targets, at the first entry; the last exit disconnects.

        Raises:
            BusUnavailable: The broker is not reachable.
        """
        if self._opened:
            self._holders += 1
            return self
        if not self._given:
            self.broker = self._make()
        try:
            await asyncio.wait_for(self.broker.start(), self.timeout)
            await asyncio.wait_for(self._prepare(), self.timeout)
        except Exception as error:
            await self._disconnect()
            raise self._translated(error, "the connection") from error
        self._opened, self._holders = True, 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect, unless it was entered more than once and is still in use."""
        self._holders -= 1
        if self._holders <= 0:
            await self._disconnect()

    @abc.abstractmethod
    def _make(self) -> Any:
        """A FastStream broker for the URL."""

    @abc.abstractmethod
    async def _prepare(self) -> None:
        """Create the publishing targets that do not exist."""

    @abc.abstractmethod
    async def _publish(self, message: Message) -> str:
        """Publish and wait for the broker's acknowledgement."""

    @abc.abstractmethod
    async def _subscribers(self, name: str, consumer: str) -> list[Any]:
        """Create FastStream subscribers for one event name, without starting them."""

    @abc.abstractmethod
    def _is_refusal(self, error: Exception) -> bool:
        """Whether the broker refuses only this message; all other errors count as an outage."""

    def _translated(self, error: Exception, what: str) -> BusError:
        said = " ".join(described(error).split())
        if said == TimeoutError.__name__:
            said = f"no answer within {self.timeout:g} seconds"
        if self._is_refusal(error):
            return PublishRefused(
                f"The broker {self._name} refused {what}: {said}. Look at its size and the broker's limits."
            )
        return BusUnavailable(
            f"The broker {self._name} could not be reached or did not answer, about {what}: {said}. Events stay in the outbox until it is back."
        )

    def _receiver(self, handler: Handler) -> Callable[[Message], Awaitable[None]]:
        async def receive(message: Message) -> None:
            try:
                await handle(handler, message)
            except Exception:
                logger.exception(
                    "the event %s (%s) was not taken and comes again", message.event_id, message.event_name
                )
                await asyncio.sleep(self.redelivery)
                raise
            reach(EventPoint.BEFORE_ACKNOWLEDGE)

        return receive

    async def _end(self, subscribers: Iterable[Any]) -> None:
        for subscriber in subscribers:
            with contextlib.suppress(Exception):
                await subscriber.stop()

    async def _disconnect(self) -> None:
        self._opened, self._holders = False, 0
        if self.broker is not None:
            with contextlib.suppress(Exception):  # the connection is closed in any case
                await asyncio.wait_for(self.broker.stop(), self.timeout)
        if not self._given:
            self.broker = None

    def _import(self) -> ModuleType:
        try:
            return importlib.import_module(self.module)
        except ImportError as error:
            raise InputError(
                f"The bus {self._name} needs FastStream with its client. Nothing was opened; install langgraph-interlock[{self.extra}].",
                code="missing_extra",
            ) from error

    @property
    def _name(self) -> str:
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"  # without credentials


def _decoder(name: str) -> Callable[[Any], Awaitable[Message]]:
    """Make a `Message` from a FastStream message without parsing its body: the handler decides about invalid events."""

    async def decode(received: Any) -> Message:
        headers = {str(key): _text(value) for key, value in (received.headers or {}).items()}
        attribute = {
            key[len(prefix) :].lower(): value
            for key, value in headers.items()
            for prefix in PREFIXES
            if key.lower().startswith(prefix.lower())
        }
        return Message(
            event_name=name,
            event_id=unquote(attribute.get("id", "")),
            workflow_id=unquote(headers.get("interlock-workflow-id", "")),
            trace_id=unquote(headers.get("interlock-trace-id", "")),
            body=bytes(received.body),
            headers=headers,
        )

    return decode


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


Headers = Mapping[str, str]

__all__ = ["FastStreamBus", "Headers"]
