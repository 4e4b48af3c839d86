"""Runs on a durable queue, across processes, with one run per thread and a limit per tenant.

`Runs` enqueues them, and `work` (and `interlock work`) executes them on PostgreSQL with Procrastinate. `RunOnce` is the interface for
other engines: a job is one call. Open `runs.py` first, then `once.py`.
"""

from .finding import queue_of
from .jobs import Job, JobKind
from .once import RunOnce
from .outcomes import Again, Done, Outcome, Person
from .runs import Runs

__all__ = ["Again", "Done", "Job", "JobKind", "Outcome", "Person", "RunOnce", "Runs", "queue_of"]
