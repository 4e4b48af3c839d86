"""What proving claims costs as workflows grow: `python -m tests.benchmarks claims`."""

from __future__ import annotations

import random
import statistics
import time

from interlock.rules.claims import (
    always_possible,
    any_write,
    approval,
    at_most,
    before,
    check,
    every,
    final,
    never_after,
)
from interlock.rules.definition import Definition, Edge, State, StateKind
from interlock.tools.approvals import Approval
from tests.rules.support import look, write


def workflow_of(states: int, edges: int, seed: int = 1) -> Definition:
    """A workflow in which every state is reached and can be left; two tools of three write, and those are approved."""
    chance = random.Random(seed)
    tools = [look("t.identify"), *(write(f"t.n{number}") for number in range(40))]
    names = [f"s{number}" for number in range(states)]
    made = [Edge("s0", tools[0], "s1")]
    for number in range(1, states - 1):
        made.append(Edge(names[number], tools[1 + number % 40], names[number + 1], approval=Approval(role="boss")))
    while len(made) < edges:
        source, target = chance.randrange(1, states - 1), chance.randrange(1, states)
        tool = tools[1 + chance.randrange(40)]
        made.append(Edge(names[source], tool, names[target], approval=Approval(role="boss"), order=len(made)))
    kinds = {name: State(name, StateKind.FINAL if name == names[-1] else StateKind.RESTING) for name in names}
    return Definition("large", 1, kinds, tuple(made), "s0")


def main() -> None:
    """Print the median of five runs for each size, with six claims proved each time."""
    print("states  edges  ms for six claims  situations  ms per 1,000 edges")
    for states, edges in ((4, 12), (36, 100), (100, 500), (300, 1500), (1000, 5000)):
        definition = workflow_of(states, edges)
        claims = [
            before(any_write, "t.identify"),
            every(any_write).needs(approval(role="boss")),
            at_most("t.identify", 1),
            always_possible(final),
            never_after(final, any_write),
            at_most(final, 1),
        ]
        taken, most = [], 0
        for _ in range(5):
            began = time.perf_counter()
            proofs = check(definition, claims)
            taken.append((time.perf_counter() - began) * 1000)
            assert all(proof.holds for proof in proofs)
            most = max(proof.situations for proof in proofs)
        median = statistics.median(taken)
        print(f"{states:6} {edges:6} {median:18.1f} {most:11} {median / edges * 1000:19.1f}")


if __name__ == "__main__":
    main()
