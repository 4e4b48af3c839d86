"""Runs beyond one process: on a durable queue that exists, with one run per thread and a bound per tenant.

`Runs` enqueues them, `work` (and `interlock work`) carries them out on PostgreSQL by way of Procrastinate. `RunOnce` is the seam for
every other engine: a job is one call. Open `runs.py` first, then `once.py`.
"""

from .finding import queue_of
from .jobs import Job, JobKind
from .once import RunOnce
from .outcomes import Again, Done, Outcome, Person
from .runs import Runs

__all__ = ["Again", "Done", "Job", "JobKind", "Outcome", "Person", "RunOnce", "Runs", "queue_of"]
