"""The long run: SIGKILL at every fault point of every workflow on both databases, then at random ones, one process after another or
several at once, until it is enough.

python -m tests.faults [--kills 1000] [--seed 1] [--only mysql]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import pathlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.servers import temporary_mysql_database, temporary_postgres_database

from .kills import Subject
from .outside import world
from .workflows import WORKFLOWS, prepare


@contextlib.contextmanager
def _databases(folder: pathlib.Path, only: str | None) -> Iterator[list[str]]:
    with contextlib.ExitStack() as stack:
        urls = [f"sqlite:///{folder / 'workflows.db'}"] if only in {None, "sqlite"} else []
        if only in {None, "postgresql"}:
            urls.append(stack.enter_context(temporary_postgres_database()))
        if only == "mysql":
            urls.append(stack.enter_context(temporary_mysql_database()))
        for url in urls:
            prepare(url)
        yield urls


@dataclass(frozen=True)
class Plan:
    """Where the processes of one run are killed, by the ordinals of the fault points that they come to."""

    subject: Subject
    ordinals: tuple[int, ...]
    together: bool = False
    """Whether they are at it at the same time, and not one after another."""

    def carry_out(self, thread: str) -> int:
        """Do it; how many processes were killed."""
        kill = self.subject.killed_together if self.together else self.subject.killed_at
        return kill(*self.ordinals, thread=thread)

    def __str__(self) -> str:
        how = "together" if self.together else "one after another"
        return f"{self.subject.name} on {self.subject.url.partition(':')[0]}, killed {how} at {self.ordinals}"


def _every_point(subjects: list[Subject]) -> Iterator[Plan]:
    for number in range(1, max(len(subject.points) for subject in subjects) + 1):
        for subject in subjects:
            if number <= len(subject.points):
                yield Plan(subject, (number,))


def _at_random(subjects: list[Subject], seed: int) -> Iterator[Plan]:
    choose = random.Random(seed)
    while True:
        subject = choose.choice(subjects)
        ordinals = tuple(choose.randint(1, len(subject.points)) for _ in range(choose.randint(2, 5)))
        yield Plan(subject, ordinals, together=choose.random() < 0.4)


def main(arguments: list[str] | None = None) -> int:
    """Run it.

    Returns:
        0 when every workflow ended as it does undisturbed.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many processes to kill (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="for the random part")
    parser.add_argument("--only", choices=["sqlite", "postgresql", "mysql"], help="on one database only")
    given = parser.parse_args(arguments)
    began, kills, runs, wrong = time.monotonic(), 0, 0, []
    with tempfile.TemporaryDirectory() as name, world(pathlib.Path(name)) as outside:
        folder = pathlib.Path(name)
        with _databases(folder, given.only) as urls:
            subjects = [Subject.undisturbed(workflow, url, outside) for url in urls for workflow in WORKFLOWS]
            plans = [_every_point(subjects), _at_random(subjects, given.seed)]
            for plan in itertools.chain(*plans):
                if kills >= given.kills:
                    break
                runs += 1
                try:
                    kills += plan.carry_out(f"run-{runs}")
                except Exception as error:
                    wrong.append(f"{plan}: {error}")
                if runs % 25 == 0:
                    print(f"{kills} kills in {runs} runs, {len(wrong)} ended otherwise", flush=True)
    for line in wrong:
        print(line)
    took = time.monotonic() - began
    print(
        f"{kills} processes killed in {runs} runs of {len(WORKFLOWS)} workflows on {len(urls)} databases, {took:.0f} s."
    )
    print(f"{runs - len(wrong)} ended as they do undisturbed, {len(wrong)} otherwise.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
