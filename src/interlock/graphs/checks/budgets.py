"""Checks the budgets of a workflow."""

from collections import Counter

from ...rules.budgets.budget import BudgetPer, Price, Unit
from ...rules.definition import Definition
from ...tools.errors import WorkflowDefinitionError


def check_budgets(definition: Definition) -> None:
    """Refuse budgets that cannot be counted.

    Raises:
        WorkflowDefinitionError: Two budgets have the same name, or one counts money and there are no prices.
    """
    twice = [name for name, number in Counter(one.name for one in definition.budgets).items() if number > 1]
    if twice:
        raise WorkflowDefinitionError(
            f"The workflow {definition.name!r} has two budgets that are called {twice[0]!r}. Give each a name=."
        )
    if not all(isinstance(price, Price) for price in definition.prices.values()):
        raise WorkflowDefinitionError(
            f"The workflow {definition.name!r} is given prices that are none; give Price(input=..., output=...) by the name of each model."
        )
    for budget in definition.budgets:
        if budget.unit is Unit.MONEY and not definition.prices:
            raise WorkflowDefinitionError(
                f"The budget {budget.name!r} of {definition.name!r} counts money, and no prices are known. Give prices= by the name of each model."
            )
        if budget.per is BudgetPer.TURN and budget.raised_by is not None:
            raise WorkflowDefinitionError(
                f"The budget {budget.name!r} of {definition.name!r} is of one turn, and cannot be raised: the user's next message begins another "
                "turn. Leave out raised_by=."
            )


__all__ = ["check_budgets"]
