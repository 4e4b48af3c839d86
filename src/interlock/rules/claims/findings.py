"""Finds suspicious parts of a workflow, without any claim: tools that are never offered, dead ends, waits and approvals without an end."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ...tools.approvals import Approval, DecisionKind
from ...tools.kinds import Effect, ToolKind
from ..definition import Definition, Edge, StateKind
from .checker import BOUND
from .own_fields import writable
from .paths import Move, Paths, Situation, who_may_decide


class FindingKind(StrEnum):
    """The kind of a finding."""

    NEVER_OFFERED = "never_offered"
    """No path reaches a situation in which the edge can be taken."""
    UNREACHABLE = "unreachable"
    """No path reaches the state."""
    DEAD_END = "dead_end"
    """The state is not final, and has no way out."""
    NO_END = "no_end"
    """No final state can be reached from the state, though the workflow has final states."""
    WAIT_WITHOUT_DEADLINE = "wait_without_deadline"
    """The instance stays in the wait state forever if its events do not arrive."""
    APPROVAL_WITHOUT_DEADLINE = "approval_without_deadline"
    """The request stays open forever if nobody decides."""
    NOBODY_CAN_APPROVE = "nobody_can_approve"
    """The approval requires a role that nobody has, as far as the roles are known."""
    EDIT_ESCAPES = "edit_escapes"
    """An approver who edits the arguments can turn the call into one that requires another approver."""
    SHADOWED = "shadowed"
    """An earlier edge of the same tool is always taken instead."""
    DENIAL_LOOP = "denial_loop"
    """Every tool of the state has a rule that may deny it, and there is no other way out."""
    RETRY_NEEDS_PERSON = "retry_needs_person"
    """Each interrupted attempt stops the workflow until a person resolves it."""
    OWN_WRITABLE = "own_writable"
    """An argument can write a field that is marked as the application's own, and no approval is required."""


@dataclass(frozen=True)
class Finding:
    """One suspicious part of a workflow; it may be intended."""

    kind: FindingKind
    where: str
    """The state or edge."""
    message: str
    """The finding, and what to do about it."""


def find(definition: Definition, *, roles: Collection[str] = (), bound: int = BOUND) -> list[Finding]:
    """Find the suspicious parts of a workflow.

    Args:
        definition: The workflow.
        roles: Every role that somebody has. If empty, the roles of approvals are not checked.
        bound: The maximum number of situations that the search visits.
    """
    paths = Paths(definition)
    reached, moves = _visit(paths, bound)
    found = [
        *_edges(definition, reached, moves),
        *_states(definition, reached, moves),
        *_approvals(definition, frozenset(roles)),
        *_effects(definition),
        *_own(definition),
    ]
    return sorted(found, key=lambda one: ([*FindingKind].index(one.kind), one.where))


def _visit(paths: Paths, bound: int) -> tuple[set[Situation], list[Move]]:
    reached: dict[Situation, None] = dict.fromkeys((*paths.starts(), *paths.inherited()))
    waiting, moves = [*reached], []
    while waiting and len(reached) <= bound:
        for move in paths.moves(waiting.pop()):
            moves.append(move)
            if move.to not in reached:
                reached[move.to] = None
                waiting.append(move.to)
    return set(reached), moves


def _edges(definition: Definition, reached: set[Situation], moves: list[Move]) -> Iterator[Finding]:
    taken = {(move.step.source, move.step.tool, move.step.target) for move in moves if move.step.is_call}
    states = {situation.state for situation in reached}
    for edge in definition.edges:
        if edge.source not in states or (edge.source, edge.tool.name, edge.target) in taken:
            continue
        rivals = [
            rival
            for rival in definition.by_source[edge.source]
            if rival.tool.name == edge.tool.name and rival.order < edge.order
        ]
        if rivals:
            yield Finding(
                FindingKind.SHADOWED,
                edge.label,
                f"{rivals[0].label} is tried first and always taken, so this edge never is. Give the first one a guard, or drop "
                "one of them.",
            )
        else:
            yield Finding(
                FindingKind.NEVER_OFFERED,
                edge.label,
                f"No path leads to a situation in which {edge.tool.name} may be called here. Look at its guard and at the limits, or drop "
                "the edge.",
            )


def _states(definition: Definition, reached: set[Situation], moves: list[Move]) -> Iterator[Finding]:
    states = {situation.state for situation in reached}
    onward: dict[str, set[str]] = {}
    back: dict[str, set[str]] = {}
    for move in moves:
        if move.step.source != move.step.target:
            onward.setdefault(move.step.source, set()).add(move.step.target)
            back.setdefault(move.step.target, set()).add(move.step.source)
    finals = [name for name, state in definition.states.items() if state.is_final]
    ending, waiting = set(finals), [*finals]
    while waiting:
        for source in back.get(waiting.pop(), ()):
            if source not in ending:
                ending.add(source)
                waiting.append(source)
    for name, state in definition.states.items():
        if name not in states:
            yield Finding(FindingKind.UNREACHABLE, name, "No path leads to this state. Add an edge to it, or drop it.")
            continue
        if state.is_final:
            continue
        if name not in onward:
            yield Finding(
                FindingKind.DEAD_END,
                name,
                "Nothing leads on from this state. Make it final (final=True), or add an edge out of it.",
            )
        elif finals and name not in ending:
            yield Finding(
                FindingKind.NO_END,
                name,
                f"No path from here comes to a final state ({', '.join(finals)}). Add a way out.",
            )
        yield from _loops(definition, name)
        wait = state.wait
        if wait is not None and wait.within is None:
            yield Finding(
                FindingKind.WAIT_WITHOUT_DEADLINE,
                name,
                "It waits forever if its events do not come. Give it within= and on_timeout=.",
            )


def _loops(definition: Definition, name: str) -> Iterator[Finding]:
    leading = [edge for edge in definition.by_source[name] if edge.target != name]
    has_model = definition.states[name].kind in {StateKind.REASONING, StateKind.FUNCTION, StateKind.NODE}
    if has_model and leading and definition.states[name].wait is None and all(map(_may_deny, leading)):
        yield Finding(
            FindingKind.DENIAL_LOOP,
            name,
            "Every edge that leads on has a guard, check or approval that may say no, and nothing else ends the state: a model can be "
            "denied here until its limit stops the run. Add an edge that is always open, such as a hand-over.",
        )


def _may_deny(edge: Edge) -> bool:
    return any(rule is not None for rule in (edge.guard, edge.check, edge.tool.check, edge.approval))


def _approvals(definition: Definition, roles: frozenset[str]) -> Iterator[Finding]:
    for edge in definition.edges:
        stages = () if edge.approval is None else edge.approval.stages
        for stage in stages:
            yield from _approval(edge, stage, roles)
        first = edge.approval
        if first is not None and first.edit is not False and first.when is not None and len(stages) == 1:
            yield from _escapes(definition, edge)


def _approval(edge: Edge, stage: Approval, roles: frozenset[str]) -> Iterator[Finding]:
    if stage.within is None:
        yield Finding(
            FindingKind.APPROVAL_WITHOUT_DEADLINE,
            edge.label,
            "A request that nobody decides stays open forever. "
            "Set within= on the approval, and on_expiry= if a rejection should not follow.",
        )
    missing = [one.role for one in who_may_decide(stage) if one.role is not None and one.role not in roles]
    if roles and missing and len(missing) == len(who_may_decide(stage)):
        yield Finding(
            FindingKind.NOBODY_CAN_APPROVE,
            edge.label,
            f"The approval takes the role {missing[0]!r}, which is not among {', '.join(sorted(roles))}. Nobody could decide it; correct the role, or give "
            "it to someone.",
        )


def _escapes(definition: Definition, edge: Edge) -> Iterator[Finding]:
    """Find edges of the same tool that have another approver, and that an edited call could take."""
    for other in definition.by_source[edge.source]:
        if other is edge or other.tool.name != edge.tool.name or other.approval is None:
            continue
        if other.approval.role != (edge.approval and edge.approval.role):
            yield Finding(
                FindingKind.EDIT_ESCAPES,
                edge.label,
                f"Its approver may edit the arguments ({DecisionKind.EDIT.value}), and {other.label} asks the role {other.approval.role!r} for "
                "other arguments. Forbid the edit (edit=False), or name the arguments that may change.",
            )


def _effects(definition: Definition) -> Iterator[Finding]:
    for edge in definition.edges:
        if edge.tool.kind is ToolKind.COMMAND and edge.tool.effect is Effect.AT_MOST_ONCE:
            yield Finding(
                FindingKind.RETRY_NEEDS_PERSON,
                edge.label,
                f"An attempt of {edge.tool.name} whose outcome is not known stops the workflow until a person resolves it. Declare "
                "effect='idempotent' if it is safe to repeat under ctx.idempotency_key.",
            )


def _own(definition: Definition) -> Iterator[Finding]:
    for edge, argument, field in writable(definition):
        yield Finding(
            FindingKind.OWN_WRITABLE,
            edge.label,
            f"The argument {argument} may write what {field} returns marked as Own, and nobody is asked. A value that a model read "
            "elsewhere would be trusted from then on. Ask for an approval, or take the marker away.",
        )


__all__ = ["Finding", "FindingKind", "find"]
