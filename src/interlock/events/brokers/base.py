"""What the brokers share: opened and closed, errors translated, messages handed to one handler and acknowledged by its outcome."""

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
from ..bus import Handler, Message, handle
from ..cloudevents import PREFIXES
from ..points import EventPoint

logger = logger_of("interlock.bus")


class FastStreamBus(abc.ABC):
    """One broker.

    Args:
        url: Where it is.
        prefix: Begins every name that is used at the broker.
        broker: The application's own FastStream broker, in place of one made from the URL; it is started and stopped all the same.
        timeout: Seconds in which the broker must have answered.
        redelivery: Seconds before a message whose handler raised is given back.
    """

    module: ClassVar[str]
    """The FastStream module, which is imported when the bus is made."""
    extra: ClassVar[str]
    header_prefix: ClassVar[str] = "ce-"
    """How the broker's CloudEvents binding begins its headers."""
    keeps_time: ClassVar[bool] = False
    """Whether `_publish` itself gives up when the broker does not answer in time; a timer for each message costs."""

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
        """Hand over one message, and return when the broker has it. See `Bus.publish`.

        Raises:
            BusUnavailable: It is not there, or does not answer in time.
            PublishRefused: It will not take this message.
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
        """Give messages to the handler while the context is open. See `Bus.subscribe`.

        Raises:
            BusUnavailable: It is not there.
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
        """Connect, and make what is published to; the first to open it does, and the last to leave it disconnects.

        Raises:
            BusUnavailable: It is not there.
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
        """Disconnect, unless somebody else has it open as well."""
        self._holders -= 1
        if self._holders <= 0:
            await self._disconnect()

    @abc.abstractmethod
    def _make(self) -> Any:
        """A FastStream broker for the URL."""

    @abc.abstractmethod
    async def _prepare(self) -> None:
        """Make what messages are published to, where it is not there."""

    @abc.abstractmethod
    async def _publish(self, message: Message) -> str:
        """Publish and wait for the broker's acknowledgement."""

    @abc.abstractmethod
    async def _subscribers(self, name: str, consumer: str) -> list[Any]:
        """FastStream subscribers for one event name, made and not started."""

    @abc.abstractmethod
    def _is_refusal(self, error: Exception) -> bool:
        """Whether it is this one message that the broker does not want; everything else is taken for an outage."""

    def _translated(self, error: Exception, what: str) -> BusError:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        if isinstance(error, TimeoutError) and not str(error):
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
            with contextlib.suppress(Exception):  # it is gone either way
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
        return f"{scheme}://{rest.rpartition('@')[2]}"  # without what may be a password


def _decoder(name: str) -> Callable[[Any], Awaitable[Message]]:
    """Makes a `Message` of what FastStream received, without looking into its body: what is not an event is the handler's to keep."""

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
