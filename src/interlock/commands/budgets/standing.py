"""The use of a budget: what is used, added and left, and who may raise it."""

from typing import Literal

from pydantic import Field

from ...checkpointing.store.spending.budgets import Account, Balance
from ...events.envelopes import moment_text
from ...rules.budgets.budget import MICRO, Budget, Unit
from ...tools.canonical import JsonObject
from ...tools.results import WireModel


class BudgetStanding(WireModel):
    """The use of one budget."""

    schema_version: Literal[1] = 1
    name: str
    unit: Literal["tokens", "money"]
    per: str
    amount: str
    """The limit without raises: tokens or money, as a decimal number."""
    raised: str
    """The sum of all raises."""
    spent: str
    """The usage, including reservations for calls in progress."""
    left: str
    """The rest."""
    reserve: str
    """The reservation of one call; if less is left, no model is called."""
    is_spent: bool
    """Whether there is no room for another call: a run stops here until the budget is raised, or the next period begins."""
    raised_by: str | None = None
    """The role that may raise it; None if nobody may."""
    period_began: str | None = Field(default=None)
    """The start of the period, as RFC 3339 in UTC; None without periods."""

    def to_json(self) -> JsonObject:
        """Return it as JSON data, exactly as on the wire."""
        return self.model_dump(mode="json", by_alias=True)


def standing_of(budget: Budget, account: Account, balance: Balance) -> BudgetStanding:
    """Compute the use of a budget.

    Args:
        budget: The budget.
        account: The account in which it is counted.
        balance: The balance of that account.
    """
    return BudgetStanding(
        name=budget.name,
        unit=budget.unit.value,
        per=budget.per.value,
        amount=amount_text(budget, budget.amount),
        raised=amount_text(budget, balance.raised),
        spent=amount_text(budget, balance.spent),
        left=amount_text(budget, max(0, budget.amount + balance.raised - balance.spent)),
        reserve=amount_text(budget, budget.reserve),
        is_spent=budget.why_spent(balance.spent, balance.raised) is not None,
        raised_by=budget.raised_by,
        period_began=None if budget.every is None else moment_text(account.began_at),
    )


def amount_text(budget: Budget, amount: int) -> str:
    """An amount as a decimal number."""
    if budget.unit is Unit.TOKENS:
        return str(amount)
    whole, rest = divmod(amount, MICRO)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


__all__ = ["BudgetStanding", "amount_text", "standing_of"]
