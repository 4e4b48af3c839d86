"""Proves claims by an exhaustive search over the situations of a workflow, breadth first, so that counterexamples are shortest.

The search visits each pair of a situation and a monitor state once. If it visits all pairs, the claim is proved for paths of
any length. Otherwise it finds a path that breaks the claim, or it reaches the bound and reports that.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ...tools.errors import ClaimError
from ..definition import Definition
from ..policies import Mode
from .language import BROKEN, Claim, Possible, Safety
from .paths import Move, Paths, Situation, Step

BOUND = 1_000_000
"""The maximum number of pairs of a situation and a monitor state that a search visits."""


class Verdict(StrEnum):
    """The result of proving a claim."""

    PROVED = "proved"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    """The bound was reached. It counts as not proved."""


@dataclass(frozen=True)
class Counterexample:
    """A shortest path that breaks a claim."""

    steps: tuple[Step, ...]
    situations: tuple[Situation, ...] = field(compare=False)
    """The situation before the first step and after each step: one more than there are steps."""
    inherited_from: str | None = None
    """The state in which this version took over an instance of an earlier version, if the path starts there."""
    stuck: bool = False
    """Whether the claim is broken because no continuation of the path can satisfy it any more."""


@dataclass(frozen=True)
class Proof:
    """The proof of one claim, or the reason why there is none."""

    claim: Claim
    verdict: Verdict
    situations: int
    """The number of visited pairs of a situation and a monitor state."""
    bound: int
    counterexample: Counterexample | None = None

    @property
    def holds(self) -> bool:
        """Whether the claim was proved."""
        return self.verdict is Verdict.PROVED


@dataclass(frozen=True)
class _Node:
    situation: Situation
    known: Hashable


class _Search:
    """The visited part of the product of paths and monitor; each node has the step that first reached it."""

    def __init__(self, paths: Paths, bound: int) -> None:
        self.paths = paths
        self.bound = bound
        self.parents: dict[_Node, tuple[_Node, Step] | None] = {}
        self.inherited: set[_Node] = set()
        self.queue: deque[_Node] = deque()

    def add(self, node: _Node, parent: tuple[_Node, Step] | None) -> None:
        if node not in self.parents:
            self.parents[node] = parent
            self.queue.append(node)

    @property
    def is_full(self) -> bool:
        return len(self.parents) > self.bound

    def path_to(self, node: _Node, *last: Move, stuck: bool = False) -> Counterexample:
        steps = [move.step for move in last]
        situations = [node.situation, *(move.to for move in last)]
        at = node
        while (before := self.parents[at]) is not None:
            at, step = before
            steps.insert(0, step)
            situations.insert(0, at.situation)
        begins_in = at.situation.state if at in self.inherited else None
        return Counterexample(tuple(steps), tuple(situations), begins_in, stuck)


def check(
    definition: Definition, claims: Iterable[Claim], *, bound: int = BOUND, mode: Mode | None = None
) -> list[Proof]:
    """Prove claims over the edges of a workflow.

    Args:
        definition: The workflow.
        claims: The claims.
        bound: The maximum number of situations that a search visits; if it needs more, the claim is undecided.
        mode: The mode of the workflow; its own mode by default.

    Returns:
        One proof per claim: whether it holds, and if not, a shortest path that breaks it.

    Raises:
        ClaimError: A claim names a tool or state that the workflow does not have, or is incomplete.
    """
    shared: dict[tuple[int, ...], Paths] = {}
    found = []
    for claim in claims:
        if not isinstance(claim, Claim):
            raise ClaimError(f"{claim!r} is not a claim; pass never(...), before(...), at_most(...) and so on.")
        claim.check_names(definition)
        key = tuple(sorted(map(id, claim.assumptions)))
        paths = shared.setdefault(key, Paths(definition, claim.assumptions, mode=mode))
        prove = _prove_possible if isinstance(claim, Possible) else _prove_safety
        found.append(prove(claim, _Search(paths, bound)))  # type: ignore[arg-type]
    return found


def _prove_safety(claim: Safety, search: _Search) -> Proof:
    for situation, known in _beginnings(search, claim.start(), claim.unknown_past()):
        search.add(_Node(situation, known), None)
    while search.queue:
        node = search.queue.popleft()
        for move in search.paths.moves(node.situation):
            known = claim.advance(node.known, move.step)
            if known is BROKEN:
                broken = search.path_to(node, move)
                return Proof(claim, Verdict.BROKEN, len(search.parents), search.bound, broken)
            search.add(_Node(move.to, known), (node, move.step))
        if search.is_full:
            return Proof(claim, Verdict.UNDECIDED, len(search.parents), search.bound)
    return Proof(claim, Verdict.PROVED, len(search.parents), search.bound)


def _prove_possible(claim: Possible, search: _Search) -> Proof:
    """Visit all nodes, then search backwards from those that satisfy the claim; the other nodes cannot reach them."""
    awaited = claim.after is None
    for situation, known in _beginnings(search, awaited, True):
        search.add(_Node(situation, known), None)
    back: dict[_Node, list[_Node]] = {}
    met: list[_Node] = []
    while search.queue:
        node = search.queue.popleft()
        meets = claim.what.is_end and search.paths.definition.states[node.situation.state].is_final
        for move in search.paths.moves(node.situation):
            meets = meets or claim.what.matches(move.step)
            known = claim.awaits(bool(node.known), move.step)
            to = _Node(move.to, known)
            search.add(to, (node, move.step))
            back.setdefault(to, []).append(node)
        if meets:
            met.append(node)
        if search.is_full:
            return Proof(claim, Verdict.UNDECIDED, len(search.parents), search.bound)
    able = set(met)
    waiting = [*met]
    while waiting:
        for node in back.get(waiting.pop(), ()):
            if node not in able:
                able.add(node)
                waiting.append(node)
    for (
        node
    ) in search.parents:  # sorted by distance from the start, so that the first stranded one gives a shortest path
        if node.known and node not in able:
            stuck = search.path_to(node, stuck=True)
            return Proof(claim, Verdict.BROKEN, len(search.parents), search.bound, stuck)
    return Proof(claim, Verdict.PROVED, len(search.parents), search.bound)


def _beginnings(search: _Search, start: Hashable, unknown: Hashable) -> Iterator[tuple[Situation, Hashable]]:
    for situation in search.paths.starts():
        yield situation, start
    for situation in search.paths.inherited():
        node = _Node(situation, unknown)
        if node not in search.parents:
            search.inherited.add(node)
        yield situation, unknown


__all__ = ["BOUND", "Counterexample", "Proof", "Verdict", "check"]
