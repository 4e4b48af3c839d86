"""Proves the claims of a workflow when it is compiled, and enforces their assumptions when it runs."""

from collections.abc import Sequence
from dataclasses import replace

from ...tools.errors import ClaimError
from ..assumptions import Assumptions
from ..definition import Definition, Edge
from .checker import check
from .language import Claim
from .paths import Paths
from .words import in_words

COMPILE_BOUND = 100_000
"""The maximum number of situations that a search visits at compilation; `interlock check` uses a higher bound."""


def check_claim(claim: object) -> None:
    """Refuse a value that is not a claim, or an incomplete claim.

    Raises:
        ClaimError: The value is one of these.
    """
    if not isinstance(claim, Claim):
        raise ClaimError(f"{claim!r} is not a claim; pass never(...), before(...), at_most(...) and so on.")
    claim.selectors  # noqa: B018 -- asking an incomplete claim what it is about raises


def with_claims(definition: Definition, claims: Sequence[Claim]) -> Definition:
    """Prove all claims, and return the definition with their assumptions.

    Raises:
        ClaimError: A claim does not hold or is undecided; the message contains the path that breaks it.
    """
    assumptions = Assumptions(one for claim in claims for one in claim.assumptions)
    bound = replace(
        definition,
        edges=tuple(_relying(edge, assumptions) for edge in definition.edges),
        assumptions=assumptions,
        claims=tuple(map(_with_assumptions, claims)),
    )
    Paths(bound).fields  # noqa: B018 -- a field that cannot be followed is refused here
    wrong = [proof for proof in check(bound, claims, bound=COMPILE_BOUND) if not proof.holds]
    if wrong:
        said = "\n".join(map(in_words, wrong))
        raise ClaimError(
            f"The workflow {definition.name!r} does not keep {len(wrong)} of its {len(claims)} claims. It was not compiled; change the "
            f"edges, or the claim.\n{said}",
            details={"claims": [proof.claim.sentence for proof in wrong]},
        )
    return bound


def _with_assumptions(claim: Claim) -> str:
    relied_on = " and that ".join(map(str, claim.assumptions))
    return f"{claim.sentence}, assuming that {relied_on}" if relied_on else claim.sentence


def _relying(edge: Edge, assumptions: Assumptions) -> Edge:
    """Make the edge enforce the assumptions of claims.

    If a guard that is assumed to hold returns False, no other edge of its tool is tried. A condition that is assumed to ask a
    person is not evaluated: the approval is always requested.
    """
    if edge.guard is not None and assumptions.holds(edge.guard):
        edge = replace(edge, is_relied_on=True)
    rule = edge.approval
    if rule is not None and rule.when is not None and assumptions.is_asked(rule.when):
        edge = replace(edge, approval=replace(rule, when=None))
    return edge


__all__ = ["COMPILE_BOUND", "check_claim", "with_claims"]
