"""Budgets: how many tokens, or how much money, models may use per instance, principal or tenant, and the most that one call may use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from enum import StrEnum

from ...tools.approvals.deadlines import duration
from ...tools.canonical import JsonObject
from ...tools.errors import ContractError, PrincipalError
from ...tools.principal import checked_name

MICRO = 1_000_000
"""Money is counted in millionths, so that sums are exact on every database."""
_MOST = 10**15
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")
"""An amount as text. `Decimal` accepts more, such as "1_000", "1e3" and digits of other scripts, which are usually mistakes."""


class BudgetPer(StrEnum):
    """The scope over which a budget adds up usage."""

    TURN = "turn"
    """One run of the graph, which answers one message of the user."""
    INSTANCE = "instance"
    """One workflow instance."""
    PRINCIPAL = "principal"
    """Every turn of one person, over all instances of a tenant."""
    TENANT = "tenant"


class Unit(StrEnum):
    """The unit of a budget."""

    TOKENS = "tokens"
    MONEY = "money"


@dataclass(frozen=True, init=False)
class Budget:
    """A limit on the usage of models. `Budget(tokens=200_000, reserve=32_000, per="instance")`, or `Budget(money="5.00", reserve="0.40")`.

    Before each model call, `reserve` is deducted from the budget. Afterwards, the usage that the model reports replaces it. A call for which
    the budget has no room is not made, so the limit holds as long as no call uses more than `reserve`.

    Attributes:
        name: The name in messages and records.
        unit: Tokens, or money.
        amount: The limit: in tokens, or in millionths of the currency's unit.
        reserve: The most that one call may use, in the same unit. The model's context window is always safe; a smaller number suffices if
            request and answer are bounded in another way.
        per: The scope over which usage is added up: a turn, an instance, a principal or a tenant.
        every: The length of a period in seconds; the count restarts at the beginning of each period, in UTC. None: it never restarts.
        raised_by: The role that may raise the budget; None if nobody may.
    """

    name: str
    unit: Unit
    amount: int
    reserve: int
    per: BudgetPer
    every: float | None
    raised_by: str | None

    def __init__(
        self,
        *,
        tokens: int | None = None,
        money: Decimal | str | int | None = None,
        reserve: Decimal | str | int,
        per: BudgetPer | str = BudgetPer.INSTANCE,
        every: str | None = None,
        raised_by: str | None = None,
        name: str = "",
    ) -> None:
        if (tokens is None) == (money is None):
            raise ContractError("Budget(...): give either tokens= or money=.")
        unit = Unit.TOKENS if money is None else Unit.MONEY
        try:
            counted = BudgetPer(per)
        except ValueError:
            raise ContractError(f"Budget(per={per!r}): give one of {', '.join(BudgetPer)}.") from None
        if counted is BudgetPer.TURN and every is not None:
            raise ContractError("Budget(per='turn', every=...): a turn has one budget; leave out every=.")
        try:
            raised_by = None if raised_by is None else checked_name("Budget.raised_by", raised_by)
            name = name and checked_name("Budget.name", name)
        except PrincipalError as error:
            raise ContractError(f"{error.message}.") from error
        amount, most = counted_in(unit, tokens if money is None else money), counted_in(unit, reserve)
        if not 0 < most <= amount:
            raise ContractError(
                f"Budget(reserve={reserve!r}): give the most that one call may use, which is positive and no more than the budget."
            )
        period = "" if every is None else f" every {every}"
        values = {
            "name": name or f"{unit.value} per {counted.value}{period}",
            "unit": unit,
            "amount": amount,
            "reserve": most,
            "per": counted,
            "every": None if every is None else duration(every),
            "raised_by": raised_by,
        }
        if len(values["name"]) > 64:  # type: ignore[arg-type]
            raise ContractError(f"Budget(name={name!r}): give a name of at most 64 characters.")
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def window(self, now: int) -> int:
        """Return the beginning of the period that contains `now`, in microseconds since 1970 UTC; 0 if the budget has no periods."""
        if self.every is None:
            return 0
        length = int(self.every * 1_000_000)
        return now // length * length

    def shown(self, amount: int) -> str:
        """Return an amount as text, with its unit."""
        if self.unit is Unit.TOKENS:
            return f"{amount} tokens"
        return f"{Decimal(amount) / MICRO:f}"

    def why_spent(self, spent: int, raised: int) -> str | None:
        """Return why there is no room for another call, or None if there is.

        Args:
            spent: What was used, plus what is reserved for calls in progress.
            raised: What was added to the budget.
        """
        if spent + self.reserve <= self.amount + raised:
            return None
        return (
            f"the budget {self.name!r} is spent: {self.shown(spent)} of {self.shown(self.amount + raised)} are used or reserved, and one more call may "
            f"use {self.shown(self.reserve)}"
        )

    def to_json(self) -> JsonObject:
        """As plain data."""
        return {
            "name": self.name,
            "unit": self.unit.value,
            "amount": self.amount,
            "reserve": self.reserve,
            "per": self.per.value,
            "every": self.every,
            "raisedBy": self.raised_by,
        }


def counted_in(unit: Unit, value: object) -> int:
    """Convert an amount to its counted form: whole tokens, or millionths of money, rounded up.

    Raises:
        ContractError: The value is not an amount, is negative, or is too large.
    """
    try:
        if isinstance(value, bool | float) or not isinstance(value, int | str | Decimal):
            raise ValueError
        if isinstance(value, str) and _AMOUNT.fullmatch(value) is None:
            raise ValueError
        if unit is Unit.TOKENS and Decimal(value) % 1:
            raise ValueError
        number = Decimal(value) * (1 if unit is Unit.TOKENS else MICRO)
        if not number.is_finite() or not 0 <= number <= _MOST:
            raise ValueError
    except (ValueError, InvalidOperation):
        raise ContractError(
            f"{value!r} is no amount of {unit.value}: give a whole number of tokens, or money as a text or Decimal, such as '5.00'."
        ) from None
    return int(number.to_integral_value(rounding=ROUND_CEILING))


@dataclass(frozen=True)
class Price:
    """The price of a model per million tokens.

    Attributes:
        input: The price of tokens in the request.
        output: The price of tokens in the answer.
        cached: The price of tokens in the request that the provider had cached; by default the same as `input`.
    """

    input: Decimal | str | int
    output: Decimal | str | int
    cached: Decimal | str | int | None = None

    def __post_init__(self) -> None:
        for value in (self.input, self.output, *(() if self.cached is None else (self.cached,))):
            counted_in(Unit.MONEY, value)

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> int:
        """Return the cost of a call in millionths of the currency's unit, rounded up."""
        cached = min(cached_tokens, input_tokens)
        dear = Decimal(input_tokens - cached) * Decimal(self.input)
        cheap = Decimal(cached) * Decimal(self.input if self.cached is None else self.cached)
        total = dear + cheap + Decimal(output_tokens) * Decimal(self.output)  # per million tokens, so in millionths
        return int(total.to_integral_value(rounding=ROUND_CEILING))


Prices = Mapping[str, Price]
"""Prices by the name of the model in its messages; `"*"` matches any other model."""

__all__ = ["MICRO", "Budget", "BudgetPer", "Price", "Prices", "Unit", "counted_in"]
