"""A proof as text: the claim, its result and assumptions, and the path that breaks it, step by step."""

from ...tools.approvals import Approval
from .checker import Counterexample, Proof, Verdict
from .paths import Step, StepKind


def in_words(proof: Proof) -> str:
    """Describe the result of proving a claim, with the path that breaks it."""
    claim = proof.claim
    heading = {
        Verdict.PROVED: f"proved: {claim}",
        Verdict.BROKEN: f"broken: {claim}",
        Verdict.UNDECIDED: f"undecided: {claim}",
    }[proof.verdict]
    lines = [heading]
    if claim.name:
        lines.append(f"  that is: {claim.sentence}")
    lines += [f"  assuming that {assumption}" for assumption in claim.assumptions]
    if proof.verdict is Verdict.UNDECIDED:
        lines.append(
            f"  the search visited {proof.situations} situations, its bound; raise the bound, or follow fewer fields"
        )
    if proof.counterexample is not None:
        lines += [f"  {line}" for line in path_in_words(proof.counterexample)]
    return "\n".join(lines)


def path_in_words(path: Counterexample) -> list[str]:
    """The steps of a path, one line each."""
    lines = []
    if path.inherited_from is not None:
        lines.append(
            f"0. an earlier version left an instance in {path.inherited_from!r}, with a past that is not known"
        )
    lines += [f"{number}. {step_in_words(step)}" for number, step in enumerate(path.steps, 1)]
    if path.stuck:
        lines.append("from there nothing leads to it any more")
    return lines


def step_in_words(step: Step) -> str:
    """One step as a sentence."""
    where = f"from {step.source!r} to {step.target!r}" if step.source != step.target else f"in {step.source!r}"
    because = f" ({step.because})" if step.because else ""
    match step.kind:
        case StepKind.EVENT | StepKind.FAILURE | StepKind.DEADLINE | StepKind.CANCEL | StepKind.FORK:
            return f"{where}: {step.because}"
        case StepKind.RESOLVED:
            return f"{where}: {step.tool} was interrupted, and a person says that it happened{because}"
        case StepKind.CALL:
            who = (
                f"somebody with the role {' and '.join(sorted(step.proposer_roles))}"
                if step.proposer_roles
                else "anybody"
            )
            decided = " and ".join(
                "the person served confirms" if stage.confirmation else f"{stage.role or _people(stage)} approves"
                for stage in step.granted
            )
            return f"{where}: {who} calls {step.tool}, {decided or 'nobody is asked'}{because}"


def _people(stage: Approval) -> str:
    return "another person" if stage.by is None else stage.who


__all__ = ["in_words", "path_in_words", "step_in_words"]
