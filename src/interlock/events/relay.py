"""The outbox relay: takes committed events out of the database and hands them to a bus.

Nothing is published before its transaction has committed, for before that the relay cannot see it; nothing is forgotten after,
for an event counts as published only when the bus has said so. In between lies the chance that it is published twice.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sqlalchemy.engine import Connection

from ..checkpointing.database import Database
from ..checkpointing.fault_points import reach
from ..checkpointing.store import WorkflowStore
from ..checkpointing.store import outbox as rows
from ..checkpointing.store.outbox import OutboxEvent
from ..tools.errors import BusUnavailable, InterlockError, StoreUnavailable
from ..tools.ids import mint
from .bus import Bus, Message, WireFormat, message_of_text
from .points import EventPoint

logger = logging.getLogger("interlock.relay")


@dataclass(frozen=True, kw_only=True)
class RelayOptions:
    """How a relay works.

    Attributes:
        batch: Events in one claim.
        attempts: After so many refusals an event is dead.
        first_pause: Seconds before the second attempt; every further one waits twice as long, with jitter.
        longest_pause: The longest of those, in seconds.
        idle: Seconds between two looks at an empty outbox.
        lease: Seconds after which the lanes of a relay that is gone are free again; longer than a batch takes.
        wire: In which form events travel.
        schema_base: The address under which the schemas of events are published, for CloudEvents' `dataschema`.
    """

    batch: int = 1_000
    attempts: int = 8
    first_pause: float = 1.0
    longest_pause: float = 300.0
    idle: float = 0.1
    lease: float = 60.0
    wire: WireFormat = WireFormat.BINARY
    schema_base: str | None = None

    def pause(self, attempts: int) -> float:
        """Seconds before the next attempt, after so many."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(attempts - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, no secret


@dataclass
class Round:
    """What one claim came to."""

    claimed: int = 0
    published: int = 0
    retrying: int = 0
    """Refused, to be tried again."""
    dead: int = 0
    """Refused once too often."""
    unavailable: str | None = None
    """Why the bus could not be reached; what was claimed and not published is free again."""


@dataclass
class _Lane:
    """What became of one instance's events."""

    published: dict[str, list[int]] = field(default_factory=dict)
    """Positions by where they went."""
    refused: tuple[OutboxEvent, str] | None = None
    unavailable: BusUnavailable | None = None


@dataclass(frozen=True)
class _Claim:
    """Events whose lanes this relay holds."""

    owner: str
    events: list[OutboxEvent]


class Relay:
    """Publishes what the outbox holds, the events of each workflow instance in their order.

    Several relays may work on one outbox. They are told apart by their claims, so nothing needs to be configured for it.

    Args:
        store: Whose outbox.
        bus: Where to; opened by the caller, or by `run`.
        options: How.
    """

    def __init__(
        self,
        store: WorkflowStore,
        bus: Bus,
        *,
        options: RelayOptions | None = None,
    ) -> None:
        self.store = store
        self.bus = bus
        self.options = options or RelayOptions()

    async def run_once(self) -> Round:
        """Claim one batch and publish it.

        Raises:
            StoreUnavailable: The database is not there; nothing was published, or what was will be published again.
        """
        claim = await self._database.arun(self._claim)
        done, _ = await self._publish(claim, go_on=False)
        return done

    async def drain(self) -> Round:
        """Publish until nothing is due, or the bus is away.

        Returns:
            The sum of all rounds.
        """
        return await self._drain_until(asyncio.Event())

    async def _drain_until(self, stop: asyncio.Event) -> Round:
        total = Round()
        claim: _Claim | None = await self._database.arun(self._claim)
        while claim is not None and claim.events:
            done, claim = await self._publish(claim, go_on=not stop.is_set())
            total.claimed += done.claimed
            total.published += done.published
            total.retrying += done.retrying
            total.dead += done.dead
            total.unavailable = done.unavailable
        return total

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until told to stop; a batch that is under way is finished.

        While the bus or the database is away it tries again with growing pauses, and events stay where they are.
        """
        failures = 0
        while not stop.is_set():
            try:
                async with self.bus:
                    while not stop.is_set():
                        done = await self._drain_until(stop)
                        if done.unavailable is not None:
                            raise BusUnavailable(done.unavailable)
                        failures = 0
                        await _wait(stop, self.options.idle)
            except (BusUnavailable, StoreUnavailable) as error:
                failures += 1
                logger.warning("%s Trying again.", error.message)
                await _wait(stop, min(30.0, self.options.pause(failures)))

    async def _publish(self, claim: "_Claim", *, go_on: bool) -> "tuple[Round, _Claim | None]":
        """Publish what was claimed and write it down; in the same transaction claim what is next, unless the bus is away."""
        done = Round(claimed=len(claim.events))
        if not claim.events:
            return done, None
        reach(EventPoint.BEFORE_PUBLISH)
        lanes: dict[str, list[OutboxEvent]] = {}
        for event in claim.events:
            lanes.setdefault(event.workflow_id, []).append(event)
        outcomes = await asyncio.gather(*(self._publish_lane(events) for events in lanes.values()))
        done.unavailable = next((lane.unavailable.message for lane in outcomes if lane.unavailable is not None), None)
        reach(EventPoint.AFTER_PUBLISH)
        more = go_on and done.unavailable is None
        return done, await self._database.arun(lambda: self._mark(claim.owner, outcomes, done, more=more))

    async def _publish_lane(self, events: list[OutboxEvent]) -> _Lane:
        """Publish the events of one instance one after another; the first that does not go through stops the lane."""
        lane = _Lane()
        for event in events:
            try:
                where = await self.bus.publish(self._message(event))
            except BusUnavailable as error:
                lane.unavailable = error
                break
            except InterlockError as error:
                lane.refused = (event, error.message)
                break
            except Exception as error:
                logger.exception("publishing the event %s failed", event.event_id)
                lane.refused = (event, f"{type(error).__name__}: {error}")
                break
            lane.published.setdefault(where, []).append(event.position)
        return lane

    def _message(self, event: OutboxEvent) -> Message:
        prefix = getattr(self.bus, "header_prefix", "ce-")
        options = self.options
        return message_of_text(event.envelope, wire=options.wire, prefix=prefix, schema_base=options.schema_base)

    @property
    def _database(self) -> Database:
        return self.store.database

    def _claim(self) -> "_Claim":
        with self.store.write() as connection:
            return self._claimed(connection, self.store.now(connection))

    def _claimed(self, connection: Connection, now: int) -> "_Claim":
        owner = mint("relay")
        until = now + int(self.options.lease * 1_000_000)
        return _Claim(owner, rows.claim(connection, owner=owner, now=now, until=until, limit=self.options.batch))

    def _mark(self, owner: str, lanes: list[_Lane], done: Round, *, more: bool) -> "_Claim | None":
        published: dict[str, list[int]] = {}
        for lane in lanes:
            for where, positions in lane.published.items():
                published.setdefault(where, []).extend(positions)
        waiting: list[tuple[str, int]] = []
        with self.store.write() as connection:
            rows.enter_gate(connection)
            now = self.store.now(connection)
            for where, positions in published.items():
                rows.published(connection, positions, now=now, destination=where[:255])
            for lane in lanes:
                if lane.refused is None:
                    continue
                event, error = lane.refused
                attempts = event.attempts + 1
                dead = attempts >= self.options.attempts
                retry_at = None if dead else now + int(self.options.pause(attempts) * 1_000_000)
                rows.failed(connection, event, error, retry_at=retry_at)
                if retry_at is not None:
                    waiting.append((event.workflow_id, retry_at))
                done.dead, done.retrying = done.dead + dead, done.retrying + (not dead)
            rows.release(connection, owner, waiting=waiting)
            following = self._claimed(connection, now) if more else None
        done.published = sum(map(len, published.values()))
        return following


class RelayThread:
    """A relay in a thread of its own, for programs that are not asynchronous: `with RelayThread(relay): ...`."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._background = Background("interlock-relay", relay.run)

    def __enter__(self) -> Self:
        self._background.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._background.stop()


class Background:
    """A coroutine in an event loop of its own, in a thread of its own, until it is told to stop.

    Args:
        name: The thread's.
        work: Given the event that tells it to stop.
    """

    def __init__(self, name: str, work: Callable[[asyncio.Event], Any]) -> None:
        self._name = name
        self._work = work
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Begin; returns when the loop runs."""
        self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Tell it to stop and wait until it has.

        Raises:
            Exception: What it broke with, if it did.
        """
        if self._thread is None or self._loop is None or self._stop is None:
            return
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        async def work() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await self._work(self._stop)

        try:
            asyncio.run(work())
        except BaseException as error:
            self._failure = error
            logger.exception("%s broke", self._name)
        finally:
            self._ready.set()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
