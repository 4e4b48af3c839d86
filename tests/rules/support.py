"""Small workflows for proofs, and a second way to decide claims: by listing paths and reading each sentence off the whole path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interlock import Workflow, command, read
from interlock.rules.claims.checker import Counterexample
from interlock.rules.claims.language import AtMost, Before, Claim, Never, NeverAfter, Only, Possible
from interlock.rules.claims.paths import Paths, Situation, Step
from interlock.rules.definition import Definition
from interlock.tools.contracts import ToolContract


def write(name: str, *, destructive: bool = False, effect: str = "transactional") -> ToolContract[..., Any]:
    """A command that does nothing."""

    @command(name, effect=effect, annotations={"destructiveHint": True} if destructive else None)  # type: ignore[arg-type]
    def body() -> str:
        """Do nothing."""
        return "done"

    return body


def look(name: str) -> ToolContract[..., Any]:
    """A read that finds nothing."""

    @read(name)
    def body() -> str:
        """Find nothing."""
        return "nothing"

    return body


def definition_of(states: Mapping[str, Mapping[str, Any]], edges: list[tuple[Any, ...]], **options: Any) -> Definition:
    """A definition in one expression: states with their options, and edges as `(source, tool, target, options?)`."""
    flow = Workflow("proved", **options)
    for name, given in states.items():
        flow.add_state(name, **given)
    for source, tool, target, *rest in edges:
        flow.add_edge(source, tool, target, **(rest[0] if rest else {}))
    return flow.definition()


def histories(paths: Paths, longest: int) -> Iterator[tuple[bool, tuple[Step, ...], Situation]]:
    """Every path of at most so many steps, each with whether an earlier version began it, and where it ends."""
    waiting: list[tuple[bool, tuple[Step, ...], Situation]] = [
        *((False, (), start) for start in paths.starts()),
        *((True, (), start) for start in paths.inherited()),
    ]
    while waiting:
        inherited, steps, at = waiting.pop()
        yield inherited, steps, at
        if len(steps) < longest:
            waiting.extend((inherited, (*steps, move.step), move.to) for move in paths.moves(at))


def breaks(claim: Claim, steps: tuple[Step, ...], *, inherited: bool) -> bool:
    """Whether a whole path breaks a safety claim, read off its list of steps."""
    match claim:
        case Never(what=what, unless=unless):
            return any(what.matches(one) and (unless is None or not unless.is_met(one.granted)) for one in steps)
        case Before(what=what, first=first):
            return any(
                what.matches(one) and not any(first.matches(earlier) for earlier in steps[:place])
                for place, one in enumerate(steps)
            )
        case AtMost(what=what, times=times):
            return sum(what.matches(one) for one in steps) > (0 if inherited else times)
        case NeverAfter(first=first, what=what):
            return any(
                what.matches(one) and (inherited or any(first.matches(earlier) for earlier in steps[:place]))
                for place, one in enumerate(steps)
            )
        case Only(role=role, what=what):
            return any(what is not None and what.matches(one) and role not in one.proposer_roles for one in steps)
    raise AssertionError(claim)


def decide_naively(claim: Claim, definition: Definition, *, longest: int) -> bool:
    """Whether a claim holds, by looking at every path of at most so many steps."""
    paths = Paths(definition, claim.assumptions)
    found = list(histories(paths, longest))
    if not isinstance(claim, Possible):
        return not any(breaks(claim, steps, inherited=inherited) for inherited, steps, _ in found)
    for inherited, steps, at in found:
        if not _awaited(claim, steps, inherited=inherited):
            continue
        if claim.what.is_end and definition.states[at.state].is_final:
            continue
        if not _comes_to(claim, paths, at):
            return False
    return True


def is_counterexample(claim: Claim, definition: Definition, found: Counterexample) -> bool:
    """Whether what the search found is a path of the workflow, and breaks the claim when it is read as a whole."""
    paths = Paths(definition, claim.assumptions)
    inherited = found.inherited_from is not None
    at = set(paths.inherited() if inherited else paths.starts())
    if inherited:
        at = {one for one in at if one.state == found.inherited_from}
    for step in found.steps:
        at = {move.to for one in at for move in paths.moves(one) if move.step == step}
    if not at:
        return False
    if not isinstance(claim, Possible):
        return breaks(claim, found.steps, inherited=inherited)
    return _awaited(claim, found.steps, inherited=inherited) and not all(_comes_to(claim, paths, one) for one in at)


def _awaited(claim: Possible, steps: tuple[Step, ...], *, inherited: bool) -> bool:
    """Whether what is claimed is still to come after a path: its trigger is the last of the two that happened."""
    if claim.after is None:
        return True
    for one in reversed(steps):
        if claim.after.matches(one):
            return True
        if claim.what.matches(one):
            return False
    return inherited


def _comes_to(claim: Possible, paths: Paths, start: Situation) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for move in paths.moves(waiting.pop()):
            if claim.what.matches(move.step):
                return True
            if move.to not in seen:
                seen.add(move.to)
                waiting.append(move.to)
    return False
