"""Detects changes for streams: one poll of each database serves all open streams.

A stream of an instance sends its audit records, whose numbers are the event ids, so that an interrupted stream can continue
(`Last-Event-ID`). A stream of a queue only reports that something changed, and its reader requests the content.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from ..checkpointing.store import WorkflowStore
from ..checkpointing.store.ledger import IS_UNSETTLED
from ..checkpointing.tables.workflow import approvals, inbox, instances, ledger, outbox
from ..tools.errors import StoreUnavailable
from ..tools.sinks import logger_of

logger = logger_of("interlock.serving")
_IN_ONE_STATEMENT = 500
_LOOKED_AT = 1000
"""The maximum count of each kind per poll; the page shows fewer."""


@dataclass
class _Polled:
    """The result of the last poll of one store."""

    counts: dict[str, int] = field(default_factory=dict)
    queues: dict[str, tuple[object, ...]] = field(default_factory=dict)


class Watch:
    """Polls the stores while there are open streams.

    Args:
        stores: The stores of the instances.
        interval: The seconds between two polls.
    """

    def __init__(self, stores: Iterable[WorkflowStore], interval: float = 0.5) -> None:
        self._looked = {id(store): (store, _Polled()) for store in stores}
        self._interval = interval
        self._instances: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._queues: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.closing = asyncio.Event()
        """Set when the service stops, which ends every stream."""

    @contextlib.asynccontextmanager
    async def instance(self, workflow_id: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set at every new audit record of an instance; the reader clears it."""
        async with self._watched(self._instances, workflow_id) as changed:
            yield changed

    @contextlib.asynccontextmanager
    async def queue(self, tenant: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set when the items that need attention in a tenant change; the reader clears it."""
        async with self._watched(self._queues, tenant) as changed:
            yield changed

    def stop(self) -> None:
        """End the streams; callable from a signal handler."""
        self.closing.set()
        for watchers in (*self._instances.values(), *self._queues.values()):
            for changed in watchers:
                changed.set()

    async def close(self) -> None:
        """End the streams, and stop polling."""
        self.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def watchers(self) -> int:
        """The number of open streams."""
        return sum(map(len, self._instances.values())) + sum(map(len, self._queues.values()))

    @contextlib.asynccontextmanager
    async def _watched(self, where: dict[str, set[asyncio.Event]], name: str) -> AsyncIterator[asyncio.Event]:
        changed = asyncio.Event()
        where[name].add(changed)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield changed
        finally:
            where[name].discard(changed)
            if not where[name]:
                del where[name]

    async def _poll(self) -> None:
        while self.watchers:
            for store, looked in self._looked.values():
                try:
                    await self._poll_store(store, looked)
                except StoreUnavailable as error:
                    logger.warning("%s The streams wait.", error.message)
                except Exception:
                    logger.exception("what changed could not be looked up; the next look tries again")
            await asyncio.sleep(self._interval)

    async def _poll_store(self, store: WorkflowStore, looked: _Polled) -> None:
        watched, tenants = [*self._instances], [*self._queues]
        counts, queues = await run_in_threadpool(_seen, store, watched, tenants)
        for workflow_id, count in counts.items():
            if looked.counts.get(workflow_id) != count:
                _tell(self._instances, workflow_id)
        for tenant, state in queues.items():
            if looked.queues.get(tenant, state) != state:
                _tell(self._queues, tenant)
        looked.counts, looked.queues = counts, queues


def _tell(where: dict[str, set[asyncio.Event]], name: str) -> None:
    for changed in where.get(name, ()):
        changed.set()


def _seen(
    store: WorkflowStore, watched: list[str], tenants: list[str]
) -> tuple[dict[str, int], dict[str, tuple[object, ...]]]:
    counts: dict[str, int] = {}
    queues: dict[str, tuple[object, ...]] = {}
    with store.read() as connection:
        for start in range(0, len(watched), _IN_ONE_STATEMENT):
            some = watched[start : start + _IN_ONE_STATEMENT]
            rows = connection.execute(
                sa.select(instances.c.workflow_id, instances.c.audit_count).where(instances.c.workflow_id.in_(some))
            )
            counts.update((row[0], int(row[1])) for row in rows)
        for tenant in tenants:
            queues[tenant] = _queue(connection, tenant)
    return counts, queues


def _queue(connection: sa.Connection, tenant: str) -> tuple[object, ...]:
    """Figures that change with the items that need attention: of the oldest of each kind, as on the page, and of the newest request."""
    asked = sa.and_(approvals.c.tenant == tenant, approvals.c.status == "requested")
    some = (
        sa.select(approvals.c.requested_at, approvals.c.revision)
        .where(asked)
        .order_by(approvals.c.requested_at, approvals.c.approval_id)
        .limit(_LOOKED_AT)
        .subquery()
    )
    figures: list[object] = [
        *connection.execute(
            sa.select(sa.func.count(), sa.func.max(some.c.requested_at), sa.func.max(some.c.revision))
        ).one()
    ]
    newest = sa.select(approvals.c.requested_at).where(asked)
    newest = newest.order_by(approvals.c.requested_at.desc(), approvals.c.approval_id.desc()).limit(1)
    figures.append(connection.execute(newest).scalar())
    for column, conditions in (
        (ledger.c.started_at, (IS_UNSETTLED, ledger.c.status == "unknown")),
        (outbox.c.position, (outbox.c.status == "dead",)),
        (inbox.c.position, (inbox.c.status == "failed",)),
    ):
        of_kind = sa.select(column.label("at")).where(*conditions, column.table.c.tenant == tenant)
        of_kind_some = of_kind.order_by(column).limit(_LOOKED_AT).subquery()
        figures += connection.execute(sa.select(sa.func.count(), sa.func.max(of_kind_some.c.at))).one()
    return tuple(figures)


__all__ = ["Watch"]
