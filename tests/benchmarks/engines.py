"""What the queue costs: runs of three transactional commands with a worker, beside the same runs in asyncio without an engine.

Both in turn, in this process, so that a busy machine is as busy for both; then with 1, 2 and 4 worker processes, how many a second and how
long one takes. `python -m tests.benchmarks.engines --runs 60 --rounds 3 --workers 1 2 4`. Where DBOS is installed (`make dbos`), the same runs
on DBOS are a third kind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import Awaitable, Callable

from interlock import SQLCheckpointer
from interlock.engines import RunOnce, Runs
from interlock.engines.worker import Worker
from tests.benchmarks.steps_flow import ADA, AT_ONCE, GIVEN, steps_flow
from tests.benchmarks.worker_processes import table
from tests.engines.on_dbos import DBOSRuns, installed, launched
from tests.support.servers import temporary_postgres_database


async def without(runs: Runs, number: int, count: int, done: Done) -> None:
    graph, free = runs.run_once.graphs["steps"], asyncio.Semaphore(AT_ONCE)

    async def one_run(which: int) -> None:
        async with free:
            config = {"configurable": {"thread_id": f"plain-{number}-{which}"}}
            await graph.ainvoke(GIVEN, config, context=ADA)

    done.begin()
    await asyncio.gather(*(one_run(which) for which in range(count)))
    done.end()


async def queued(runs: Runs, number: int, count: int, done: Done) -> None:
    """They are enqueued already; the clock runs from the first claim to the last run's end."""
    worker, stop = Worker(runs, concurrency=AT_ONCE, deadlines=59), asyncio.Event()
    for which in range(count):
        await runs.astart("steps", GIVEN, principal=ADA, key=f"{number}-{which}")
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
    done.begin()
    for which in range(count):
        key = f"dbos-{number}-{which}"
        await asyncio.to_thread(lambda key=key: engine.start(store, "steps", GIVEN, principal=ADA, key=key))  # type: ignore[misc]
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
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4], help="numbers of worker processes")
    given = parser.parse_args()
    with temporary_postgres_database() as url, contextlib.ExitStack() as stack:
        runs = Runs([steps_flow()], url, per_tenant=64)
        stack.callback(runs.close)
        runs.setup()
        second = None
        if (dbos := installed()) is not None:
            graph = steps_flow().compile(SQLCheckpointer(url))
            stack.callback(graph.checkpointer.close)
            run_once = RunOnce(runs.graphs, forgets=True)
            second, _ = stack.enter_context(launched(dbos, url, run_once, graph.engine.store, concurrency=AT_ONCE))
        asyncio.run(compare(runs, given.runs, given.rounds, second))
    table(given.runs * given.rounds, given.workers)


if __name__ == "__main__":
    main()
