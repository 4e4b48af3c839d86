"""Mutations of the shipped workflows: every one that breaks its policy is caught by a claim, and each other one is explained."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from interlock import Approval, Workflow
from interlock.rules.claims import check
from interlock.rules.definition import Definition, Edge, StateKind
from interlock.tools.errors import WorkflowDefinitionError
from interlock.workflows.case.workflow import case_workflow
from interlock.workflows.engagement.workflow import engagement_workflow
from interlock.workflows.retail import retail_workflow

WORKFLOWS = {"retail": retail_workflow, "case": case_workflow, "engagement": engagement_workflow}
LOOK_UPS = {"customer.get", "order.get", "product.get", "item.get", "product.list", "desk.calculate", "case.get"}


@dataclass(frozen=True)
class Mutant:
    """One definition that differs from the shipped one in one place."""

    what: str
    edge: str
    tool: str
    definition: Definition


def mutants(definition: Definition) -> Iterator[Mutant]:
    """Every mutation of a definition by a few operators, in a stable order."""
    edges = definition.edges

    def with_edges(number: int, *changed: Edge) -> Definition:
        return replace(definition, edges=(*edges[:number], *changed, *edges[number + 1 :]))

    for number, edge in enumerate(edges):

        def mutant(what: str, *changed: Edge, at: int = number, of: Edge = edge) -> Mutant:
            return Mutant(what, of.label, of.tool.name, with_edges(at, *changed))

        if edge.approval is not None:
            yield mutant("approval dropped", replace(edge, approval=None))
            yield mutant("approval asked sometimes", replace(edge, approval=replace(edge.approval, when=lambda: True)))
            yield mutant("approval by anybody", replace(edge, approval=Approval()))
            yield mutant("approval by another role", replace(edge, approval=Approval(role="another")))
            yield mutant("a second edge that asks nobody", edge, replace(edge, approval=None, order=9))
            if edge.guard is not None:
                yield mutant(
                    "a second, open edge that asks nobody", edge, replace(edge, approval=None, guard=None, order=9)
                )
        if edge.guard is not None:
            yield mutant("guard removed", replace(edge, guard=None))
        if edge.sets:
            yield mutant("change not declared", replace(edge, sets={}))
        for state in definition.states:
            if state != edge.target:
                yield mutant(f"redirected to {state}", replace(edge, target=state, moves=True))
            if state != edge.source and not definition.states[state].is_final:
                yield mutant(
                    f"offered in {state} as well",
                    edge,
                    replace(edge, source=state, order=9, moves=edge.moves or state != edge.target),
                )
        for other in itertools.islice((one for one in edges if one.tool.name != edge.tool.name), 3):
            yield mutant(f"calls {other.tool.name} instead", replace(edge, tool=other.tool))
        yield mutant("removed")
    for name, state in definition.states.items():
        if not state.is_final and definition.by_source[name] and name != definition.initial:
            begun = replace(definition, initial=name)
            yield Mutant(f"begins in {name}", name, "", begun)
        if state.is_final:
            opened = {**definition.states, name: replace(state, kind=StateKind.RESTING)}
            yield Mutant(f"{name} is not final", name, "", replace(definition, states=opened))


def explanation(workflow: str, mutant: Mutant) -> str | None:
    """Why a mutant breaks no sentence of the policy that a claim could say; None when nothing excuses it."""
    if mutant.tool in LOOK_UPS and (mutant.what == "removed" or mutant.what.startswith("calls ")):
        return "a look-up less is possible, and the policy forbids nothing by having it"
    if mutant.tool == "desk.hand_over":
        return "the desk may hand over at any time; where it still can from every state, nothing is lost"
    if mutant.what == "a second edge that asks nobody":
        return "it has the condition of the edge before it, which is always taken in its place"
    if mutant.what == "removed":
        return "one call less is possible, and the others still keep the policy"
    if mutant.what.endswith("is not final"):
        return "nothing leads out of it all the same"
    return None


def is_caught(workflow: Workflow, mutant: Mutant) -> bool:
    try:
        return not all(proof.holds for proof in check(mutant.definition, workflow.claimed))
    except WorkflowDefinitionError:
        return True  # a claim names what is not there any more, or a condition cannot be followed


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_mutation_that_breaks_the_policy_is_caught_and_the_others_are_explained(name: str) -> None:
    workflow = WORKFLOWS[name]()
    survivors = [one for one in mutants(workflow.definition()) if not is_caught(workflow, one)]

    assert [f"{one.what}: {one.edge}" for one in survivors if explanation(name, one) is None] == []


def test_there_are_at_least_200_mutations_and_four_of_five_are_caught() -> None:
    made = [
        (workflow, one)
        for workflow in (make() for make in WORKFLOWS.values())
        for one in mutants(workflow.definition())
    ]
    caught = sum(is_caught(workflow, one) for workflow, one in made)

    assert len(made) >= 200
    assert caught / len(made) >= 0.8, f"{caught} of {len(made)}"
