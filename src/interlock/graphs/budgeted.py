"""Saying how much the models of a workflow may use."""

from typing import Self

from ..rules.budgets.budget import Budget, Prices
from ..tools.errors import WorkflowDefinitionError
from .cancellable import Cancellable


class Budgeted(Cancellable):
    """The part of a workflow that bounds what its models use."""

    def __init__(self) -> None:
        super().__init__()
        self._budgets: tuple[Budget, ...] = ()
        self._prices: Prices = {}

    def budgets(self, *budgets: Budget, prices: Prices | None = None) -> Self:
        """Bound the tokens, or the money, that models use: per turn, instance, person or tenant.

        What one call may use at most is reserved before it, and what it used is counted after it, by the model's own figures. A call for which
        no budget has room is not made: the run stops, as at any other limit.

        Args:
            budgets: The budgets; each of them has to have room.
            prices: What a million tokens cost, by the name of the model in its messages (`model_name`); `"*"` for any other one.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: Something is no budget. What else is wrong is found when it is compiled.
        """
        if not all(isinstance(one, Budget) for one in budgets):
            raise WorkflowDefinitionError(
                "budgets(...) takes Budget(tokens=..., reserve=...) or Budget(money=..., reserve=...)."
            )
        self._budgets = (*self._budgets, *budgets)
        self._prices = {**self._prices, **(prices or {})}
        return self


__all__ = ["Budgeted"]
