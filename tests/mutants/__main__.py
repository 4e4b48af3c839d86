"""`make mutants`: mutate, run, and say what survived.

make mutants                                   # a sample of each file, resumed where the last run stopped
make mutants ARGS="rules/gate.py --sample 0"   # all mutants of one file
make mutants ARGS="--again survived"           # once more, after tests were written
make mutants ARGS="--only 1a2b3c4d"            # one mutant, with its change
make mutants ARGS="--by-hand"                  # those that a person wrote, each of which takes one promise away
make mutants ARGS="--report"                   # the table and the list, without a run
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from typing import Any

from tests.mutants import targets
from tests.mutants.report import Record, listed, report

FOLDER = targets.ROOT / ".mutants"


def main() -> int:
    """Parse the arguments, run, and print the table; 1 where a survivor is not listed."""
    asked = _arguments().parse_args()
    record = Record(FOLDER / ("by-hand.jsonl" if asked.by_hand else "results.jsonl"))
    names = targets.files(asked.files)
    if not names:
        print(f"no target's path contains {asked.files}; targets are:", *targets.files([]), sep="\n  ")
        return 2
    if not asked.report:
        _run(asked, names, record)
    return report(record, names, FOLDER / "survivors.txt", listed())


def _run(asked: argparse.Namespace, names: list[str], record: Record) -> None:
    import pytest

    from tests.mutants.knowledge import Knowledge
    from tests.mutants.making import Mutant, mutants
    from tests.mutants.warm import Outcome, Plan, Warm

    ranked: list[tuple[int, Mutant]] = _by_hand(asked, record) if asked.by_hand else []
    for name in [] if asked.by_hand else names:
        if asked.again and not any(row["status"] in asked.again for row in record.of(name)):
            continue
        of_file = mutants(name, (targets.PACKAGE / name).read_text())
        record.exists(name, [mutant.key for mutant in of_file])
        random.Random(f"{asked.seed} {name}").shuffle(of_file)  # a larger sample has the smaller one in it
        drawn = of_file[: asked.sample or None]
        wanted = {*asked.again} if asked.again else {None}
        for rank, mutant in enumerate(of_file if asked.only or asked.again else drawn):
            if mutant.key in asked.only or (not asked.only and record.status(mutant.key) in wanted):
                ranked.append((rank, mutant))
    # One of each file, then a second one of each: wherever it is stopped, there is a sample of all.
    chosen = [mutant for _, mutant in sorted(ranked, key=lambda entry: entry[0])]
    print(f"{len(chosen)} mutants of {len(names)} files", flush=True)

    def tell(outcome: Outcome) -> None:
        record.add(outcome)
        mutant = outcome.mutant
        mark = {"killed": "  ", "timeout": "t "}.get(outcome.status, "! ")
        print(
            f"{mark}{mutant.key} {mutant.file}:{mutant.line} {outcome.status} ({outcome.asked} tests) {outcome.killer}",
            flush=True,
        )

    plan = Plan(
        mutants=chosen,
        tell=tell,
        budget=asked.budget,
        workers=asked.workers,
        variants=asked.variants,
        kills=record.kills(),
        until=time.time() + asked.minutes * 60 if asked.minutes else float("inf"),
    )
    # Servers are not asked: a mutant runs on SQLite and in memory, within a second or two.
    for server in () if asked.servers else ("POSTGRES", "MYSQL", "NATS", "RABBITMQ", "REDIS"):
        scheme = {"POSTGRES": "postgresql+psycopg", "MYSQL": "mysql+pymysql"}.get(server, server.lower())
        os.environ[f"INTERLOCK_TEST_{server}_URL"] = f"{scheme}://nobody@127.0.0.1:9/none"
    os.environ.pop("INTERLOCK_REQUIRE_SERVERS", None)
    os.environ["HYPOTHESIS_PROFILE"] = "default"
    os.chdir(targets.ROOT)
    warm = Warm(plan, Knowledge.load(FOLDER / "knowledge.pickle"))
    named = {path for mutant in chosen for path in mutant.tests}
    usual = targets.tests() if any(not mutant.tests for mutant in chosen) else []
    arguments = [
        "-n0",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:faulthandler",
        *(asked.tests or [*usual, *sorted(named)]),
    ]
    pytest.main(arguments, plugins=[warm])


def _by_hand(asked: argparse.Namespace, record: Record) -> list[tuple[int, Any]]:
    """The mutants of `by_hand`, all of them, or what is asked for again; those that no longer apply are named."""
    from tests.mutants.by_hand import Stale, made

    found: list[tuple[int, Any]] = []
    existing: dict[str, list[str]] = {}
    for mutant in made(targets.PACKAGE):
        if isinstance(mutant, Stale):
            lost = mutant.change
            print(
                f"! no longer applies: {lost.file}: {lost.promise} (its text stands there {mutant.times} times)",
                flush=True,
            )
            continue
        existing.setdefault(mutant.file, []).append(mutant.key)
        wanted = record.status(mutant.key) in {*asked.again} if asked.again else record.status(mutant.key) is None
        if mutant.key in asked.only or (not asked.only and wanted):
            found.append((0, mutant))
    for file, keys in existing.items():
        record.exists(file, keys)
    return found


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", help="parts of paths under src/interlock; all targets when none is given")
    parser.add_argument(
        "--sample", type=int, default=25, help="so many of each file, drawn with the seed; 0 for all (25)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float, default=6.0, help="processor seconds of tests for one mutant (6)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--variants", type=int, default=8, help="parameters of one test function that are run at most (8)"
    )
    parser.add_argument("--minutes", type=float, default=0, help="begin no mutant after so many minutes")
    parser.add_argument(
        "--again", nargs="*", default=[], help='run once more what was "survived", "not covered", "timeout"'
    )
    parser.add_argument("--only", nargs="*", default=[], help="these mutants alone, whatever became of them")
    parser.add_argument("--tests", nargs="*", default=[], help="collect these instead of the usual ones")
    parser.add_argument(
        "--servers", action="store_true", help="ask the tests on servers as well, as those of the queue of runs need"
    )
    parser.add_argument("--by-hand", action="store_true", help="run those that a person wrote")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
