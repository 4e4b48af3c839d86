"""Runs with 1, 2 and 4 worker processes: how many a second, and how long one takes, without an engine, from the queue, and on DBOS.

As many runs are under way as the processes carry out at once, and each that ends is followed by another. So the time of a run is what it
takes from its start until its instance is in a final state, and not how long it waits behind others. `tests/benchmarks/engines.py` prints
the table; this file is also the program of each process: `python -m tests.benchmarks.worker_processes KIND URL NUMBER OF COUNT`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from interlock import Capacity, SQLCheckpointer, WorkflowGraph
from interlock.checkpointing.tables.workflow import instances
from interlock.engines import RunOnce, Runs
from interlock.engines.worker import Worker
from tests.benchmarks.steps_flow import ADA, AT_ONCE, GIVEN, steps_flow
from tests.engines.given import prepare, start_of
from tests.engines.on_dbos import QUEUE, installed, launched
from tests.support.servers import temporary_postgres_database

WARM = 4
"""Runs for each process before those that count: imports, prepared statements, connections."""
PATIENCE = 600.0
"""Seconds without a run that ends, after which it is given up."""
CAPACITY = Capacity(connections=6)


@dataclass(frozen=True)
class Line:
    """A line of the table."""

    kind: str
    workers: int
    per_second: float
    p50: float
    """Milliseconds."""
    p95: float
    cpu: float
    """Milliseconds of the worker processes for a run."""

    def __str__(self) -> str:
        return f"{self.kind:>10} {self.workers:8d} {self.per_second:14.1f} {self.p50:9.0f} ms {self.p95:9.0f} ms {self.cpu:9.0f} ms"


HEAD = f"{'':>10} {'workers':>8} {'runs a second':>14} {'p50':>12} {'p95':>12} {'CPU a run':>12}"


def table(runs: int, workers: list[int], say: Callable[[str], None] = print) -> list[Line]:
    """Measure each kind with each number of processes, and say each line as it is there."""
    say(HEAD)
    found = []
    for number in workers:
        for kind in ("asyncio", "queue", *(["dbos"] if installed() is not None else [])):
            found.append(_measured(kind, number, runs))
            say(str(found[-1]))
    return found


def _measured(kind: str, workers: int, runs: int) -> Line:
    with temporary_postgres_database() as url:
        feed = FEEDS[kind](url)
        processes = [_started(kind, url, which, workers, runs) for which in range(workers)]
        try:
            for process in processes:
                assert process.stdout is not None
                if process.stdout.readline().strip() != "ready":
                    raise RuntimeError(f"a worker of {kind} ended with {process.wait()} before it was ready")
            feed.warm_up(AT_ONCE * workers)
            began = time.monotonic()
            taken = feed.all_of(range(runs), AT_ONCE * workers, processes)
            seconds = time.monotonic() - began
        finally:
            cpu = [_ended(process) for process in processes]
            feed.close()
    taken.sort()
    return Line(
        kind,
        workers,
        runs / seconds,
        statistics.median(taken) * 1000,
        taken[min(len(taken) - 1, int(len(taken) * 0.95))] * 1000,
        sum(cpu) / (runs + feed.warmed) * 1000,
    )


def _started(kind: str, url: str, which: int, workers: int, runs: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.worker_processes",
        kind,
        url,
        str(which),
        str(workers),
        str(runs),
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen[str]) -> float:
    """End a worker; the seconds of CPU that it took since it was ready."""
    try:
        out, _ = process.communicate("end\n", timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 0.0
    lines = out.split()
    return float(lines[-1]) if lines else 0.0


class Feed:
    """Begins runs, and sees them end.

    Args:
        url: The database.
    """

    def __init__(self, url: str) -> None:
        self._saver = SQLCheckpointer(url, capacity=CAPACITY)
        self.graph: WorkflowGraph = steps_flow().compile(self._saver)
        prepare(self.graph.engine.store)

        self.warmed = 0
        """How many runs of those that are not counted the processes carried out after they were ready."""

    def begin(self, which: int) -> str:
        """Begin one; its thread."""
        raise NotImplementedError

    def warm_up(self, at_once: int) -> None:
        """Run what is not counted."""
        self.warmed = WARM * at_once
        for one in range(-self.warmed, 0):
            self.begin(one)
        self._wait({}, until=self.warmed)

    def all_of(self, numbers: range, at_once: int, processes: list[subprocess.Popen[str]]) -> list[float]:
        """Run them all, so many at once; how many seconds each took."""
        del processes
        begun: dict[str, float] = {}
        taken: list[float] = []
        waiting = iter(numbers)
        while len(taken) < len(numbers):
            while len(begun) < at_once and (which := next(waiting, None)) is not None:
                at = time.time()
                begun[self.begin(which)] = at
            taken += self._wait(begun, until=1)
        return taken

    def _wait(self, begun: dict[str, float], *, until: int) -> list[float]:
        """Wait until so many have ended; how many seconds each took."""
        statement = sa.select(instances.c.thread_id, instances.c.updated_at).where(instances.c.finished == 1)
        if begun:
            statement = statement.where(instances.c.thread_id.in_([*begun]))
        gives_up = time.monotonic() + PATIENCE
        while time.monotonic() < gives_up:
            with self.graph.engine.store.read() as connection:
                rows = connection.execute(statement).all()
            if len(rows) >= until:
                return [row[1] / 1e6 - begun.pop(row[0]) for row in rows if row[0] in begun]
            time.sleep(0.005)
        raise RuntimeError(f"no run ended within {PATIENCE:g} s")

    def close(self) -> None:
        """Give the connections back."""
        self._saver.close()


class WithoutEngine(Feed):
    """The processes run what they are told themselves, and have run some before they were ready."""

    def warm_up(self, at_once: int) -> None:
        """They have."""

    def all_of(self, numbers: range, at_once: int, processes: list[subprocess.Popen[str]]) -> list[float]:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        taken: list[float] = []
        for process in processes:
            assert process.stdout is not None
            taken += json.loads(process.stdout.readline())
        return taken


class FromQueue(Feed):
    """The runs are jobs of the queue."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._runs = Runs([steps_flow()], url, per_tenant=64, capacity=CAPACITY)
        self._runs.setup()

    def begin(self, which: int) -> str:
        """Begin one; its thread."""
        return self._runs.start("steps", GIVEN, principal=ADA, key=f"k{which}").thread_id

    def close(self) -> None:
        self._runs.close()
        super().close()


class OnDBOS(Feed):
    """The runs are workflows of DBOS."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url, self._client = url, None

    def begin(self, which: int) -> str:
        """Begin one; its thread."""
        if self._client is None:
            self._client = installed().DBOSClient(system_database_url=_plain(self._url))  # type: ignore[union-attr]
        job = start_of(self.graph.engine.store, "steps", GIVEN, principal=ADA, key=f"k{which}")
        options = {
            "workflow_name": "DBOSRuns.__init__.<locals>.one_run",
            "queue_name": QUEUE,
            "workflow_id": job.key,
            "queue_partition_key": job.thread_id,
        }
        self._client.enqueue(options, job.to_json())
        return job.thread_id

    def close(self) -> None:
        if self._client is not None:
            self._client.destroy()
        super().close()


FEEDS: dict[str, type[Feed]] = {"asyncio": WithoutEngine, "queue": FromQueue, "dbos": OnDBOS}


def _plain(url: str) -> str:
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


# What follows is one worker process. It says `ready`, works until it is told to end, and says how much CPU it took.


def _line() -> str:
    return sys.stdin.readline().strip()


async def _without_engine(graph: WorkflowGraph, numbers: range) -> list[float]:
    free, taken = asyncio.Semaphore(AT_ONCE), list[float]()

    async def one(which: int) -> None:
        async with free:
            began = time.time()
            await graph.ainvoke(GIVEN, {"configurable": {"thread_id": f"plain-{which}"}}, context=ADA)
            taken.append(time.time() - began)

    await asyncio.gather(*(one(which) for which in numbers))
    return taken


async def _asyncio(url: str, which: int, workers: int, count: int) -> float:
    with SQLCheckpointer(url, capacity=CAPACITY) as saver:
        graph = steps_flow().compile(saver)
        await _without_engine(graph, range(-WARM * AT_ONCE * (which + 1), -WARM * AT_ONCE * which))
        cpu = _ready()
        if await asyncio.to_thread(_line) == "go":
            print(json.dumps(await _without_engine(graph, range(which, count, workers))), flush=True)
            await asyncio.to_thread(_line)
        return time.process_time() - cpu


async def _queue(url: str, *_: int) -> float:
    runs = Runs([steps_flow()], url, per_tenant=64, capacity=CAPACITY)
    worker, stop = Worker(runs, concurrency=AT_ONCE, deadlines=59), asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    while not worker.is_ready:  # noqa: ASYNC110 -- it is a flag
        await asyncio.sleep(0.02)
    cpu = _ready()
    await asyncio.to_thread(_line)
    cpu = time.process_time() - cpu
    stop.set()
    await task
    runs.close()
    return cpu


def _dbos(url: str, *_: int) -> float:
    with SQLCheckpointer(url, capacity=CAPACITY) as saver:
        graph = steps_flow().compile(saver)
        with launched(installed(), url, RunOnce([graph]), graph.engine.store, concurrency=AT_ONCE):
            cpu = _ready()
            _line()
            return time.process_time() - cpu


def _ready() -> float:
    print("ready", flush=True)
    return time.process_time()


def main(kind: str, url: str, *numbers: str) -> None:
    """Work as one process."""
    given: Any = (url, *map(int, numbers))
    if kind == "dbos":
        print(_dbos(*given), flush=True)
    else:
        print(asyncio.run((_asyncio if kind == "asyncio" else _queue)(*given)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
