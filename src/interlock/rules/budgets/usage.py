"""The usage of a model call, by the figures that it reports. A call without figures counts with its whole reservation."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage

from .budget import Budget, Price, Prices, Unit

ANY_MODEL = "*"


def used(budget: Budget, messages: Iterable[Any], prices: Prices) -> int:
    """Compute how much of a budget the messages of one call used.

    A message counts as a whole reservation if it has no figures or invalid ones, or, for money, if its model has no price. A call without
    messages counts as a whole reservation too.

    Args:
        budget: The budget.
        messages: The messages that the call produced; only those of the model count.
        prices: Prices by model name.

    Returns:
        Tokens, or millionths of money.
    """
    said = [message for message in messages if isinstance(message, AIMessage)]
    if not said:
        return budget.reserve
    return sum(_usage_of(budget, message, prices) for message in said)


def _usage_of(budget: Budget, message: AIMessage, prices: Prices) -> int:
    figures: Mapping[str, Any] = message.usage_metadata or {}
    counts = [figures.get("input_tokens"), figures.get("output_tokens"), figures.get("total_tokens")]
    if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts):
        return budget.reserve
    asked, answered, total = (int(count or 0) for count in counts)
    if budget.unit is Unit.TOKENS:
        return max(total, asked + answered)
    price = price_of(message, prices)
    if price is None:
        return budget.reserve
    details = figures.get("input_token_details") or {}
    cached = details.get("cache_read", 0) if isinstance(details, Mapping) else 0
    known = isinstance(cached, int) and not isinstance(cached, bool) and cached >= 0
    # Tokens that only the total includes have the higher price, that of output tokens.
    return price.cost(asked, answered + max(0, total - asked - answered), int(cached) if known else 0)


def price_of(message: AIMessage, prices: Prices) -> Price | None:
    """The price of the model that wrote a message."""
    said = message.response_metadata or {}
    for key in ("model_name", "model"):
        name = said.get(key)
        if isinstance(name, str) and name in prices:
            return prices[name]
    return prices.get(ANY_MODEL)


__all__ = ["ANY_MODEL", "price_of", "used"]
