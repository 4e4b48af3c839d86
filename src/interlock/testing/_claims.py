"""Claims as tests, for pytest or any other runner with assertions."""

from __future__ import annotations

from collections.abc import Collection

from ..graphs import Workflow, WorkflowGraph
from ..rules.claims.checker import BOUND
from ..rules.claims.findings import FindingKind, find
from ..rules.claims.language import Claim
from ..rules.claims.words import in_words
from ._errors import ClaimNotProved
from ._replay import definition_of


def assert_claims(workflow: Workflow, *claims: Claim, bound: int = BOUND) -> None:
    """Prove claims of a workflow in a test.

    Args:
        workflow: The workflow. It does not have to compile.
        claims: The claims to prove; by default the workflow's own.
        bound: How many situations a search may visit.

    Raises:
        ClaimNotProved: A claim does not hold, or there is none. The message has the shortest path that breaks each claim.
    """
    proofs = workflow.prove(*claims, bound=bound)
    if not proofs:
        raise ClaimNotProved(
            f"Nothing is claimed of the workflow {workflow.name!r}, so nothing was proved. Give claims, or declare them with workflow.claims(...)."
        )
    wrong = [proof for proof in proofs if not proof.holds]
    if wrong:
        said = "\n".join(map(in_words, wrong))
        raise ClaimNotProved(
            f"The workflow {workflow.name!r} does not keep {len(wrong)} of {len(proofs)} claims. Change its edges, or the claim.\n{said}",
            details={"claims": [proof.claim.sentence for proof in wrong]},
        )


def assert_no_findings(
    workflow: Workflow | WorkflowGraph, *, roles: Collection[str] = (), but: Collection[FindingKind | str] = ()
) -> None:
    """Check in a test that nothing in a workflow is suspicious, as `interlock check` does.

    Args:
        workflow: The workflow.
        roles: All roles that exist. By default, the roles of approvals are not checked.
        but: The kinds of findings that are intended.

    Raises:
        ClaimNotProved: Something was found. The message says what and where.
    """
    meant = {FindingKind(kind) for kind in but}
    found = [one for one in find(definition_of(workflow), roles=roles) if one.kind not in meant]
    if found:
        said = "\n".join(f"{one.kind}: {one.where}: {one.message}" for one in found)
        raise ClaimNotProved(
            f"{len(found)} problems were found in the workflow. Fix them, or list the kinds that are intended in but=.\n{said}",
            details={"kinds": sorted({one.kind.value for one in found})},
        )


def claims_of(workflow: Workflow) -> list[Claim]:
    """Return the claims of a workflow, for one test case each.

    ::

        @pytest.mark.parametrize("claim", claims_of(desk), ids=str)
        def test_the_desk_keeps(claim):
            assert_claims(desk, claim)

    Args:
        workflow: The workflow.
    """
    return [*workflow.claimed]


__all__ = ["assert_claims", "assert_no_findings", "claims_of"]
