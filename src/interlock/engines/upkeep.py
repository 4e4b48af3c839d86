"""The periodic work of workers: check deadlines, enqueue missed runs, delete old jobs."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..checkpointing.store import instances as instance_rows
from ..checkpointing.store.settled import stops
from ..checkpointing.store.settled.stops import LEFT_ALONE, Kind
from ..commands.running.engine import logger
from ..operations.compiled import CompiledWorkflow
from ..operations.instances import Instances
from .queue.updating import update
from .runs import Runs

BATCH = 1_000
"""The maximum number of each kind per check."""
KEPT_DAYS = 7
"""How long a finished run keeps its key."""

_FORGET = sa.text(
    "DELETE FROM procrastinate_jobs WHERE id IN (SELECT job.id FROM procrastinate_jobs AS job WHERE "
    "job.status IN ('succeeded', 'cancelled', 'aborted') AND job.id <= (SELECT job_id FROM procrastinate_events "
    "WHERE at < now() - make_interval(days => :days) ORDER BY id DESC LIMIT 1) ORDER BY job.id LIMIT :limit)"
)


async def keep(runs: Runs) -> dict[str, int]:
    """Check deadlines once, enqueue missed runs, and delete old jobs.

    Returns:
        The numbers of enqueued and of deleted jobs.
    """
    enqueued = 0
    for graph in runs.graphs:
        name = graph.engine.definition.name
        try:
            await Instances(graph).atick(resume=False)
            enqueued += await runs.database.arun(lambda graph=graph: _missed(graph))  # type: ignore[misc]
        except Exception:  # an error in one workflow must not block the deadlines of the others
            logger.exception("the deadlines of %s could not be checked; the next check tries again", name)
    forgotten = await runs.database.arun(lambda: update(runs.database, _FORGET, days=KEPT_DAYS, limit=BATCH))
    return {"enqueued": enqueued, "forgotten": forgotten}


def _missed(graph: CompiledWorkflow) -> int:
    """Enqueue settled stops without a job: a process without the queue settled them."""
    store, name = graph.engine.store, graph.engine.definition.name
    with store.write() as connection:
        now = store.now(connection)
        found = stops.pending(
            connection,
            workflow=name,
            now=now,
            decided_before=now - int(LEFT_ALONE * 1_000_000),
            inside=True,
            limit=BATCH,
        )
        for stop in found:
            _enqueue(connection, graph, stop)
    return len(found)


def _enqueue(connection: Connection, graph: CompiledWorkflow, stop: stops.Stop) -> None:
    instance = instance_rows.load(connection, stop.workflow_id)
    if instance is None or instance.thread_id is None:
        stops.mark(connection, stop)  # there is no graph to resume
        return
    cause = f"sweep/{stop.workflow_id}/{stop.id}" if stop.kind is Kind.ATTEMPT else f"{stop.kind.value}/{stop.id}"
    graph.engine.store.note_due(connection, stop.workflow_id, cause)


__all__ = ["keep"]
