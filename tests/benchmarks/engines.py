"""What the queue costs: runs of three transactional commands with a worker, beside the same runs in asyncio without an engine.

Both in turn, in this process, so that a busy machine is as busy for both. `python -m tests.benchmarks.engines --runs 60 --rounds 3`. Where DBOS
is installed (`make dbos`), the same runs on DBOS are a third kind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import Awaitable, Callable

from interlock import Principal, SQLCheckpointer, ToolContext, Workflow, command
from interlock.engines import RunOnce, Runs
from interlock.engines.worker import Worker
from interlock.testing import ScriptedChatModel, call
from tests.engines.on_dbos import DBOSRuns, installed, launched
from tests.support.servers import temporary_postgres_database

ADA = Principal("ada")
AT_ONCE = 4


@command("step.one", effect="transactional")
def one(ctx: ToolContext) -> int:
    """Do the first thing."""
    return 1


@command("step.two", effect="transactional")
def two(ctx: ToolContext) -> int:
    """Do the second thing."""
    return 2


@command("step.three", effect="transactional")
def three(ctx: ToolContext) -> int:
    """Do the third thing."""
    return 3


def flow() -> Workflow:
    made = Workflow("steps", model=ScriptedChatModel(forever=lambda _, offered: call(offered[0])))
    made.add_state("a")
    made.add_state("b")
    made.add_state("c")
    made.add_state("d", final=True)
    made.add_edge("a", one, "b")
    made.add_edge("b", two, "c")
    made.add_edge("c", three, "d")
    return made


async def without(runs: Runs, number: int, count: int, done: Done) -> None:
    graph, free = runs.run_once.graphs["steps"], asyncio.Semaphore(AT_ONCE)

    async def one_run(which: int) -> None:
        async with free:
            config = {"configurable": {"thread_id": f"plain-{number}-{which}"}}
            await graph.ainvoke({"messages": [("user", "go")]}, config, context=ADA)

    done.begin()
    await asyncio.gather(*(one_run(which) for which in range(count)))
    done.end()


async def queued(runs: Runs, number: int, count: int, done: Done) -> None:
    """They are enqueued already; the clock runs from the first claim to the last run's end."""
    worker, stop = Worker(runs, concurrency=AT_ONCE, deadlines=59), asyncio.Event()
    for which in range(count):
        await runs.astart("steps", {"messages": [("user", "go")]}, principal=ADA, key=f"{number}-{which}")
    task = asyncio.create_task(worker.run(stop))
    await _until(lambda: worker.counted.running > 0)
    done.begin()
    await _until(lambda: worker.counted.done == count)
    done.end()
    stop.set()
    await task


async def on_dbos(runs: Runs, number: int, count: int, done: Done, engine: DBOSRuns) -> None:
    """They are enqueued meanwhile, for its workers wait for nothing."""
    store, before = runs.run_once.graphs["steps"].engine.store, engine.done
    given = {"messages": [("user", "go")]}
    done.begin()
    for which in range(count):
        key = f"dbos-{number}-{which}"
        await asyncio.to_thread(lambda key=key: engine.start(store, "steps", given, principal=ADA, key=key))  # type: ignore[misc]
    await _until(lambda: engine.done == before + count)
    done.end()


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 -- what happens is a number that goes up
        await asyncio.sleep(0.02)


class Done:
    """How long something took: by the clock, and of this process's CPU."""

    def __init__(self) -> None:
        self.begin()
        self.wall = self.cpu = 0.0

    def begin(self) -> None:
        self._began = time.monotonic(), time.process_time()

    def end(self) -> None:
        self.wall, self.cpu = time.monotonic() - self._began[0], time.process_time() - self._began[1]


def written(runs: Runs) -> tuple[int, int]:
    """Transactions of this database, and bytes of WAL of its server, so far."""
    with runs.database.read() as connection:
        connection.exec_driver_sql("SELECT pg_stat_clear_snapshot()")
        commits = connection.exec_driver_sql(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).scalar_one()
        wal = connection.exec_driver_sql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").scalar_one()
    return int(commits), int(wal)


def _size(runs: Runs) -> int:
    with runs.database.read() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            ).scalar_one()
        )


async def measured(
    work: Callable[[Runs, int, int, Done], Awaitable[None]], runs: Runs, number: int, count: int
) -> tuple[float, float]:
    done = Done()
    await work(runs, number, count, done)
    return done.wall / count * 1000, done.cpu / count * 1000


async def compare(runs: Runs, count: int, rounds: int, second: DBOSRuns | None) -> None:
    kinds: dict[str, Callable[[Runs, int, int, Done], Awaitable[None]]] = {"without": without, "queued": queued}
    if second is not None:
        engine = second
        kinds["dbos"] = lambda runs, number, count, done: on_dbos(runs, number, count, done, engine)
    for work in kinds.values():
        await work(runs, -1, 4, Done())
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    rows: dict[str, list[tuple[int, int]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind, work in kinds.items():
            before = await asyncio.to_thread(written, runs)
            found[kind].append(await measured(work, runs, number, count))
            await asyncio.sleep(1.5)  # until the server has counted what its connections did
            after = await asyncio.to_thread(written, runs)
            rows[kind].append((after[0] - before[0], after[1] - before[1]))
    size = _size(runs)
    for kind, counted in rows.items():
        commits, wal = (statistics.median(one[place] for one in counted) / count for place in (0, 1))
        print(f"{kind}: {commits:.1f} transactions and {wal / 1024:.1f} KiB of WAL a run (of the whole server)")
    print(f"{size / (len(kinds) * (rounds * count + 4)) / 1024:.1f} KiB of tables and indexes a finished run")
    for place, name in enumerate(("wall", "CPU")):
        plain, *engines = (statistics.median(one[place] for one in found[kind]) for kind in kinds)
        print(f"{name}: {plain:.1f} ms a run without an engine")
        for kind, taken in zip([*kinds][1:], engines, strict=True):
            print(f"{name}: {taken:.1f} ms, {kind}, one worker: the engine's share is {(taken - plain) / taken:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with temporary_postgres_database() as url, contextlib.ExitStack() as stack:
        runs = Runs([flow()], url, per_tenant=64)
        stack.callback(runs.close)
        runs.setup()
        second = None
        if (dbos := installed()) is not None:
            graph = flow().compile(SQLCheckpointer(url))
            stack.callback(graph.checkpointer.close)
            run_once = RunOnce(runs.graphs, forgets=True)
            second, _ = stack.enter_context(launched(dbos, url, run_once, graph.engine.store, concurrency=AT_ONCE))
        asyncio.run(compare(runs, given.runs, given.rounds, second))


if __name__ == "__main__":
    main()
