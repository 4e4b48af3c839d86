"""Print where a step's time goes, by room, for the four shapes and for a proposal from outside the graph.

    make profile                                     all shapes, in SQLite
    make profile ARGS="--shapes approval --store postgresql --functions 40"

For each shape: function calls and processor time of each room in a turn of ours and of the peer (`tests/benchmarks/_desks.py`), and the SQL
statements, commits and bytes of a turn, counted below SQLAlchemy at the driver, the checkpointer's among them. cProfile makes all that
is in Python slower, so times are shares to compare; calls are exact.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks._desks import SHAPES, STORES, Side, desks
from tests.ratchet.counting import metered

from .rooms import Share, shares_of
from .threads import profiled

TURNS = 4
"""Of one conversation; then another begins."""


def work_of(shape: str, side: Side) -> Callable[[], None]:
    """Four steps: of a conversation, or from outside."""
    if shape != "door":

        def converse() -> None:
            thread = side.thread()
            for _ in range(TURNS):
                thread.turn()

        return converse
    from interlock import Principal

    clerk, instances, numbers = Principal("clerk"), side.graph.instances, itertools.count()
    instances.start(principal=clerk, workflow_id="case")

    def propose() -> None:
        for _ in range(TURNS):
            key = f"k-{next(numbers)}"
            assert instances.propose("case", "note.add", {"text": "call back"}, principal=clerk, key=key).ok

    return propose


def profile(work: Callable[[], None], rounds: int) -> tuple[dict[str, Share], float, Any]:
    """The rooms' shares of one step, the milliseconds of the process without the profiler, and the raw statistics."""
    for _ in range(3):
        work()
    gc.collect()
    began = time.process_time()
    for _ in range(rounds):
        work()
    taken = (time.process_time() - began) / rounds / TURNS * 1000
    with profiled() as profiles:
        for _ in range(rounds):
            work()
    stats = profiles.stats()
    steps = rounds * TURNS
    shares = {room: Share(share.calls / steps, share.seconds / steps) for room, share in shares_of(stats).items()}
    return shares, taken, stats


def main(arguments: Sequence[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.profiling", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=[*SHAPES, "door"], default=[*SHAPES, "door"])
    parser.add_argument("--store", choices=STORES, default="NORMAL")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--functions", type=int, default=0, help="show as many functions of ours, by their own time")
    chosen = parser.parse_args(arguments)
    for shape in chosen.shapes:
        with metered() as meter, desks("plain" if shape == "door" else shape, chosen.store) as sides:
            ours = work_of(shape, sides[0])
            ours()
            with meter.measured() as cost:
                ours()
            shares, taken, stats = profile(ours, chosen.rounds)
            peer: dict[str, Share] = {}
            theirs = 0.0
            if shape != "door":
                peer, theirs, _ = profile(work_of(shape, sides[1]), chosen.rounds)
        print(f"== {shape}, {chosen.store}: {taken:.2f} ms of CPU a step; the peer {theirs:.2f}")
        spent = [count / TURNS for count in (cost[0].statements, cost[0].commits, cost[0].bytes)]
        print("   {:.1f} SQL statements, {:.1f} commits, {:.0f} bytes written a step".format(*spent))
        print(f"{'room':<26}{'calls':>8}{'ms':>8}{'peer calls':>12}{'ms':>8}")
        total, other = Share(), Share()
        for room in sorted({*shares, *peer}, key=lambda name: -shares.get(name, Share()).seconds):
            mine, its = shares.get(room, Share()), peer.get(room, Share())
            print(
                f"{room:<26}{mine.calls:>8.0f}{mine.seconds * 1000:>8.2f}{its.calls:>12.0f}{its.seconds * 1000:>8.2f}"
            )
            total = Share(total.calls + mine.calls, total.seconds + mine.seconds)
            other = Share(other.calls + its.calls, other.seconds + its.seconds)
        print(
            f"{'all':<26}{total.calls:>8.0f}{total.seconds * 1000:>8.2f}{other.calls:>12.0f}{other.seconds * 1000:>8.2f}\n"
        )
        if chosen.functions:
            stats.sort_stats("cumulative").print_stats("interlock", chosen.functions)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
