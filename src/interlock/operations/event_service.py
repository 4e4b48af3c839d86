"""Runs the relay, the subscriptions and the tick together as long as a program runs."""

import asyncio
import contextlib
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from ..commands.waits.delivery import Delivery
from ..events.background import Background
from ..events.bus import Bus, Handler, Message
from ..events.in_process import InProcessBus
from ..events.relay import Relay, RelayOptions
from ..tools.errors import BusUnavailable, InputError, InterlockError, StoreUnavailable
from ..tools.sinks import logger_of
from ..tools.storable import described
from .compiled import CompiledWorkflow
from .deliveries import Deliveries
from .instances import Instances
from .resuming import AnyGraph

logger = logger_of("interlock.events")


class EventService:
    """Connect compiled workflows to an event bus: `with EventService(graph): ...`, or `await service.run(stop)`.

    It publishes the events that they emit, delivers the events that they wait for, and enforces the deadlines of their waits and approvals.

    Args:
        graphs: One compiled workflow or several.
        bus: The bus. By default an in-process bus, to which `on` adds consumers.
        relay: Whether to publish the events in the outboxes of the workflows' stores.
        subscribe: Whether to deliver the events that the workflows wait for.
        tick: Seconds between two checks of the deadlines; None if another process checks them, such as `interlock tick`.
        root: The graph that contains the workflows, if they are subgraphs.
        resume: Whether this process resumes graphs. If False, the service delivers events and enforces deadlines, but leaves the runs that
            follow to an engine's workers (`interlock work`) or to a tick in another process.
        options: The options of the relay.
    """

    def __init__(
        self,
        graphs: CompiledWorkflow | Iterable[CompiledWorkflow],
        bus: Bus | None = None,
        *,
        relay: bool = True,
        subscribe: bool = True,
        tick: float | None = 1.0,
        root: AnyGraph | None = None,
        resume: bool = True,
        options: RelayOptions | None = None,
    ) -> None:
        if bus is not None and not hasattr(bus, "publish"):
            raise InputError(
                f"bus is of the type {type(bus).__name__}. Nothing was started; give a bus object, such as open_bus('nats://localhost:4222').",
                code="settings",
            )
        self.bus: Bus = InProcessBus() if bus is None else bus
        self._graphs: list[CompiledWorkflow] = [*graphs] if isinstance(graphs, Iterable) else [graphs]
        self._deliveries = [Deliveries(graph, root) for graph in self._graphs]
        self._root = root
        self._resume = resume
        self._relay = relay
        self._subscribe = subscribe
        self._tick = tick
        self._options = options
        self._background = Background("interlock-events", self.run)

    def on(self, names: Iterable[str], handler: Handler, *, consumer: str) -> Self:
        """Add a consumer of this process to the in-process bus.

        Raises:
            InputError: The service has another bus. Subscribe to that one in the consumer's process.
        """
        if not isinstance(self.bus, InProcessBus):
            raise InputError(
                f"Consumers of this process are added to the in-process bus, and this is {type(self.bus).__name__}. "
                "Nothing was subscribed; use `async with bus.subscribe(...)` in the consumer's own process."
            )
        self.bus.add(names, handler, consumer=consumer)
        return self

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. While the bus or the database is unavailable, wait and try again."""
        tasks: list[asyncio.Task[None]] = []
        opened = asyncio.Event()
        stores = {id(graph.engine.store): graph.engine.store for graph in self._graphs}
        if self._relay:
            relays = [Relay(store, self.bus, options=self._options) for store in stores.values()]
            tasks += [asyncio.create_task(_once_opened(opened, stop, relay)) for relay in relays]
        if self._tick is not None:
            tasks.append(asyncio.create_task(self._keep_deadlines(stop, self._tick)))
        tasks.append(asyncio.create_task(self._listen(stop, opened)))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self) -> Self:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._background.stop()

    async def _listen(self, stop: asyncio.Event, opened: asyncio.Event) -> None:
        """Keep the bus open and the subscriptions alive."""
        failures = 0
        while not stop.is_set():
            try:
                async with self.bus, contextlib.AsyncExitStack() as stack:
                    if self._subscribe:
                        for deliveries, graph in zip(self._deliveries, self._graphs, strict=True):
                            names = event_names(graph)
                            if names:
                                consumer = graph.engine.definition.name
                                handler = handler_of(deliveries, resume=self._resume)
                                await stack.enter_async_context(self.bus.subscribe(names, handler, consumer=consumer))
                    failures = 0
                    opened.set()
                    await stop.wait()
            except BusUnavailable as error:
                failures += 1
                logger.warning("%s Trying again.", error.message)
                await _wait(stop, min(30.0, 2.0 ** min(failures - 1, 5)))

    async def _keep_deadlines(self, stop: asyncio.Event, every: float) -> None:
        """Enforce the deadlines of waits and approvals."""
        while not stop.is_set():
            for deliveries, graph in zip(self._deliveries, self._graphs, strict=True):
                try:
                    if deliveries.needs_loop:
                        await Instances(graph).atick(resume=self._resume, root=self._root)
                    else:
                        await asyncio.to_thread(Instances(graph).tick, resume=self._resume, root=self._root)
                except StoreUnavailable as error:
                    logger.warning("%s Trying again.", error.message)
                except Exception:  # an error in one workflow must not stop the service of the others
                    name = graph.engine.definition.name
                    logger.exception("the deadlines of %s could not be checked; the next tick tries again", name)
            await _wait(stop, every)


async def _once_opened(opened: asyncio.Event, stop: asyncio.Event, relay: Relay) -> None:
    """Run a relay once the bus is connected; do not run it at all if stopped before."""
    waiting = [asyncio.create_task(opened.wait()), asyncio.create_task(stop.wait())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await relay.run(stop)


def event_names(graph: CompiledWorkflow) -> list[str]:
    """The names of the events that the waits of a workflow use."""
    return sorted({name for rule in graph.engine.definition.waits.values() for name in rule.roles})


def handler_of(deliveries: Deliveries, *, resume: bool = True) -> Handler:
    """Make the handler of a subscription: it delivers each message, and stores unreadable ones in the inbox for a person.

    Args:
        deliveries: The deliveries of the workflow.
        resume: Whether to resume graphs in this process.
    """

    async def handle(message: Message) -> Delivery | None:
        try:
            envelope = message.envelope()
            if deliveries.needs_loop:
                return await deliveries.adeliver(envelope, resume=resume)
            return await asyncio.to_thread(deliveries.deliver, envelope, resume=resume)
        except (StoreUnavailable, BusUnavailable):
            raise  # a temporary error: the bus redelivers the message
        except InputError as error:
            problem = error.message
        except Exception as error:  # a redelivery would fail in the same way, and block later messages
            logger.exception("the event %s (%s) cannot be taken in", message.event_id, message.event_name)
            problem = error.message if isinstance(error, InterlockError) else described(error)
        await asyncio.to_thread(deliveries.keep_unreadable, message.body, name=message.event_name, problem=problem)
        return None

    return handle


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


__all__ = ["EventService", "event_names", "handler_of"]
