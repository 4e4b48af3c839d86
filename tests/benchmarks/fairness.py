"""How long a tenant with ten runs waits beside one with ten thousand: `python -m tests.benchmarks.fairness`.

The small tenant's runs are timed from when they are due to when they have ended, by the database's clock: with nothing else in the queue, and
behind the large tenant's backlog. Both in turn in one process, several times, so that a busy machine is as busy for both.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import sqlalchemy as sa

from interlock import Principal
from interlock.engines import Runs
from interlock.engines.worker import Worker
from tests.benchmarks.engines import _until, flow
from tests.support.servers import temporary_postgres_database

LIMIT = 3.0
SMALL, LARGE = Principal("ada", tenant="small"), Principal("ben", tenant="large")
_BACKLOG = sa.text(
    # One job and its input as Runs.start writes them, so many times: each a turn later than the one before.
    "WITH job AS (SELECT * FROM procrastinate_jobs WHERE args->>'tenant' = 'large'), many AS ("
    "INSERT INTO interlock_inputs (input_id, thread_id, tenant, body, created_at) SELECT input_id || '-' || i, "
    "thread_id || '-' || i, tenant, body, created_at FROM interlock_inputs, generate_series(1, :count) AS i WHERE tenant = 'large') "
    "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args) SELECT queue_name, task_name, priority - i, "
    "split_part(lock, '/', 1) || '/' || i % :per_tenant, args || jsonb_build_object('key', args->>'key' || '-' || i, 'thread_id', "
    "args->>'thread_id' || '-' || i, 'input_id', args->>'input_id' || '-' || i) FROM job, generate_series(1, :count) AS i"
)
_TAKEN = sa.text(
    "SELECT extract(epoch FROM max(ended.at) - min(due.at)) FROM procrastinate_jobs AS job "
    "JOIN procrastinate_events AS due ON due.job_id = job.id AND due.type = 'deferred' "
    "JOIN procrastinate_events AS ended ON ended.job_id = job.id AND ended.type = 'succeeded' "
    "WHERE job.args->>'tenant' = 'small' AND job.id > :after GROUP BY job.id"
)


async def small_runs(runs: Runs, number: int, count: int) -> list[float]:
    """Seconds that each of the small tenant's runs took."""
    with runs.database.read() as connection:
        after = connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM procrastinate_jobs").scalar_one()
    given = {"messages": [("user", "go")]}
    some = (runs.astart("steps", given, principal=SMALL, key=f"{number}-{which}") for which in range(count))
    await asyncio.gather(*some)

    def taken() -> list[float]:
        with runs.database.read() as connection:
            return [float(row[0]) for row in connection.execute(_TAKEN, {"after": after})]

    deadline = time.monotonic() + 600
    while len(found := await asyncio.to_thread(taken)) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} ended"
        await asyncio.sleep(0.1)
    return found


async def compare(url: str, backlog: int, count: int, rounds: int, concurrency: int) -> tuple[float, float]:
    """The 95th percentile of the small tenant's runs: alone, and beside the large tenant."""
    runs = Runs([flow()], url)
    runs.setup()
    alone: list[float] = []
    beside: list[float] = []
    for number in range(-1, rounds):
        for taken, has_backlog in ((alone, False), (beside, True)):
            if has_backlog:
                await runs.astart("steps", {"messages": [("user", "go")]}, principal=LARGE, key=f"of-{number}")
                with runs.database.write() as connection:
                    connection.execute(_BACKLOG, {"count": backlog - 1, "per_tenant": runs.per_tenant})
            worker, stop = Worker(runs, concurrency=concurrency, deadlines=59), asyncio.Event()
            task = asyncio.create_task(worker.run(stop))
            await _until(
                lambda worker=worker, least=concurrency * has_backlog: worker.is_ready and worker.counted.done >= least
            )  # type: ignore[misc]
            found = await small_runs(runs, 2 * number + has_backlog, count)
            stop.set()
            await task
            if number >= 0:  # the first round makes what is made once
                taken.extend(found)
            if has_backlog:
                with runs.database.write() as connection:
                    connection.exec_driver_sql("DELETE FROM procrastinate_jobs WHERE args->>'tenant' = 'large'")
                    connection.exec_driver_sql("DELETE FROM interlock_inputs")
    runs.close()
    return tuple(statistics.quantiles(one, n=20)[-1] for one in (alone, beside))  # type: ignore[return-value]


def main() -> int:
    """Print both, and say whether the ratio is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("backlog", 10_000), ("runs", 10), ("rounds", 3), ("concurrency", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with temporary_postgres_database() as url:
        alone, beside = asyncio.run(compare(url, given.backlog, given.runs, given.rounds, given.concurrency))
    print(
        f"p95 of {given.runs} runs: {alone:.2f} s alone, {beside:.2f} s behind {given.backlog}: {beside / alone:.2f} times"
    )
    return 0 if beside / alone <= LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
