"""Lists jobs, and lets a person retry or cancel one."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import ConflictError, InputError
from .. import inputs
from ..jobs import Job
from .enqueuing import TURN, lock_of
from .schema import LATER, TASK


class RunStatus(StrEnum):
    """The status of a run in the queue."""

    DUE = "due"
    """It waits for its turn."""
    AGAIN = "again"
    """It failed, and waits for a retry."""
    RUNNING = "running"
    DONE = "done"
    PERSON = "person"
    """It needs a person (the dead-letter list)."""
    CANCELLED = "cancelled"


_THEIRS = {
    RunStatus.DUE: ("todo",),
    RunStatus.AGAIN: ("todo",),
    RunStatus.RUNNING: ("doing",),
    RunStatus.DONE: ("succeeded",),
    RunStatus.PERSON: ("failed",),
    RunStatus.CANCELLED: ("cancelled", "aborted"),
}


@dataclass(frozen=True)
class QueuedRun:
    """One run in the queue."""

    number: int
    job: Job
    status: RunStatus
    attempts: int
    """The number of failures."""
    why: str | None
    """The type and code of its last failure."""
    unknown: bool
    """Whether it has an attempt of unknown outcome, to be resolved with `interlock resolve`."""


def page(
    connection: Connection,
    *,
    status: RunStatus | None,
    workflow: str | None,
    tenant: str | None,
    limit: int,
    after: int | None,
) -> list[QueuedRun]:
    """A page of runs, newest first.

    Args:
        connection: The connection.
        status: Only runs with this status.
        workflow: Only runs of this workflow.
        tenant: Only runs of this tenant.
        limit: The maximum number of runs.
        after: Only runs that are older than the one with this number.
    """
    conditions, values = [f"task_name = '{TASK}'"], dict[str, Any](limit=limit)
    if status is not None:
        names = ", ".join(f"'{one}'" for one in _THEIRS[status])
        conditions.append(f"status IN ({names})")
        if status is RunStatus.DUE:
            conditions.append(f"priority > {LATER}")
        elif status is RunStatus.AGAIN:
            conditions.append(f"priority = {LATER}")
    for name, value in (("workflow", workflow), ("tenant", tenant)):
        if value is not None:
            conditions.append(f"args->>'{name}' = :{name}")
            values[name] = value
    if after is not None:
        conditions.append("id < :after")
        values["after"] = after
    statement = f"SELECT id, args, status, priority FROM procrastinate_jobs WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT :limit"
    return [_run(row) for row in connection.execute(sa.text(statement), values)]


def counts(connection: Connection) -> dict[RunStatus, int]:
    """The number of runs that are due, wait for a retry, are running, or need a person. Finished runs are not counted: there are too many."""
    rows = connection.execute(
        sa.text(
            f"SELECT status::text, priority = {LATER}, count(*) FROM procrastinate_jobs WHERE task_name = '{TASK}' "
            "AND status IN ('todo', 'doing', 'failed') GROUP BY 1, 2"
        )
    )
    found = dict.fromkeys((RunStatus.DUE, RunStatus.AGAIN, RunStatus.RUNNING, RunStatus.PERSON), 0)
    for status, later, number in rows:
        found[_status(status, later=bool(later))] += int(number)
    return found


def load(connection: Connection, number: int) -> QueuedRun:
    """Read one run.

    Raises:
        InputError: There is no run with this number.
    """
    statement = sa.text(
        f"SELECT id, args, status, priority FROM procrastinate_jobs WHERE task_name = '{TASK}' AND id = :id"
    )
    row = connection.execute(statement, {"id": number}).first()
    if row is None:
        raise InputError(
            f"There is no run {number} in the queue. Nothing was done; `interlock runs list` shows those that there are.",
            code="unknown_run",
        )
    return _run(row)


def retry(connection: Connection, number: int, *, per_tenant: int) -> QueuedRun:
    """Make a run due immediately.

    Raises:
        InputError: There is no run with this number.
        ConflictError: It has neither failed, nor waits for a retry, nor was cancelled.
    """
    found = load(connection, number)
    statement = sa.text(
        f"UPDATE procrastinate_jobs SET status = 'todo', scheduled_at = NULL, lock = :lock, worker_id = NULL, abort_requested = false, "
        f"priority = {TURN.format(tenant='CAST(:tenant AS text)')}, args = args - 'note' "
        f"WHERE id = :id AND (status IN ('failed', 'cancelled', 'aborted') OR (status = 'todo' AND priority = {LATER}))"
    )
    job = found.job
    values = {"id": number, "tenant": job.tenant, "lock": lock_of(job.tenant, job.thread_id, per_tenant)}
    if connection.execute(statement, values).rowcount != 1:
        raise _wrong_status(found, "retried", "Only a run that failed, waits for another attempt or was cancelled is.")
    connection.execute(sa.text("SELECT pg_notify('procrastinate_any_queue_v1', :text)"), {"text": _notice(number)})
    connection.execute(
        sa.text("SELECT pg_notify('procrastinate_queue_v1#interlock', :text)"), {"text": _notice(number)}
    )
    return load(connection, number)


def cancel(connection: Connection, number: int) -> QueuedRun:
    """Cancel a run that is due or needs a person; a running one is not stopped.

    Raises:
        InputError: There is no run with this number.
        ConflictError: It is running or finished.
    """
    found = load(connection, number)
    statement = sa.text(
        "UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = :id AND status IN ('todo', 'failed')"
    )
    if connection.execute(statement, {"id": number}).rowcount != 1:
        raise _wrong_status(
            found, "cancelled", "Only a run that is due, waits for another attempt or needs a person is."
        )
    if found.job.input_id is not None:
        inputs.delete(connection, found.job.input_id)
    return load(connection, number)


def _notice(number: int) -> str:
    return json.dumps({"type": "job_inserted", "job_id": number})


def _wrong_status(found: QueuedRun, what: str, who: str) -> ConflictError:
    return ConflictError(
        f"The run {found.number} is {found.status.value}, and was not {what}. {who}",
        retryable=False,
        details={"run": found.number, "status": found.status.value},
    )


def _status(status: str, *, later: bool) -> RunStatus:
    if status == "todo":
        return RunStatus.AGAIN if later else RunStatus.DUE
    return next(ours for ours, theirs in _THEIRS.items() if status in theirs)


def _run(row: Any) -> QueuedRun:
    number, args, status, priority = row
    kept = json.loads(args) if isinstance(args, str) else args
    note = kept.get("note") or {}
    return QueuedRun(
        int(number),
        Job.from_json(kept),
        _status(str(status), later=int(priority) == LATER),
        int(note.get("attempt", 0)),
        note.get("why"),
        bool(note.get("unknown")),
    )


__all__ = ["QueuedRun", "RunStatus", "cancel", "counts", "load", "page", "retry"]
