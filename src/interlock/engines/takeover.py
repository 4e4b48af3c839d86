"""Puts the runs of a killed worker back into the queue, so that another worker resumes them."""

import sqlalchemy as sa

from ..commands.running.engine import logger
from .queue.schema import KEEP, TASK
from .queue.updating import update
from .runs import Runs

_GONE = (
    "status = 'doing' AND (worker_id IS NULL OR worker_id IN "
    "(SELECT id FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => :seconds)))"
)
_GIVE_UP = sa.text(f"UPDATE procrastinate_jobs SET status = 'aborted' WHERE task_name = '{KEEP}' AND {_GONE}")
_TAKE_OVER = sa.text(
    "UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL, abort_requested = false, attempts = attempts + 1, scheduled_at = NULL "
    f"WHERE task_name = '{TASK}' AND {_GONE}"
)


def take_over(runs: Runs, *, seconds: float) -> int:
    """Queue the runs of dead workers again.

    Args:
        runs: The runs.
        seconds: The seconds without a heartbeat after which a worker counts as dead.

    Returns:
        The number of runs.
    """
    update(runs.database, _GIVE_UP, seconds=seconds)
    taken_over = update(runs.database, _TAKE_OVER, seconds=seconds)
    if taken_over:
        logger.warning("%d runs were taken over from a dead worker", taken_over)
    return taken_over


__all__ = ["take_over"]
