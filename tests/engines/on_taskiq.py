"""Runs on Taskiq with Redis, the recipe of docs/scaling.md: a stream of jobs that are acknowledged once they were run, and a schedule of those
that are tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

from taskiq import TaskiqScheduler
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task, run_scheduler_task
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from interlock.engines import Again, Job, RunOnce


class TaskiqRuns:
    """Runs of workflows on Taskiq.

    Args:
        run_once: Runs a job.
        redis: The URL of the server.
        name: Of the stream of jobs.
    """

    def __init__(self, run_once: RunOnce, redis: str, *, name: str) -> None:
        self.broker = RedisStreamBroker(
            redis,
            queue_name=name,
            consumer_group_name=name,
            consumer_id="0",  # also what was enqueued before there was a worker
            xread_block=200,
        )
        self.later = ListRedisScheduleSource(redis, prefix=f"{name}-later")
        self.attempts: list[int] = []
        self.done = 0

        @self.broker.task("interlock.run")
        async def carry_out(data: dict[str, Any], attempt: int) -> None:
            self.attempts.append(attempt)
            match await run_once(Job.from_json(data), attempt=attempt):
                case Again(after, _):
                    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=after)
                    await carry_out.schedule_by_time(self.later, at, data, attempt + 1)
                case _:
                    self.done += 1

        self._carry_out = carry_out

    async def enqueue(self, job: Job) -> None:
        """Enqueue a job. It may be enqueued more than once: a run that was there finds its input taken."""
        await self._carry_out.kiq(job.to_json(), 0)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be able to enqueue, for as long as the block runs."""
        await self.broker.startup()
        await self.later.startup()
        try:
            yield
        finally:
            await self.later.shutdown()
            await self.later._connection_pool.disconnect()  # which it leaves open
            await self.broker.shutdown()

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker and the scheduler in this process, as `taskiq worker` and `taskiq scheduler` are in others."""
        scheduler = TaskiqScheduler(self.broker, [self.later])
        often = dt.timedelta(seconds=0.2)
        tasks = [
            asyncio.create_task(run_receiver_task(self.broker, ack_time=AcknowledgeType.WHEN_EXECUTED)),
            asyncio.create_task(run_scheduler_task(scheduler, interval=often, loop_interval=often)),
        ]
        try:
            yield
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
