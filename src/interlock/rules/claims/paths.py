"""The paths that a proof searches: every situation of a workflow, and every step that may follow it.

A situation is a state with the values of the fields that conditions read and the counts of limits per run. A step moves an
instance: a call that passed the gate, the end of a wait, the resolution of an attempt with an unknown outcome, or a fork. The
application's own code (guards, checks, approval conditions, policies) may answer yes or no at any time; only a `Condition` is
evaluated exactly. So a step that is missing here cannot pass the gate, and a rule may still deny a step that is here.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from ...tools.approvals import Approval, Escalate
from ...tools.kinds import Effect, ToolKind
from ..assumptions import Assumption, Assumptions
from ..cancelling import CANCELLED, CANCELLING
from ..conditions import Add, All, Condition, Either, HasRole, Named, Not, OneOf, values_of
from ..definition import Definition, Edge
from ..limits import LimitPerRun, RequireRole
from ..policies import Mode

ANY = "*"


class StepKind(StrEnum):
    """The kinds of steps that move an instance."""

    CALL = "call"
    """A call that passed the gate, proposed by a model, a program or a person, or made when an approval expired."""
    RESOLVED = "resolved"
    """A person resolves a call of unknown outcome as executed."""
    EVENT = "event"
    """Events ended a wait."""
    FAILURE = "failure"
    """An event that reports a failure ended a wait."""
    DEADLINE = "deadline"
    """A deadline ended a wait."""
    CANCEL = "cancel"
    """A person or a deadline cancels the instance, or the last undo is done."""
    FORK = "fork"
    """A new instance continues from a checkpoint of this one, with its own ledger."""


@dataclass(frozen=True)
class Situation:
    """The position of an instance, as far as a proof distinguishes positions."""

    state: str
    values: tuple[Any, ...] = ()
    """The values of the tracked fields, in the order of `Paths.fields`."""
    counts: tuple[int, ...] = ()
    """The count of each limit per run, in the order of `Paths.limits`."""
    done: frozenset[str] = frozenset()
    """The executed tools that an `after=` of some edge names."""


@dataclass(frozen=True)
class Step:
    """One way in which an instance moves from one situation to the next."""

    kind: StepKind
    source: str
    target: str
    edge: Edge | None = None
    granted: tuple[Approval, ...] = ()
    """The stages of approval that were granted before the call ran."""
    proposer_roles: frozenset[str] = frozenset()
    """The roles that the proposer certainly has."""
    because: str = ""
    """What the step depends on: a guard that returns True, a condition that requires nobody, an event."""
    is_last: bool = False
    """Whether the workflow is finished after it."""

    @property
    def is_call(self) -> bool:
        """Whether a tool was executed."""
        return self.edge is not None

    @property
    def tool(self) -> str | None:
        """The canonical name of the executed tool."""
        return None if self.edge is None else self.edge.tool.name

    @property
    def tool_kind(self) -> ToolKind | None:
        """The kind of the executed tool."""
        return None if self.edge is None else self.edge.tool.kind

    @property
    def is_destructive(self) -> bool:
        """Whether the executed tool is annotated as destructive."""
        return self.edge is not None and self.edge.tool.is_marked_destructive


@dataclass(frozen=True)
class Move:
    """A step and the situation that it leads to."""

    step: Step
    to: Situation


class Paths:
    """All paths of one definition.

    Args:
        definition: The workflow.
        assumptions: Additional facts that hold; each is enforced when the workflow runs.
        mode: The mode of the workflow; its own mode by default.
    """

    def __init__(
        self, definition: Definition, assumptions: tuple[Assumption, ...] = (), *, mode: Mode | None = None
    ) -> None:
        self.definition = definition
        self.assumed = Assumptions(assumptions)
        self.mode = definition.mode if mode is None else mode
        self._moves: dict[Situation, tuple[Move, ...]] = {}

    # The fields, limits and tools that situations include

    @cached_property
    def fields(self) -> Mapping[str, tuple[Any, ...]]:
        """The fields that conditions and `sets` use, each with all its values."""
        names: set[str] = set()
        bounds: dict[str, int] = {}
        for edge in self.definition.edges:
            names |= set(edge.sets)
            if isinstance(edge.guard, Condition):
                names |= edge.guard.fields
                for name, bound in edge.guard.thresholds.items():
                    bounds[name] = max(bound, bounds.get(name, 0))
        model = self.definition.data_model
        return {name: values_of(model, name, bound=bounds.get(name)) for name in sorted(names)}

    @cached_property
    def limits(self) -> tuple[LimitPerRun, ...]:
        """The limits per run that deny; they are counted exactly. A limit that requires an approval instead can always be passed."""
        return tuple(
            policy
            for policy in self.definition.policies
            if type(policy) is LimitPerRun and policy.otherwise is None  # a subclass may count differently
        )

    @cached_property
    def first_ones(self) -> frozenset[str]:
        """The tools that some edge comes after; the search tracks whether they were executed."""
        return frozenset().union(*(edge.after.names for edge in self.definition.edges if edge.after is not None))

    # The starts of paths

    def starts(self) -> Iterator[Situation]:
        """The situations in which a new instance of this version starts."""
        yield from self._situations_in(self.definition.initial, self.assumed.starting_values, fresh=True)

    def inherited(self) -> Iterator[Situation]:
        """The possible situations of an instance of an earlier version when this version takes it over."""
        is_first = self.definition.version == 1 and not self.definition.state_mapping
        if not is_first and not self.assumed.earlier_versions_agree:
            for target in sorted({*self.definition.state_mapping.values(), *self.definition.states}):
                yield from self._situations_in(target, {}, fresh=False)

    def _situations_in(self, state: str, known: Mapping[str, Any], *, fresh: bool) -> Iterator[Situation]:
        choices = [(known[name],) if name in known else values for name, values in self.fields.items()]
        counted = [(0,) if fresh else tuple(range(limit.times + 1)) for limit in self.limits]
        for values in itertools.product(*choices):
            for counts in itertools.product(*counted):
                for done in (frozenset[str](),) if fresh else subsets(self.first_ones):
                    yield Situation(state, values, counts, done)

    # The steps that may follow

    def moves(self, situation: Situation) -> tuple[Move, ...]:
        """Every step that may follow a situation, with the situation that it leads to."""
        found = self._moves.get(situation)
        if found is None:
            found = self._moves[situation] = tuple(self._all_moves(situation))
        return found

    def _all_moves(self, situation: Situation) -> Iterator[Move]:
        if self.definition.states[situation.state].is_final:
            return
        yield from self._calls(situation)
        yield from self._wait_ends(situation)
        yield from self._cancels(situation)
        if (any(situation.counts) or situation.done) and not self.assumed.never_forked:
            step = Step(StepKind.FORK, situation.state, situation.state, because="somebody forks the instance")
            yield Move(step, replace(situation, counts=(0,) * len(self.limits), done=frozenset()))

    def _calls(self, situation: Situation) -> Iterator[Move]:
        here = self.definition.by_source[situation.state]
        for edge in here:
            if not self._is_offered(edge, situation):
                continue
            for step in self._ways(edge, situation):
                yield from self._landing(step, situation)
                if edge.tool.effect in {Effect.IDEMPOTENT, Effect.AT_MOST_ONCE}:
                    # The attempt may be interrupted. A person then resolves it on the first edge of the tool in the current state.
                    for other in here:
                        if other.tool.name == edge.tool.name:
                            settled = replace(
                                step, kind=StepKind.RESOLVED, target=other.target, edge=replace(edge, sets=other.sets)
                            )
                            yield from self._landing(self._ended(settled), situation)

    def _is_offered(self, edge: Edge, situation: Situation) -> bool:
        """Whether this edge may be the one that a call of its tool takes."""
        if self.mode is not Mode.LIVE and edge.tool.kind is not ToolKind.READ:
            return False  # read-only mode does not offer it, and a dry run does not execute it
        for limit, count in zip(self.limits, situation.counts, strict=True):
            if edge.tool.name in limit.tools and count >= limit.times:
                return False
        if self._answers(edge, situation) == (False,) or self._is_early(edge, situation):
            return False
        return not any(
            self._answers(rival, situation) == (True,) and not self._is_early(rival, situation)
            for rival in self.definition.by_source.get(edge.source, ())
            if rival.tool.name == edge.tool.name and rival.order < edge.order
        )

    def _is_early(self, edge: Edge, situation: Situation) -> bool:
        return edge.after is not None and not edge.after.names & situation.done

    def _answers(self, edge: Edge, situation: Situation) -> tuple[bool, ...]:
        """The possible results of an edge's guard in a situation."""
        if edge.guard is None or self.assumed.holds(edge.guard):
            return (True,)
        if isinstance(edge.guard, Condition):
            data = dict(zip(self.fields, situation.values, strict=True))
            known = {name: data[name] for name in edge.guard.fields}
            roles = roles_in(edge.guard)
            said = {edge.guard.holds(known, chosen) for chosen in subsets(roles)}
            return tuple(sorted(said, reverse=True))
        return (True, False)

    def _ways(self, edge: Edge, situation: Situation) -> Iterator[Step]:
        """The ways in which a call of an edge can pass the gate: the roles of the proposer, and the decisions."""
        roles = self.required_roles(edge)
        guard = edge.guard
        because = "" if guard is None or self.assumed.holds(guard) else f"{_name(guard)} says yes"
        step = self._ended(
            Step(StepKind.CALL, situation.state, edge.target, edge, proposer_roles=roles, because=because)
        )
        if edge.approval is None:
            yield step
            return
        if edge.approval.when is not None and not self.assumed.is_asked(edge.approval.when):
            unasked = f"{_name(edge.approval.when)} says that nobody needs to be asked"
            yield replace(step, because="; ".join(filter(None, [because, unasked])))
        for granted in itertools.product(*(who_may_decide(stage) for stage in edge.approval.stages)):
            yield replace(step, granted=granted)

    def required_roles(self, edge: Edge) -> frozenset[str]:
        """The roles that every proposer has whose call passes the gate on this edge."""
        roles = {
            policy.role
            for policy in self.definition.policies
            if type(policy) is RequireRole and edge.tool.name in policy.tools
        }
        if isinstance(edge.guard, Condition):
            roles |= edge.guard.needed_roles
        return frozenset(roles)

    def _wait_ends(self, situation: Situation) -> Iterator[Move]:
        wait = self.definition.states[situation.state].wait
        if wait is None:
            return
        ends = (
            (StepKind.EVENT, wait.then, "its events arrive"),
            (StepKind.FAILURE, wait.on_failure, "an event says that it failed"),
            (StepKind.DEADLINE, wait.on_timeout, "the deadline passes"),
        )
        for kind, target, because in ends:
            if target is None:
                continue
            step = self._ended(Step(kind, situation.state, target, because=because))
            if wait.apply is None or kind is StepKind.DEADLINE:
                yield Move(step, replace(situation, state=target))
                continue
            for values in itertools.product(*self.fields.values()):
                yield Move(step, replace(situation, state=target, values=values))

    def _cancels(self, situation: Situation) -> Iterator[Move]:
        """The steps of a cancel: it starts in any state, calls any of the undo tools, and ends."""
        cancelling = self.definition.cancelling
        if cancelling is None:
            return
        if situation.state == CANCELLING:
            over = Step(StepKind.CANCEL, CANCELLING, CANCELLED, because="what can be undone is undone")
            yield Move(self._ended(over), replace(situation, state=CANCELLED))
            for edge in cancelling.undos.values():
                if self._is_offered(edge, situation):
                    roles = self.required_roles(edge)
                    undo = Step(
                        StepKind.CALL, CANCELLING, CANCELLING, edge, proposer_roles=roles, because="it undoes something"
                    )
                    yield from self._landing(undo, situation)
            return
        rule = cancelling.rule
        if rule.after is not None or rule.states is None or situation.state in rule.states:
            step = Step(StepKind.CANCEL, situation.state, CANCELLING, because="it is cancelled")
            yield Move(step, replace(situation, state=CANCELLING))

    def _ended(self, step: Step) -> Step:
        return replace(step, is_last=self.definition.states[step.target].is_final)

    def _landing(self, step: Step, situation: Situation) -> Iterator[Move]:
        assert step.edge is not None  # noqa: S101 -- only calls land here
        choices = [
            _after(step.edge.sets[name], value, known) if name in step.edge.sets else (value,)
            for value, (name, known) in zip(situation.values, self.fields.items(), strict=True)
        ]
        counts = tuple(
            min(count + (step.tool in limit.tools), limit.times)
            for limit, count in zip(self.limits, situation.counts, strict=True)
        )
        done = situation.done | (self.first_ones & {str(step.tool)})
        for values in itertools.product(*choices):
            yield Move(step, Situation(step.target, values, counts, done))


def _after(change: Any, value: Any, known: tuple[Any, ...]) -> tuple[Any, ...]:
    """The possible values of a field after a change."""
    match change:
        case Add(amount):
            return (known[min(known.index(value) + amount, len(known) - 1)],)
        case OneOf(values):
            return values
        case _:
            return (change,)


def who_may_decide(stage: Approval) -> tuple[Approval, ...]:
    """The stage as requested, and after each escalation."""
    found = [stage]
    expiry = stage.on_expiry
    while isinstance(expiry, Escalate):
        found.append(replace(found[-1], role=expiry.role, by=expiry.by))
        expiry = expiry.then
    return tuple(dict.fromkeys(replace(one, on_expiry="reject", then=None, when=None) for one in found))


def roles_in(condition: Condition) -> frozenset[str]:
    """The roles that a condition names."""
    match condition:
        case HasRole(role):
            return frozenset({role})
        case All(parts) | Either(parts):
            return frozenset().union(*map(roles_in, parts))
        case Not(part) | Named(part=part):
            return roles_in(part)
        case _:
            return frozenset()


def subsets(roles: frozenset[str]) -> Iterator[frozenset[str]]:
    """All subsets of some roles, the smallest first."""
    ordered = sorted(roles)
    for size in range(len(ordered) + 1):
        yield from map(frozenset, itertools.combinations(ordered, size))


def _name(function: Any) -> str:
    if isinstance(function, Condition):
        return f"the condition ({function})"
    return f"the function {getattr(function, '__qualname__', repr(function))}"


__all__ = ["Move", "Paths", "Situation", "Step", "StepKind", "roles_in", "subsets", "who_may_decide"]
