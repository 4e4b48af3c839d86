"""How a budget stands: what of it is used, what was added, what is left, and who may add to it."""

from typing import Literal

from pydantic import Field

from ...checkpointing.store.spending.budgets import Account, Balance
from ...events.envelopes import moment_text
from ...rules.budgets.budget import MICRO, Budget, Unit
from ...tools.canonical import JsonObject
from ...tools.results import WireModel


class BudgetStanding(WireModel):
    """How much of one budget is used."""

    schema_version: Literal[1] = 1
    name: str
    unit: Literal["tokens", "money"]
    per: str
    amount: str
    """The bound, without what was added: tokens or money, as a decimal number."""
    raised: str
    """What people added."""
    spent: str
    """What was used, and is reserved for calls in progress."""
    left: str
    """What is left."""
    reserve: str
    """What one call may use; without so much left no model is asked."""
    is_spent: bool
    """Whether one more call has no room: a run stops here until somebody adds to it, or another period begins."""
    raised_by: str | None = None
    """The role that may add to it; None where nobody may."""
    period_began: str | None = Field(default=None)
    """As RFC 3339 in UTC; None where it has no periods."""

    def to_json(self) -> JsonObject:
        """Give it exactly as it is on the wire."""
        return self.model_dump(mode="json", by_alias=True)


def standing_of(budget: Budget, account: Account, balance: Balance) -> BudgetStanding:
    """How a budget stands.

    Args:
        budget: Which.
        account: What it is counted in.
        balance: What is counted there.
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
