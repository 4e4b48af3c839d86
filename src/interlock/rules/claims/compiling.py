"""Claims as a part of a workflow: proved when it is compiled, and what they rely on enforced when it runs."""

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
"""How many situations a search visits while a workflow is compiled; `interlock check` takes more."""


def check_claim(claim: object) -> None:
    """Refuse what is not a claim, or an incomplete one.

    Raises:
        ClaimError: It is one of these.
    """
    if not isinstance(claim, Claim):
        raise ClaimError(f"{claim!r} is not a claim; pass never(...), before(...), at_most(...) and so on.")
    claim.selectors  # noqa: B018 -- asking an incomplete claim what it is about raises


def with_claims(definition: Definition, claims: Sequence[Claim]) -> Definition:
    """The definition with what its claims rely on, once all of them are proved.

    Raises:
        ClaimError: One does not hold, or is undecided; the message has the path that breaks it.
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
    """The edge, with what claims assume of its rules enforced.

    A guard that is assumed to hold lets no other edge of its tool be taken when it says no. A condition that is assumed to ask a
    person is not asked any more: the approval always is.
    """
    if edge.guard is not None and assumptions.holds(edge.guard):
        edge = replace(edge, is_relied_on=True)
    rule = edge.approval
    if rule is not None and rule.when is not None and assumptions.is_asked(rule.when):
        edge = replace(edge, approval=replace(rule, when=None))
    return edge


__all__ = ["COMPILE_BOUND", "check_claim", "with_claims"]
