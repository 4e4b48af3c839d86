"""A worker that dies of SIGKILL at a moment: `python -m tests.engines.dying URL commit 3` after its third commit, `... URL answer 1` once it
has carried out its first job and before the queue is told.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys

from interlock.checkpointing import fault_points
from interlock.engines import Job, Outcome, RunOnce, Runs
from tests.engines.support import shop_flow, working


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, moment: str, which: str) -> None:
    reached = itertools.count(1)

    def hook(point: str) -> None:
        if point == fault_points.FaultPoint.AFTER_COMMIT and next(reached) == int(which):
            die()

    class Dying(RunOnce):
        async def __call__(self, job: Job, *, attempt: int = 0) -> Outcome:
            if moment == "commit":
                fault_points.hang(hook)
                return await super().__call__(job, attempt=attempt)
            outcome = await super().__call__(job, attempt=attempt)
            if next(reached) == int(which):
                die()
            return outcome

    async def work() -> None:
        runs = Runs([shop_flow()], url)
        runs.run_once = Dying(runs.graphs, forgets=False)
        async with working(runs, concurrency=1):
            await asyncio.sleep(120)

    asyncio.run(work())


if __name__ == "__main__":
    main(*sys.argv[1:])
