"""The builder's methods for claims and their proofs."""

import abc
from typing import TYPE_CHECKING, Self

from ..rules.claims.checker import BOUND, Proof, check
from ..rules.claims.compiling import check_claim
from ..rules.claims.language import Claim
from ..rules.definition import Definition

if TYPE_CHECKING:
    from ..pictures.picture import Picture


class Claiming(abc.ABC):
    """The part of a workflow that holds claims and proves them."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    @abc.abstractmethod
    def checked(self) -> Definition:
        """Return the workflow as plain data, after checking it, without proving its claims."""

    @property
    def claimed(self) -> tuple[Claim, ...]:
        """The claims, in the order in which they were added."""
        return tuple(self._claims)

    def claims(self, *claims: Claim) -> Self:
        """Add claims about every path of the workflow; compiling it proves them. See `interlock.rules.claims` for the kinds of claims.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            ClaimError: An argument is not a claim, or is an incomplete one.
        """
        for claim in claims:
            check_claim(claim)
        self._claims.extend(claims)
        return self

    def prove(self, *claims: Claim, bound: int = BOUND) -> list[Proof]:
        """Prove the workflow's own claims, or others.

        Args:
            claims: The claims to prove; by default the workflow's own.
            bound: The maximum number of situations that a search visits.

        Returns:
            One proof per claim: whether it holds, and if not, a shortest path that breaks it.
        """
        return check(self.checked(), claims or self._claims, bound=bound)

    def picture_of(self, proof: Proof) -> "Picture":
        """Return the workflow as a picture in which the path that breaks a claim is highlighted, with numbered steps; nothing is
        highlighted for a claim that holds.

        Args:
            proof: A proof from `prove`.
        """
        from ..pictures.proof import picture_of_proof  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return picture_of_proof(self.checked(), proof)


__all__ = ["Claiming"]
