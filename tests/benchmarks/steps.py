"""What a step costs beside the same step of LangChain's `create_agent`, interleaved turn by turn, as a table of ratios.

    python -m tests.benchmarks.steps                                   up to turn 200
    python -m tests.benchmarks.steps --turns 1000 --leap               the whole table
    make bench-steps ARGS="--shapes plain --stores NORMAL --turns 4"   a part of it

Each row is one way of working on one store. The columns are the turns of a conversation: 1 to 4, 10, 50, 200 and, where it is asked for,
1,000. Each ratio is the median of pairs, ours by theirs: below 1, Interlock took less. Both wall time and the processor time of
this process (all threads, without a database server's) are printed; on a busy machine only the second means much. Model, tool, store,
`synchronous` and durability (`sync`) are the same on both sides; `_desks` has the set-up. Rows with "writes" have a tool that
inserts a row: in the command's one transaction here, in a transaction of its own there.

With `--leap`, the turns from 211 to 980 of a long conversation, which no column shows, are taken in ten steps: each is one turn that begins with as many messages
as the turns that it stands for have. The thousandth turn has as many messages before it as otherwise, but not as many checkpoints.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ._desks import SHAPES, STORES, Side, Thread, desks

COLUMNS = {"1-4": (1, 4), "10": (9, 12), "50": (46, 55), "200": (191, 210), "1000": (981, 1010)}
"""The turns that each column is the median of."""
LEAP = (211, 980)
"""The turns that no column shows, and that `--leap` takes in ten steps."""
MESSAGES = 4
"""Of one turn: the person's, the call, what the tool answered, and what the model says to it."""
WRITING = ("plain", "approval")
"""The shapes that are measured once more with a tool that writes."""


@dataclass(frozen=True)
class Pair:
    """One turn of both sides, in seconds."""

    turn: int
    wall: tuple[float, float]
    cpu: tuple[float, float]


def timed(thread: Thread) -> tuple[float, float]:
    """Seconds of wall time and of this process that a turn takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    thread.turn()
    return time.perf_counter() - wall, time.process_time() - cpu


def pairs_of(sides: tuple[Side, Side], turns: int, *, leap: bool = False) -> Iterator[Pair]:
    """A conversation with each side, turn by turn, so that whatever else the machine does hits both alike."""
    threads = [side.thread() for side in sides]
    gc.collect()
    first, last = LEAP if leap and turns > LEAP[1] else (turns + 1, turns)
    for turn in [*range(1, first), *range(last + 1, turns + 1)]:
        if turn == last + 1:
            for thread in (thread for thread in threads for _ in range(10)):
                thread.turn(messages=(last + 1 - first) // 10 * MESSAGES - MESSAGES + 1)
        taken: dict[int, tuple[float, float]] = {}
        for index in (0, 1) if turn % 2 else (1, 0):
            taken[index] = timed(threads[index])
        yield Pair(turn, (taken[0][0], taken[1][0]), (taken[0][1], taken[1][1]))


def row(shape: str, store: str, *, writes: bool, turns: int, rounds: int, leap: bool) -> list[Pair]:
    """All pairs of one row: short conversations, and one as long as the last column."""
    with desks(shape, store, writes=writes) as sides:
        for _ in range(2):
            [*pairs_of(sides, 4)]
        pairs = [pair for _ in range(rounds) for pair in pairs_of(sides, min(turns, COLUMNS["10"][1]))]
        if turns > COLUMNS["10"][1]:
            pairs += pairs_of(sides, turns, leap=leap)
    return pairs


def cell(pairs: Sequence[Pair], first: int, last: int) -> str:
    """The medians of a column: the ratios, and our milliseconds beside theirs."""
    counted = [pair for pair in pairs if first <= pair.turn <= last]
    if not counted:
        return ""
    wall = statistics.median(pair.wall[0] / pair.wall[1] for pair in counted)
    cpu = statistics.median(pair.cpu[0] / pair.cpu[1] for pair in counted)
    ours, theirs = (statistics.median(pair.wall[side] for pair in counted) * 1000 for side in (0, 1))
    return f"{wall:.2f} ({cpu:.2f}) {ours:.1f}/{theirs:.1f}"


def main(arguments: Sequence[str] = ()) -> int:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.steps", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--turns", type=int, default=200, help="the last column: 4, 10, 50, 200 or 1000")
    parser.add_argument("--rounds", type=int, default=8, help="short conversations of each row")
    parser.add_argument("--leap", action="store_true", help="take the turns from 211 to 980 in ten steps")
    parser.add_argument("--no-writes", action="store_true", help="without the rows whose tool writes")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    columns = {name: span for name, span in COLUMNS.items() if int(name.split("-")[-1]) <= chosen.turns}
    turns = max(last for _, last in columns.values())
    print("wall ratio (ratio of the process's CPU) our/their ms; medians of pairs of turns")
    print(f"{'':<28}" + "".join(f"{'turn ' + name:<28}" for name in columns))
    for store in chosen.stores:
        for shape in chosen.shapes:
            for writes in (False, True):
                if writes and (chosen.no_writes or shape not in WRITING or store == "memory"):
                    continue
                pairs = row(shape, store, writes=writes, turns=turns, rounds=chosen.rounds, leap=chosen.leap)
                name = f"{store} {shape}{' writes' if writes else ''}"
                print(f"{name:<28}" + "".join(f"{cell(pairs, *span):<28}" for span in columns.values()), flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
