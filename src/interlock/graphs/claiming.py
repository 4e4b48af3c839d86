"""What a workflow claims of all its paths, and proving it."""

import abc
from typing import TYPE_CHECKING, Self

from ..rules.claims.checker import BOUND, Proof, check
from ..rules.claims.compiling import check_claim
from ..rules.claims.language import Claim
from ..rules.definition import Definition

if TYPE_CHECKING:
    from ..pictures.picture import Picture


class Claiming(abc.ABC):
    """The part of a workflow that claims and proves."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    @abc.abstractmethod
    def checked(self) -> Definition:
        """The workflow as plain data, checked, without its claims proved."""

    @property
    def claimed(self) -> tuple[Claim, ...]:
        """What is claimed, in the order in which it was."""
        return tuple(self._claims)

    def claims(self, *claims: Claim) -> Self:
        """Claim something of every path; compiling proves it. See `interlock.rules.claims` for what can be claimed.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            ClaimError: Something is not a claim, or an incomplete one.
        """
        for claim in claims:
            check_claim(claim)
        self._claims.extend(claims)
        return self

    def prove(self, *claims: Claim, bound: int = BOUND) -> list[Proof]:
        """Prove the workflow's own claims, or others.

        Args:
            claims: What to prove; the workflow's own claims where none is given.
            bound: How many situations a search may visit before it gives up.

        Returns:
            For each claim whether it holds, with a shortest path that breaks it where it does not.
        """
        return check(self.checked(), claims or self._claims, bound=bound)

    def picture_of(self, proof: Proof) -> "Picture":
        """The workflow with the path lit that breaks a claim, each step with its number; for a claim that holds, with nothing lit.

        Args:
            proof: What `prove` gave.
        """
        from ..pictures.proof import picture_of_proof  # noqa: PLC0415 -- imported when it is used: a run needs none of it

        return picture_of_proof(self.checked(), proof)


__all__ = ["Claiming"]
