"""A worker: executes runs until it is stopped, and shares the checks of deadlines with all other workers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import procrastinate
from procrastinate import exceptions
from procrastinate.worker import Worker as QueueWorker

from ..commands.running.engine import logger
from ..tools.errors import InputError, StoreUnavailable
from .health import Health
from .queue import app as queue_app
from .queue import listing
from .queue.schema import KEEP, KEEPING, QUEUE
from .queue.slots import Slots
from .runs import Runs, RunStatus
from .takeover import take_over
from .upkeep import keep

POLL = 1.0
"""The seconds between two checks for runs whose pause is over; new runs are announced by a notification."""


class Worker:
    """Executes runs: `await Worker(runs).run(stop)`.

    Args:
        runs: The runs.
        concurrency: The maximum number of concurrent runs in this process.
        deadlines: The seconds between two checks of deadlines, from 1 to 59; one worker of all makes each check.
        takeover: The seconds without a heartbeat after which a worker counts as dead, and its runs are taken over.
        drain: The seconds that running runs have to end after the worker is stopped; after that they are queued again.
        connections: The maximum number of the queue's connections in this process, in addition to those of the workflows' stores.

    Raises:
        InputError: An argument is out of bounds.
    """

    def __init__(
        self,
        runs: Runs,
        *,
        concurrency: int = 8,
        deadlines: int = 5,
        takeover: float = 15.0,
        drain: float = 30.0,
        connections: int = 4,
    ) -> None:
        if concurrency < 1 or not 1 <= deadlines <= 59 or takeover < 3 or drain < 0 or connections < 2:
            raise InputError(
                "A worker needs a concurrency of at least 1, deadlines from 1 to 59 s, a takeover of at least 3 s, and 2 connections. Nothing was started."
            )
        self._runs = runs
        self._concurrency, self._deadlines, self._takeover = concurrency, deadlines, takeover
        self._drain, self._connections = drain, connections
        self.counted = queue_app.Counted()
        self.is_ready = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let running runs end. If the database is unreachable, wait for it."""
        failures = 0
        while not stop.is_set():
            try:
                await self._runs.database.arun(self._runs.setup)
                await self._work(stop)
                failures = 0
            except (StoreUnavailable, exceptions.ConnectorException, OSError) as error:
                failures += 1
                logger.warning("the queue cannot be reached, and is tried again: %s", error)
            self.is_ready = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(10.0, 0.2 * 2.0 ** min(failures, 6)))

    async def _work(self, stop: asyncio.Event) -> None:
        slots = Slots(self._concurrency)
        app = queue_app.build(
            self._runs.database.engine.url,
            self._runs.run_once,
            per_tenant=self._runs.per_tenant,
            connections=self._connections,
            counted=self.counted,
            slots=slots,
        )
        self._keep_up(app)
        async with app.open_async():
            # The slots limit what continues; as many jobs again may be having their end recorded.
            workers = [self._worker(app, QUEUE, self._concurrency * 2), self._worker(app, KEEPING, 1)]
            tasks = [asyncio.create_task(one.run()) for one in workers]  # type: ignore[no-untyped-call]  # as Procrastinate has it
            tasks.append(asyncio.create_task(self._take_over()))
            stopped = asyncio.create_task(stop.wait())
            self.is_ready = True
            try:
                await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.is_ready = False
                slots.stop()
                for one in workers:
                    one.stop()  # type: ignore[no-untyped-call]  # likewise
                tasks[-1].cancel()
                stopped.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception) and not stop.is_set():
                raise outcome

    async def _take_over(self) -> None:
        """Take over the runs of dead workers. Every worker does this, because the one that does the upkeep may be dead."""
        while True:
            await self._runs.database.arun(lambda: take_over(self._runs, seconds=self._takeover))
            await asyncio.sleep(self._takeover / 3)

    def _worker(self, app: procrastinate.App, queue: str, concurrency: int) -> QueueWorker:
        return QueueWorker(
            app,
            queues=[queue],
            name=queue,
            concurrency=concurrency,
            fetch_job_polling_interval=POLL,
            shutdown_graceful_timeout=self._drain,
            install_signal_handlers=False,
            update_heartbeat_interval=min(2.0, self._takeover / 4),
            stalled_worker_timeout=max(self._takeover * 4, 60.0),
        )

    def _keep_up(self, app: procrastinate.App) -> None:
        runs = self._runs

        # One check at a time, by whichever worker takes it; upkeep has its own queue, so that it does not delay runs.
        @app.periodic(cron=f"* * * * * */{self._deadlines}")
        @app.task(name=KEEP, queue=KEEPING, lock="interlock-keeping", queueing_lock="interlock-keeping")
        async def kept(timestamp: int) -> None:
            del timestamp
            await keep(runs)

    async def metrics(self) -> dict[str, float]:
        """The counters of this worker, and the numbers of waiting runs, for a monitoring system."""
        counted = self.counted
        mine = {
            "interlock_worker_ready": float(self.is_ready),
            "interlock_worker_running": float(counted.running),
            "interlock_worker_runs_done_total": float(counted.done),
            "interlock_worker_runs_again_total": float(counted.again),
            "interlock_worker_runs_person_total": float(counted.person),
            "interlock_worker_run_seconds_total": counted.seconds,
        }
        if self.is_ready:
            queued = await self._runs.database.arun(self._queued)
            mine |= {f"interlock_queue_{status.value}": float(number) for status, number in queued.items()}
        return mine

    def _queued(self) -> dict[RunStatus, int]:
        with self._runs.database.read() as connection:
            return listing.counts(connection)


@contextlib.asynccontextmanager
async def served_health(worker: Worker, address: str | None) -> AsyncIterator[Any]:
    """Serve readiness and metrics of a worker while the block runs; does nothing without an address."""
    if address is None:
        yield None
        return
    async with Health(lambda: worker.is_ready, worker.metrics, address) as health:
        yield health


__all__ = ["Worker", "served_health"]
