"""The outbox relay: reads committed events from the database and publishes them to a bus.

It never publishes an event before its transaction commits, because it cannot see it. It never loses one, because an event counts
as published only after the bus acknowledged it. A crash between the two publishes the event twice.

With a database server, one transaction records the previous batch and claims the next one while a batch is published. A lane that
stopped in one batch is left out of the next, so that an instance's events keep their order.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy.engine import Connection

from ..checkpointing.database import Database
from ..checkpointing.fault_points import reach
from ..checkpointing.store import WorkflowStore
from ..checkpointing.store import outbox as rows
from ..checkpointing.store.outbox import DueEvent
from ..tools.errors import BusUnavailable, InterlockError, StoreUnavailable
from ..tools.ids import mint
from ..tools.sinks import logger_of
from ..tools.storable import described
from .background import Background
from .bus import Bus, Message, WireFormat, message_of_text
from .points import EventPoint

logger = logger_of("interlock.relay")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RelayOptions:
    """How a relay works.

    Attributes:
        batch: How many events are claimed at once.
        at_once: Workflow instances whose events are on their way to the bus at the same time.
        attempts: The number of refusals after which an event is not tried again.
        first_pause: Seconds before the second attempt; every further one waits twice as long, with jitter.
        longest_pause: The longest pause, in seconds.
        idle: Seconds between two checks of an empty outbox.
        lease: Seconds after which the events that a dead relay had claimed are free again. After half of that time, a batch publishes
            nothing more, and the rest of it is claimed again.
        wire: The form of events on a bus.
        schema_base: The address under which the schemas of events are published, for CloudEvents' `dataschema`.
    """

    batch: int = 2_000
    at_once: int = 250
    attempts: int = 8
    first_pause: float = 1.0
    longest_pause: float = 300.0
    idle: float = 0.1
    lease: float = 60.0
    wire: WireFormat = WireFormat.BINARY
    schema_base: str | None = None

    def pause(self, attempts: int) -> float:
        """Return the seconds before the next attempt, after this many attempts."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(attempts - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, no secret


@dataclass
class Round:
    """The result of publishing one or several batches."""

    claimed: int = 0
    published: int = 0
    retrying: int = 0
    """Events that the bus refused and that will be tried again."""
    dead: int = 0
    """Events that the bus refused too often; they are not tried again."""
    unavailable: str | None = None
    """Why the bus could not be reached; None if it could. Claimed events that were not published are free again."""

    def add(self, other: "Round") -> None:
        """Add the counts of another round."""
        self.claimed += other.claimed
        self.published += other.published
        self.retrying += other.retrying
        self.dead += other.dead


@dataclass
class _Lane:
    """One instance's events of a batch, in order, and their results."""

    workflow_id: str
    events: list[DueEvent] = field(default_factory=list)
    published: int = 0
    """The number of published events, from the first on."""
    wheres: dict[str, list[int]] = field(default_factory=dict)
    """The positions of the published events, by destination."""
    refused: str | None = None
    """Why the bus refused the next event."""
    unavailable: BusUnavailable | None = None

    @property
    def stopped(self) -> bool:
        """Whether events are left."""
        return self.published < len(self.events)


@dataclass
class _Batch:
    """Events whose lanes this relay has leased under an owner name unique to this batch."""

    owner: str
    lanes: dict[str, _Lane]
    full: bool
    """Whether there may be more in the outbox."""
    until: float
    """The event loop's time after which no publication may start."""

    def leave_out(self, lanes: list[_Lane]) -> None:
        """Remove lanes whose earlier events were not published."""
        for lane in lanes:
            self.lanes.pop(lane.workflow_id, None)

    @property
    def stopped(self) -> list[_Lane]:
        return [lane for lane in self.lanes.values() if lane.stopped]

    @property
    def unavailable(self) -> str | None:
        return next((lane.unavailable.message for lane in self.lanes.values() if lane.unavailable is not None), None)


class Relay:
    """Publishes the events in an outbox, those of each workflow instance in their order.

    Several relays may work on one outbox at once, without configuration: each of them claims events before it publishes them.

    Args:
        store: The workflow store with the outbox.
        bus: The bus; the caller opens it, or `run` does.
        options: The options of the relay.
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
        self._ahead = store.database.is_server
        self._left: set[str] = set()
        """Owners of leases that were not released, because the database failed."""

    async def run_once(self) -> Round:
        """Claim one batch and publish it.

        Raises:
            StoreUnavailable: The database cannot be reached. Events that were published may be published again.
            StoreHeld: A backup was restored, and nobody has confirmed yet that work may continue. Nothing was published.
        """
        total = Round()
        batch = await self._in_store(self._first_claim)
        if batch.lanes:
            await self._publish(batch)
            await self._in_store(lambda until: self._settle(total, batch, until=until))
        return total

    async def drain(self) -> Round:
        """Publish until no event is due, or the bus is unavailable.

        Returns:
            The sum of all rounds.

        Raises:
            StoreUnavailable: The database cannot be reached. Events whose publication was not recorded will be published again.
            StoreHeld: As for `run_once`.
        """
        return await self._drain_until(asyncio.Event())

    async def _drain_until(self, stop: asyncio.Event) -> Round:
        total = Round()
        published: _Batch | None = None
        batch: _Batch | None = await self._in_store(self._first_claim)
        while batch is not None and batch.lanes:
            following = await self._publish_beside(
                batch, published, total, ahead=self._ahead and batch.full and not stop.is_set()
            )
            if following is not None:
                following.leave_out(batch.stopped)
            total.unavailable = batch.unavailable
            if total.unavailable is None and following is not None and following.lanes:
                published, batch = batch, following
            else:  # Nothing is in progress: record the results, and claim again.
                batch = await self._finish(batch, following, total, more=not stop.is_set())
                published = None
        return total

    async def _publish_beside(
        self, batch: _Batch, before: _Batch | None, total: Round, *, ahead: bool
    ) -> _Batch | None:
        """Publish a batch; meanwhile record the previous one and, if `ahead`, claim the next one."""
        if before is None and not ahead:
            await self._publish(batch)
            return None
        beside = self._in_store(
            lambda until: self._settle(total, before, under_way=batch, ahead=ahead, until=until), batch, before
        )
        _, following = await _both(self._publish(batch), beside)
        return following

    async def _finish(self, batch: _Batch, following: _Batch | None, total: Round, *, more: bool) -> _Batch | None:
        """Record a batch, release the batch claimed after it, and claim due events unless the bus is unavailable."""
        ahead = more and total.unavailable is None
        return await self._in_store(
            lambda until: self._settle(total, batch, unused=following, ahead=ahead, until=until), batch, following
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set; a batch that is in progress is finished.

        While the bus or the database is unavailable, it tries again with growing pauses; events stay in the outbox.

        Raises:
            StoreHeld: As for `run_once`.
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

    # Publishing

    async def _publish(self, batch: _Batch) -> None:
        """Publish a batch: lanes concurrently, the events of each lane in order."""
        reach(EventPoint.BEFORE_PUBLISH)
        lanes = iter([*batch.lanes.values()])
        at_once = min(self.options.at_once, len(batch.lanes))
        await asyncio.gather(*(self._publish_lanes(lanes, batch.until) for _ in range(at_once)))
        reach(EventPoint.AFTER_PUBLISH)

    async def _publish_lanes(self, lanes: Iterator[_Lane], until: float) -> None:
        """Publish the remaining lanes one by one, concurrently with other workers on the same iterator."""
        time = asyncio.get_running_loop().time
        for lane in lanes:
            for event in lane.events:
                if time() >= until:
                    return
                try:
                    where = await self.bus.publish(self._message(event))
                except BusUnavailable as error:
                    lane.unavailable = error
                    break
                except InterlockError as error:
                    lane.refused = error.message
                    break
                except Exception as error:
                    logger.exception("publishing the event %s failed", event.event_id)
                    lane.refused = described(error)
                    break
                lane.published += 1
                lane.wheres.setdefault(where, []).append(event.position)

    def _message(self, event: DueEvent) -> Message:
        prefix = getattr(self.bus, "header_prefix", "ce-")
        options = self.options
        return message_of_text(event.envelope, wire=options.wire, prefix=prefix, schema_base=options.schema_base)

    # In the database

    async def _in_store(self, work: Callable[[float], T], *held: _Batch | None) -> T:
        """Run a transaction, with the time until which a batch that it claims may be published.

        Args:
            work: The transaction.
            held: Leased batches; if the database fails, they are released when it is reachable again.
        """
        until = asyncio.get_running_loop().time() + self.options.lease / 2
        try:
            return await self._database.arun(lambda: work(until))
        except StoreUnavailable:
            self._left |= {batch.owner for batch in held if batch is not None}
            raise

    def _first_claim(self, until: float) -> _Batch:
        self.store.refuse_held()
        with self.store.read() as connection:
            if not rows.any_pending(connection):  # a check without a lock, because it runs many times a second
                return _Batch("", {}, full=False, until=until)
        with self.store.write() as connection:
            rows.enter_gate(connection)
            left = [*self._left]
            for owner in left:
                rows.release(connection, owner)
            batch = self._claimed(connection, self.store.now(connection), until)
        self._left.difference_update(left)
        return batch

    def _settle(
        self,
        total: Round,
        batch: _Batch | None,
        *,
        under_way: _Batch | None = None,
        unused: _Batch | None = None,
        ahead: bool = False,
        until: float,
    ) -> _Batch | None:
        """Record the results of a batch and release its lanes; then claim the next batch.

        Args:
            total: Collects the counts.
            batch: The batch after its publication; None for the first.
            under_way: The batch that is being published; its lanes stay leased, and later events of them are claimed behind it.
            unused: A claimed batch that will not be published.
            ahead: Whether to claim.
            until: The time after which no publication of the claimed batch may start.
        """
        after = under_way or unused
        counted = Round()
        with self.store.write() as connection:
            rows.enter_gate(connection)
            now = self.store.now(connection)
            if batch is not None:
                self._write_down(connection, batch, counted, now=now, successor=after.owner if after else None)
            if unused is not None:
                rows.release(connection, unused.owner)
            following = self._claimed(connection, now, until, behind=under_way) if ahead else None
        total.add(counted)
        return following

    def _claimed(self, connection: Connection, now: int, until: float, *, behind: _Batch | None = None) -> _Batch:
        owner, limit = mint("relay"), self.options.batch
        held_until = now + int(self.options.lease * 1_000_000)
        found = rows.claim(
            connection, owner=owner, now=now, until=held_until, limit=limit, behind=behind.owner if behind else None
        )
        lanes: dict[str, _Lane] = {}
        for event in found:
            lane = lanes.get(event.workflow_id)
            if lane is None:
                lane = lanes[event.workflow_id] = _Lane(event.workflow_id)
            lane.events.append(event)
        return _Batch(owner, lanes, full=len(found) >= limit, until=until)

    def _write_down(
        self, connection: Connection, batch: _Batch, counted: Round, *, now: int, successor: str | None
    ) -> None:
        published: dict[str, list[int]] = {}
        waiting: dict[str, int] = {}
        for lane in batch.lanes.values():
            counted.claimed += len(lane.events)
            counted.published += lane.published
            for where, positions in lane.wheres.items():
                published.setdefault(where, []).extend(positions)
        for where, positions in published.items():
            rows.published(connection, positions, now=now, destination=where[:255])
        stopped = batch.stopped
        for lane in stopped:
            if lane.refused is None:
                continue
            event = lane.events[lane.published]
            attempts = event.attempts + 1
            dead = attempts >= self.options.attempts
            retry_at = None if dead else now + int(self.options.pause(attempts) * 1_000_000)
            rows.failed(connection, event, lane.refused, retry_at=retry_at)
            if retry_at is not None:
                waiting[lane.workflow_id] = retry_at
            counted.dead, counted.retrying = counted.dead + dead, counted.retrying + (not dead)
        free = [lane.workflow_id for lane in stopped if lane.workflow_id not in waiting]
        rows.release(connection, batch.owner, waiting=waiting, stopped=free, successor=successor)

    @property
    def _database(self) -> Database:
        return self.store.database


class RelayThread:
    """A relay in its own thread, for synchronous programs: `with RelayThread(relay): ...`."""

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


async def _both(publishing: Awaitable[None], storing: Awaitable[T]) -> tuple[None, T]:
    """Wait for both, even if one fails, so that no publication is abandoned."""
    done = await asyncio.gather(publishing, storing, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return None, done[1]  # type: ignore[return-value]


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
