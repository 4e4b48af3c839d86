"""Runs on DBOS, the second engine that `RunOnce` is tried on: a queue with one run per thread. `make dbos` has an environment with it."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy.engine import make_url

from interlock.checkpointing import WorkflowStore
from interlock.checkpointing.due import Due
from interlock.engines import Again, Job, RunOnce
from interlock.tools.principal import Principal
from tests.engines.given import prepare, start_of, wake_of

QUEUE = "interlock"


class DBOSRuns:
    """Runs of workflows on DBOS, which is launched by `launched`."""

    def __init__(self, dbos: Any, run_once: RunOnce) -> None:
        self._dbos = dbos
        self.attempts: list[int] = []
        self.done = 0

        @dbos.DBOS.step()  # type: ignore[untyped-decorator]  # where DBOS is not installed
        async def carry_out(data: dict[str, Any], attempt: int) -> float | None:
            self.attempts.append(attempt)
            match await run_once(Job.from_json(data), attempt=attempt):
                case Again(after, _):
                    return after
                case _:
                    self.done += 1
                    return None

        @dbos.DBOS.workflow()  # type: ignore[untyped-decorator]  # likewise
        async def one_run(data: dict[str, Any]) -> None:
            attempt = 0
            while (after := await carry_out(data, attempt)) is not None:
                attempt += 1
                await dbos.DBOS.sleep_async(after)

        self._one_run = one_run

    def enqueue(self, job: Job) -> None:
        """Enqueue a job, once for each key."""
        options = self._dbos.SetEnqueueOptions(queue_partition_key=job.thread_id)
        with self._dbos.SetWorkflowID(job.key), options:
            self._dbos.DBOS.enqueue_workflow(QUEUE, self._one_run, job.to_json())

    def enqueue_due(self, due: Due) -> None:
        """Enqueue what something made due: after the transaction of that, which DBOS does not take part in."""
        self.enqueue(wake_of(due))

    def start(self, store: WorkflowStore, workflow: str, given: Any, *, principal: Principal, key: str) -> str:
        """Keep an input, and enqueue the run that takes it; gives its thread."""
        job = start_of(store, workflow, given, principal=principal, key=key)
        self.enqueue(job)
        return job.thread_id


@contextlib.contextmanager
def launched(
    dbos: Any, url: str, run_once: RunOnce, store: WorkflowStore, *, concurrency: int = 4
) -> Iterator[tuple[DBOSRuns, Callable[[], list[Due]]]]:
    """DBOS with one worker, for as long as the block runs; and what became due since the last time that one asked."""
    prepare(store)
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    made = dbos.DBOS(config={"name": "interlock", "system_database_url": plain, "console_log_level": "ERROR"})
    del made
    runs, found = DBOSRuns(dbos, run_once), list[Due]()
    store.when_due = lambda _, due: found.append(due)

    def due() -> list[Due]:
        taken, found[:] = [*found], []
        return taken

    dbos.DBOS.launch()
    dbos.DBOS.register_queue(QUEUE, partition_concurrency=1, worker_concurrency=concurrency, polling_interval_sec=0.1)
    try:
        yield runs, due
    finally:
        dbos.DBOS.destroy(destroy_registry=True)
        store.when_due = None


def installed() -> Any | None:
    """DBOS, where it is installed."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module("dbos")
    return None
