"""Enqueues a job with one statement, in the transaction that makes the run due.

A job's lock consists of its tenant and a small number that is derived from the thread. So a thread has one run at a time, and a tenant has
as many as there are numbers. Its priority is a virtual start time: one after the tenant's previous job, and not before the current
time. So a tenant with ten jobs does not wait for another tenant's ten thousand (start-time fair queueing).
"""

import hashlib
import json
import zlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..jobs import Job
from .schema import LATER, QUEUE, TASK

TURN = f"""-LEAST({-LATER - 1}, GREATEST(
    COALESCE((
        SELECT -priority FROM procrastinate_jobs
        WHERE status = 'todo' AND priority <= 0 AND priority > {LATER} ORDER BY priority DESC LIMIT 1
    ), 0),
    COALESCE((
        SELECT 1 - priority FROM procrastinate_jobs
        WHERE status = 'todo' AND task_name = '{TASK}' AND args->>'tenant' = {{tenant}} AND priority > {LATER}
        ORDER BY priority LIMIT 1
    ), 0)
))"""
"""The virtual start time of a tenant's next job."""

_ENQUEUE = sa.text(
    "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args) "
    f"SELECT '{QUEUE}', '{TASK}', {TURN.format(tenant='CAST(:tenant AS text)')}, :lock, CAST(:args AS jsonb) "
    f"ON CONFLICT ((args->>'key')) WHERE task_name = '{TASK}' DO NOTHING RETURNING id"
)
_FIND = sa.text(f"SELECT id, args FROM procrastinate_jobs WHERE task_name = '{TASK}' AND args->>'key' = :key")
_SETTLED = sa.text(
    f"UPDATE procrastinate_jobs SET status = 'cancelled' WHERE task_name = '{TASK}' AND status = 'failed' "
    "AND args->>'thread_id' = :thread AND (args->'note'->>'unknown')::boolean"
)


def lock_of(tenant: str, thread_id: str, per_tenant: int) -> str:
    """The lock of a thread's jobs."""
    whose = hashlib.sha256(tenant.encode()).hexdigest()[:16]
    return f"{whose}/{zlib.crc32(thread_id.encode()) % per_tenant}"


def enqueue(connection: Connection, job: Job, *, per_tenant: int) -> int | None:
    """Insert a job.

    Returns:
        Its number; None if a job with its key exists.
    """
    values = {
        "tenant": job.tenant,
        "lock": lock_of(job.tenant, job.thread_id, per_tenant),
        "args": json.dumps(job.to_json()),
    }
    number = connection.execute(_ENQUEUE, values).scalar()
    return None if number is None else int(number)


def find(connection: Connection, key: str) -> tuple[int, Job] | None:
    """The job of a key."""
    row = connection.execute(_FIND, {"key": key}).first()
    return None if row is None else (int(row[0]), Job.from_json(_loaded(row[1])))


def resolved(connection: Connection, thread_id: str) -> None:
    """Remove the jobs of a thread from the dead-letter list, after an attempt with an unknown outcome was resolved."""
    connection.execute(_SETTLED, {"thread": thread_id})


def _loaded(args: Any) -> Any:
    return json.loads(args) if isinstance(args, str) else args


__all__ = ["TURN", "enqueue", "find", "lock_of", "resolved"]
