"""The Procrastinate app, whose only task calls `RunOnce` and reports the outcome."""

import asyncio
import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

import procrastinate
import psycopg
from procrastinate import exceptions, jobs, retry
from procrastinate.manager import JobManager
from procrastinate.sql import queries
from sqlalchemy.engine import URL

from ...commands.running.engine import logger
from ..jobs import Job
from ..once import RunOnce
from ..outcomes import Again, Done, Outcome, Person
from .enqueuing import TURN, lock_of
from .schema import LATER, QUEUE, TASK
from .slots import Slots

_LATER = "later/"
"""The lock prefix of a job that waits for its retry, so that it blocks neither its thread nor its tenant."""
_PAUSES = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""The pauses between attempts to record the end of a job while the database is unreachable, in seconds."""


class PutBack(Exception):  # noqa: N818 -- Procrastinate expects an exception
    """The job is not finished, and goes back to the queue."""

    def __init__(self, decision: retry.RetryDecision) -> None:
        super().__init__("put back")
        self.decision = decision


class NeedsPerson(Exception):  # noqa: N818 -- as above
    """The job is not retried automatically any more."""


class _Strategy(retry.BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: jobs.Job) -> retry.RetryDecision | None:  # noqa: ARG002
        """The retry decision for the end of the task."""
        match exception:
            case PutBack(decision=decision):
                return decision
            case NeedsPerson():
                return None
            case asyncio.CancelledError() | exceptions.JobAborted():
                return retry.RetryDecision(retry_at=_now())  # the worker stops and could not wait any longer
            case _:
                return retry.RetryDecision(retry_at=_now() + dt.timedelta(seconds=5))


CLAIM: Any = queries["fetch_job"].replace(
    "FROM", "FROM (SELECT set_config('synchronous_commit', 'off', true)) AS without_waiting_for_the_disk,", 1
)
"""Procrastinate's statement, except that it does not wait for the disk. If the server crashes and loses a claim, the job is due again: another
worker resumes the run behind the instance's lease, and the first one finds that it no longer owns the job."""


class OwnedJobs(JobManager):
    """Claims a job when a slot is free, and records its end only if this worker still owns it: a suspended worker may have lost it to another one."""

    def __init__(self, connector: Any, slots: Slots) -> None:
        super().__init__(connector)
        self._slots = slots

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """As Procrastinate's."""
        takes_slot = queues is not None and QUEUE in queues
        if takes_slot and not await self._slots.take():
            return None
        job = None
        try:
            row = await self.connector.execute_query_one_async(CLAIM, queues=queues, worker_id=worker_id)
            job = None if row["id"] is None else jobs.Job.from_row(row)
        finally:
            if takes_slot and (job is None or job.task_name != TASK):
                self._slots.free()
        return job

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        """As Procrastinate's."""
        await self._write(
            ", taken AS (DELETE FROM interlock_inputs USING held WHERE input_id = %(input)s AND %(status)s = 'succeeded') "
            "SELECT procrastinate_finish_job_v1(held.id, %(status)s::procrastinate_job_status, %(delete)s) FROM held",
            job,
            input=job.task_kwargs.get("input_id"),
            status=status.value,
            delete=delete_job,
        )

    async def retry_job(
        self,
        job: jobs.Job,
        retry_at: dt.datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """As Procrastinate's."""
        # By the database's clock, which also selects jobs; this process's clock may be wrong.
        after = 0.0 if retry_at is None else max(0.0, (retry_at - _now()).total_seconds())
        await self._write(
            "SELECT procrastinate_retry_job_v2(held.id, now() + make_interval(secs => %(after)s), %(priority)s, %(queue)s, %(lock)s) FROM held",
            job,
            after=after,
            priority=priority,
            queue=queue,
            lock=lock,
        )

    async def _write(self, statement: str, job: jobs.Job, **values: Any) -> None:
        held = (
            "WITH held AS MATERIALIZED (SELECT id FROM procrastinate_jobs WHERE id = %(id)s AND status = 'doing' AND "
            "worker_id = %(worker)s FOR UPDATE) "
        )
        query: Any = held + statement
        for pause in (*_PAUSES, None):
            try:
                found = await self.connector.execute_query_all_async(query, id=job.id, worker=job.worker_id, **values)
            except exceptions.ConnectorException:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
                continue
            if not found:
                logger.warning("the job %s was taken over by another worker, which records its outcome", job.id)
            return


class Counted:
    """Counts the outcomes of a worker's runs, for its metrics."""

    def __init__(self) -> None:
        self.done = self.again = self.person = self.running = 0
        self.seconds = 0.0


def build(
    url: URL, run_once: RunOnce, *, per_tenant: int, connections: int, counted: Counted, slots: Slots
) -> procrastinate.App:
    """Create the app.

    Args:
        url: The database.
        run_once: Runs jobs.
        per_tenant: The maximum number of concurrent runs per tenant.
        connections: The maximum number of the queue's connections in this process, in addition to the listening one.
        counted: Counts the outcomes of runs.
        slots: How many runs may continue at once.
    """
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connector = procrastinate.PsycopgConnector(conninfo=plain, min_size=1, max_size=connections, configure=_autocommit)
    app = procrastinate.App(connector=connector)
    app.job_manager = OwnedJobs(connector, slots)

    @app.task(name=TASK, queue=QUEUE, pass_context=True, retry=_Strategy())
    async def run(context: procrastinate.JobContext, /, **args: Any) -> None:
        try:
            await carry_out(context.job, args)
        finally:
            slots.free()

    async def carry_out(row: jobs.Job, args: dict[str, Any]) -> None:
        note = args.get("note") or {}
        job = Job.from_json(args)
        if (row.lock or "").startswith(_LATER):
            raise PutBack(await _turn(connector, job, per_tenant))
        attempt = int(note.get("attempt", 0))
        loop = asyncio.get_running_loop()
        began = loop.time()
        counted.running += 1
        try:
            outcome = await run_once(job, attempt=attempt)
        finally:
            counted.running -= 1
            counted.seconds += loop.time() - began
        await _settle(connector, row, outcome, attempt, counted)

    return app


async def _settle(connector: Any, row: jobs.Job, outcome: Outcome, attempt: int, counted: Counted) -> None:
    match outcome:
        case Done():
            counted.done += 1
        case Again(after, why):
            counted.again += 1
            await _note(connector, row, {"attempt": attempt + 1, "why": why})
            at = _now() + dt.timedelta(seconds=after)
            raise PutBack(retry.RetryDecision(retry_at=at, priority=LATER, lock=f"{_LATER}{row.id}"))
        case Person(why, unknown):
            counted.person += 1
            await _note(connector, row, {"attempt": attempt + 1, "why": why, "unknown": unknown})
            raise NeedsPerson(why)


async def _note(connector: Any, row: jobs.Job, note: dict[str, Any]) -> None:
    await connector.execute_query_async(
        "UPDATE procrastinate_jobs SET args = jsonb_set(args, '{note}', %(note)s::jsonb) "
        "WHERE id = %(id)s AND status = 'doing' AND worker_id = %(worker)s",
        note=json.dumps(note),
        id=row.id,
        worker=row.worker_id,
    )


async def _turn(connector: Any, job: Job, per_tenant: int) -> retry.RetryDecision:
    """Assign a job its turn among the tenant's jobs after its pause."""
    row = await connector.execute_query_one_async(
        f"SELECT {TURN.format(tenant='%(tenant)s')} AS turn", tenant=job.tenant
    )
    return retry.RetryDecision(
        retry_at=_now(), priority=int(row["turn"]), lock=lock_of(job.tenant, job.thread_id, per_tenant)
    )


async def _autocommit(connection: psycopg.AsyncConnection) -> None:
    """Let each statement be its own transaction: the queue sends single statements, so BEGIN and COMMIT are round trips for nothing."""
    await connection.set_autocommit(True)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


__all__ = ["Counted", "build"]
