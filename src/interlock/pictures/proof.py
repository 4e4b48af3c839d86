"""The picture of a proof: the workflow with the path that breaks the claim highlighted."""

from ..rules.claims.checker import Proof, Verdict
from ..rules.claims.paths import Step, StepKind
from ..rules.claims.words import path_in_words
from ..rules.definition import Definition
from .lights import Route, RouteStep
from .picture import Picture
from .picture_data import Drawing


def picture_of_proof(definition: Definition, proof: Proof) -> Picture:
    """Draw a workflow with the path that breaks a claim highlighted, if there is one.

    Args:
        definition: The workflow.
        proof: The proof of the claim.
    """
    path = proof.counterexample
    if path is None:
        return Picture(Drawing.of(definition))
    route = Route(
        f"{Verdict.BROKEN}: {proof.claim}",
        path.situations[0].state,
        tuple(map(_step, path.steps)),
        tuple(path_in_words(path)),
    )
    return Picture(Drawing.of(definition), route=route)


def _step(step: Step) -> RouteStep:
    match step.kind:
        case StepKind.EVENT | StepKind.FAILURE | StepKind.DEADLINE | StepKind.CANCEL:
            return RouteStep(step.source, step.target, end=step.kind.value)
        case StepKind.FORK:
            return RouteStep(step.source, step.target)
        case StepKind.CALL | StepKind.RESOLVED:
            return RouteStep(step.source, step.target, tool=step.tool)


__all__ = ["picture_of_proof"]
