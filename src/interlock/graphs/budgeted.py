"""The builder's method for budgets of models."""

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
        """Limit the tokens or the money that models use: per turn, instance, principal or tenant.

        Before each call, the most that it may use is reserved; after it, what it used is counted, by the model's own figures. A call for
        which a budget has no room is not made: the run stops, as at any other limit.

        Args:
            budgets: The budgets. Each of them must have room for a call.
            prices: The price of a million tokens for each model, by the `model_name` in its messages; `"*"` for all others.

        Returns:
            The workflow, so that calls can be chained.

        Raises:
            WorkflowDefinitionError: An argument is not a budget. Other errors are found when the workflow is compiled.
        """
        if not all(isinstance(one, Budget) for one in budgets):
            raise WorkflowDefinitionError(
                "budgets(...) takes Budget(tokens=..., reserve=...) or Budget(money=..., reserve=...)."
            )
        self._budgets = (*self._budgets, *budgets)
        self._prices = {**self._prices, **(prices or {})}
        return self


__all__ = ["Budgeted"]
