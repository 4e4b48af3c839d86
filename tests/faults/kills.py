"""Killing a workflow at one fault point after another, and seeing that it ends as if nothing had been."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from interlock.testing import Child

from .outside import World
from .runs import Left, check_effects, count_points, go, insist, left_behind, recover

PRELOAD = ("tests.faults.runs", "langgraph.checkpoint.memory", "psycopg", "aiosqlite", "pytest")


def one_of_each(points: Sequence[str], seed: int) -> Iterator[int]:
    """For each named point one of the times that it is reached, as the ordinal among all points."""
    choose = random.Random(seed)
    for point in sorted(set(points)):
        yield choose.choice([number for number, name in enumerate(points, 1) if name == point])


@dataclass(frozen=True)
class Subject:
    """One workflow on one database, and what it leaves behind when nothing happens to it."""

    name: str
    url: str
    world: World
    points: Sequence[str]
    left: Left
    tools: frozenset[str]
    """What it calls outside."""

    @classmethod
    def undisturbed(cls, name: str, url: str, world: World) -> Subject:
        """Run it once without any fault."""
        thread = f"{url[:6]}-{name}-undisturbed"
        with Child(count_points, name, url, world.address, thread, preload=PRELOAD) as child:
            points = child.result()
        with Child(left_behind, name, url, world.address, thread) as child:
            left = child.result()
        assert not left.broken
        return cls(name, url, world, points, left, frozenset(tool for tool, _ in world.calls(thread)))

    def killed_at(self, *ordinals: int, thread: str) -> int:
        """Kill it at these points, each time in a new process, then let it come to its end, and check what is left.

        Returns:
            How many processes were killed; a later one may have nothing left to do.
        """
        kills = 0
        for ordinal in ordinals:
            with Child(go, self.name, self.url, self.world.address, thread, kill_at=(None, ordinal)) as child:
                code = child.ended()
            assert code in {0, -signal.SIGKILL}, f"{thread}: the process ended with {code}"
            kills += code == -signal.SIGKILL
        self._ends_as_undisturbed(thread)
        return kills

    def killed_together(self, *ordinals: int, thread: str) -> int:
        """As `killed_at`, with all of these processes at it at the same time.

        Returns:
            How many processes were killed, that which began the turn included.
        """
        # Each input is a turn of its own. They are to go on with one turn: somebody began it, and died in its second node.
        with Child(go, self.name, self.url, self.world.address, thread, kill_at=("node.before", 2)) as first:
            assert first.ended() == -signal.SIGKILL
        children = [
            Child(insist, self.name, self.url, self.world.address, thread, kill_at=(None, ordinal))
            for ordinal in ordinals
        ]
        try:
            codes = [child.ended() for child in children]
        finally:
            for child in children:
                child.kill()
        assert set(codes) <= {0, -signal.SIGKILL}, f"{thread}: the processes ended with {codes}"
        self._ends_as_undisturbed(thread)
        return 1 + codes.count(-signal.SIGKILL)

    def _ends_as_undisturbed(self, thread: str) -> None:
        with Child(recover, self.name, self.url, self.world, thread) as child:
            left = child.result()
        expected = Left(**{**self.left.__dict__, "data": {**self.left.data, "thread": thread}})
        assert left == expected, f"{thread} ended otherwise:\n{left}\n{expected}"
        check_effects(self.world, thread, self.tools)
