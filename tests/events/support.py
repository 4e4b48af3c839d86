"""What the tests of events share: a clock that is set, a workflow that waits, a broker's names of one's own, a wire to be cut."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from interlock import (
    Event,
    EventEnvelope,
    SQLCheckpointer,
    ToolContext,
    Workflow,
    WorkflowGraph,
    WorkflowStore,
    command,
)
from interlock.events import InProcessBus, Message, Relay, RelayOptions
from interlock.operations import Deliveries
from interlock.tools import EventId, TraceId, WorkflowFinished, WorkflowId, mint

SECOND = 1_000_000


class Asked(Event, name="probe.asked"):
    number: int = 0


class Answered(Event, name="probe.answered"):
    number: int = 0


class Confirmed(Event, name="probe.confirmed"):
    number: int = 0


class Clock:
    """The time that a store is told; it stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND

    def __call__(self, _: Any) -> int:
        return self.now

    def forward(self, **parts: float) -> None:
        self.now += int(dt.timedelta(**parts).total_seconds() * SECOND)


@command("probe.ask", effect="transactional")
def ask(ctx: ToolContext, number: int = 0) -> int:
    """Ask, and wait for the answer."""
    ctx.emit(Asked(number=number))
    return number


@command("probe.ask_often", effect="transactional")
def ask_often(ctx: ToolContext, times: int) -> int:
    """Ask many times."""
    for number in range(times):
        ctx.emit(Asked(number=number))
    return times


@command("probe.give_up", effect="transactional")
def give_up() -> str:
    """Wait no longer."""
    return "gave up"


def waiting_flow(name: str = "probe", *, data: type[BaseModel] | None = None, **wait: Any) -> Workflow:
    """`open`, then `asked` until an answer or two hours later, then `answered` or `overdue`."""
    flow = Workflow(name) if data is None else Workflow(name, data=data)
    flow.add_state("open")
    flow.add_wait(
        "asked", **{"for_event": Answered, "within": "2h", "then": "answered", "on_timeout": "overdue", **wait}
    )
    flow.add_state("answered", final=True)
    flow.add_state("overdue", final=True)
    flow.add_edge("open", ask, "asked")
    return flow


@dataclass
class Desk:
    """One workflow with a store whose time can be set."""

    flow: Workflow
    target: Any = None
    clock: Clock | None = field(default_factory=Clock)

    def __post_init__(self) -> None:
        if self.target is None:
            self.store = WorkflowStore.in_memory(clock=self.clock)
            self.graph: WorkflowGraph = self.flow.compile(workflow_store=self.store)
        else:
            saver = SQLCheckpointer(self.target)
            self.store = WorkflowStore(saver.database, clock=self.clock)
            self.graph = self.flow.compile(saver, workflow_store=self.store)
        self.deliveries = Deliveries(self.graph)

    def start(self, thread: str = "t-1", data: Any = None, **configurable: Any) -> str:
        """Run a new instance until it rests, and give its id."""
        given = {"messages": []} if data is None else {"messages": [], "data": data}
        self.graph.invoke(given, self.config(thread, **configurable))
        return self.graph.instances.id_of(self.config(thread, **configurable))

    def ask(self, thread: str = "t-1", **arguments: Any) -> str:
        """Start an instance and let it ask; its graph then stands at the wait."""
        workflow_id = self.start(thread)
        result = self.graph.instances.execute(workflow_id, ask, arguments)
        assert result["ok"], result
        self.follow(workflow_id, thread)
        return workflow_id

    def follow(self, workflow_id: str, thread: str = "t-1") -> None:
        """Let the graph come to where the row is, unless that is over."""
        if not self.store.get(workflow_id).finished:
            with contextlib.suppress(WorkflowFinished):  # it may be over by now
                self.graph.invoke({"messages": []}, self.config(thread))

    def config(self, thread: str = "t-1", **configurable: Any) -> Any:
        return {"configurable": {"thread_id": thread, **configurable}}

    def state(self, workflow_id: str) -> str:
        return self.store.get(workflow_id).state

    def shown(self, thread: str = "t-1") -> Any:
        """Where the graph itself stands, as far as it knows."""
        return self.graph.get_state(self.config(thread))

    def wait_of(self, workflow_id: str) -> dict[str, Any]:
        (wait,) = self.graph.instances.snapshot(workflow_id).waits
        return wait

    def close(self) -> None:
        self.store.close()


def envelope(event: Event, workflow_id: str = "", *, event_id: str | None = None, **metadata: Any) -> EventEnvelope:
    """An event from somewhere outside."""
    return EventEnvelope.wrap(
        event,
        event_id=EventId(event_id or mint("evt")),
        occurred_at=dt.datetime(2026, 5, 1, tzinfo=dt.UTC),
        trace_id=TraceId("trace_outside"),
        workflow_id=WorkflowId(workflow_id),
        metadata={"source": "/outside", **metadata},
    )


def relayed(store: WorkflowStore, bus: Any = None, **options: Any) -> Relay:
    """A relay that does not rest between attempts."""
    return Relay(
        store, bus or InProcessBus(), options=RelayOptions(**{"first_pause": 0.001, "longest_pause": 0.001, **options})
    )


def emit_many(store: WorkflowStore, counts: dict[str, int], *, kind: type[Event] = Asked) -> None:
    """Put events straight into the outbox, those of all instances interleaved, one transaction for each round."""
    from interlock.checkpointing.store import outbox

    for number in range(max(counts.values())):
        with store.write() as connection:
            now = store.now(connection)
            for workflow_id, count in counts.items():
                if number < count:
                    one = envelope(kind(number=number), workflow_id)
                    outbox.append(connection, [one], tenant="default", now=now)


class Recording(InProcessBus):
    """Remembers what was published, in its order; refuses what it is told to."""

    def __init__(self, refuse: Callable[[Message], Exception | None] = lambda _: None) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.refuse = refuse

    async def publish(self, message: Message) -> str:
        refused = self.refuse(message)
        if refused is not None:
            raise refused
        self.messages.append(message)
        return await super().publish(message)

    def numbers(self, workflow_id: str | None = None) -> list[int]:
        return [
            message.envelope().fields["number"]  # type: ignore[misc]
            for message in self.messages
            if workflow_id in (None, message.workflow_id)
        ]


def eventually(done: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until a condition of another thread or process holds, and give what it gave."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := done()):
        assert time.monotonic() < deadline, "it did not come to that in time"
        pause.wait(0.01)
    return found


async def aeventually(done: Callable[[], Any], seconds: float = 20.0) -> Any:
    """As `eventually`, for something in this event loop."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.01)
    return found


class Wire:
    """A TCP connection to a server that can be cut and mended: what an outage looks like to a client."""

    def __init__(self, url: str) -> None:
        parsed = urlsplit(url)
        self._host, self._port = parsed.hostname or "127.0.0.1", parsed.port or 0
        self._parsed = parsed
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.flowing = asyncio.Event()
        """Cleared: what the server answers is kept back until it is set again."""
        self.flowing.set()

    @property
    def url(self) -> str:
        user = f"{self._parsed.netloc.rpartition('@')[0]}@" if "@" in self._parsed.netloc else ""
        return self._parsed._replace(netloc=f"{user}127.0.0.1:{self.port}").geturl()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in [*self._writers]:
            writer.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, back = await asyncio.open_connection(self._host, self._port)
            self._writers |= {writer, back}
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer, self.flowing))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event | None = None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if flowing is not None:
                    await flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)


@contextlib.asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A wire that is whole at first."""
    made = Wire(url)
    await made.mend()
    try:
        yield made
    finally:
        await made.cut()


@contextlib.contextmanager
def closing_desk(flow: Workflow, target: Any = None, clock: Clock | None = None) -> Iterator[Desk]:
    """A desk that gives its database back."""
    desk = Desk(flow, target, clock or Clock())
    try:
        yield desk
    finally:
        desk.close()


class Nothing(BaseModel):
    """Data without fields."""
