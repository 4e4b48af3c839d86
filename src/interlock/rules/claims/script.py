"""Writes a counterexample as a Python script that replays it in the compiled workflow step by step."""

import pprint
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ...tools.approvals import Approval
from ...tools.canonical import to_json
from ..conditions import Condition, OneOf
from ..definition import Definition, Edge
from .checker import Counterexample, Proof
from .paths import Paths, Situation, Step, StepKind, roles_in, subsets
from .words import path_in_words, step_in_words

_WIDTH = 110


def script_of(definition: Definition, proof: Proof, app: str, *, at_the_door: bool = False) -> str:
    """Write a script that replays the path that breaks a claim.

    Args:
        definition: The workflow.
        proof: The result of proving the claim; it must have a counterexample.
        app: The location of the workflow as `module:name`, from which the script imports it.
        at_the_door: Whether calls are proposed from outside the graph, without a thread.

    Returns:
        A Python script.
    """
    path = proof.counterexample
    if path is None:
        raise ValueError(f"No path breaks the claim {proof.claim}. There is nothing to replay.")
    module, _, name = app.partition(":")
    begun = name.partition(".")[0]
    replay = "DoorReplay" if at_the_door else "Replay"
    lines = [
        '"""'
        + _plain(f"Replays the shortest path of {definition.name} version {definition.version} that breaks a claim."),
        "",
        _plain(str(proof.claim)),
        *(f"  {_plain(line)}" for line in path_in_words(path)),
        "",
        "It runs in memory. States, edges, approvals, waits, roles and limits per run are the workflow's own; tools and rules of the",
        'application are replaced by stand-ins that answer as the path needs.\n"""',
        "",
        "from interlock import Approval, Confirmation",
        f"from interlock.testing import {replay}",
        f"from {module} import {begun}",
        "",
        f"workflow = {name}() if callable({name}) else {name}",
        *_begin(definition, proof, path, replay),
        *_steps(definition, proof, path),
        "print(replay)",
    ]
    used = "\n".join(lines)
    names = [one for one in ("Approval", "Confirmation") if f"{one}(" in used]
    imported = f"from interlock import {', '.join(names)}\n" if names else ""
    return used.replace("from interlock import Approval, Confirmation\n", imported) + "\n"


def _begin(definition: Definition, proof: Proof, path: Counterexample, replay: str) -> Iterator[str]:
    paths = Paths(definition, proof.claim.assumptions)
    first = path.situations[0]
    given = []
    if first.state != definition.initial:
        given.append(f"begins_in={first.state!r}")
    if paths.fields:
        given.append(f"data={_literal(_values(paths, first))}")
    yield f"replay = {replay}({', '.join(['workflow', *given])})"
    yield ""


def _steps(definition: Definition, proof: Proof, path: Counterexample) -> Iterator[str]:
    paths = Paths(definition, proof.claim.assumptions)
    for number, step in enumerate(path.steps):
        before, after = path.situations[number], path.situations[number + 1]
        yield from textwrap.wrap(
            _plain(f"{number + 1}. {step_in_words(step)}"), _WIDTH, initial_indent="# ", subsequent_indent="#    "
        )
        yield f"replay.{_call(paths, step, before, after)}"
        yield ""


def _call(paths: Paths, step: Step, before: Situation, after: Situation) -> str:
    given: list[str] = []
    decided: Mapping[str, Any] = {}
    match step.kind:
        case StepKind.FORK:
            return "fork()"
        case StepKind.EVENT | StepKind.FAILURE:
            given.append(repr(step.target))
            known = _values(paths, before)
            decided = {name: value for name, value in _values(paths, after).items() if value != known[name]}
        case StepKind.DEADLINE:
            given.append(repr(step.target))
        case StepKind.CALL | StepKind.RESOLVED:
            edge = step.edge
            assert edge is not None  # noqa: S101 -- a call has an edge
            given += [repr(edge.tool.name), repr(step.target)]
            if step.kind is StepKind.RESOLVED and edge.target != step.target:
                given.append(f"began_to={edge.target!r}")
            if roles := _roles(paths, edge, before) | step.proposer_roles:
                given.append(f"roles={_literal(sorted(roles))}")
            if step.granted:
                given.append(f"granted=[{', '.join(map(_stage, step.granted))}]")
            values = _values(paths, after)
            decided = {name: values[name] for name, change in edge.sets.items() if isinstance(change, OneOf)}
    if decided:
        given.append(f"sets={_literal(decided)}")
    verb = {StepKind.RESOLVED: "resolve"}.get(step.kind, step.kind.value)
    return f"{verb}({', '.join(given)})"


def _roles(paths: Paths, edge: Edge, situation: Situation) -> frozenset[str]:
    """The smallest set of proposer roles with which a call takes this edge and no other edge of its tool."""
    data = dict(zip(paths.fields, situation.values, strict=True))

    def is_open(one: Edge, roles: frozenset[str]) -> bool:
        guard = one.guard
        return isinstance(guard, Condition) and guard.holds({name: data[name] for name in guard.fields}, roles)

    rivals = [
        one
        for one in paths.definition.by_source[edge.source]
        if one.tool.name == edge.tool.name and one.order < edge.order
    ]
    spoken_of = frozenset().union(
        *(roles_in(one.guard) for one in (edge, *rivals) if isinstance(one.guard, Condition)),
        paths.required_roles(edge),
    )
    for roles in subsets(spoken_of):
        is_enough = not isinstance(edge.guard, Condition) or is_open(edge, roles)
        if is_enough and paths.required_roles(edge) <= roles and not any(is_open(rival, roles) for rival in rivals):
            return roles
    return paths.required_roles(edge)


def _values(paths: Paths, situation: Situation) -> dict[str, Any]:
    return {name: to_json(value) for name, value in zip(paths.fields, situation.values, strict=True)}


def _stage(stage: Approval) -> str:
    if stage.confirmation:
        return "Confirmation()"
    given = [] if stage.role is None else [f"role={stage.role!r}"]
    given += [] if stage.count == 1 else [f"count={stage.count}"]
    return f"Approval({', '.join(given)})"


def _literal(value: Any) -> str:
    return pprint.pformat(value, width=10_000, compact=True)


def _plain(text: str) -> str:
    """Make a text safe for a docstring or a comment: one line, without characters that would end either."""
    return text.encode("unicode_escape").decode("ascii").replace('"""', "'''").replace("\\", "/")


def can_go_through_the_door(proof: Proof) -> bool:
    """Whether proposals from outside the graph can replay the path; a fork requires a thread."""
    path = proof.counterexample
    return path is not None and all(step.kind is not StepKind.FORK for step in path.steps)


__all__ = ["can_go_through_the_door", "script_of"]
