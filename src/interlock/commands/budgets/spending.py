"""Reserves the usage of a model call, and counts the actual usage.

Each is a separate transaction. The reservation of a process that died, or of a failed call, stays counted, because it is unknown whether
the provider charges for the call. So a budget can be exceeded only by a call that uses more than its reservation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from sqlalchemy.engine import Connection

from ...checkpointing.store import Instance
from ...checkpointing.store.spending import budgets as rows
from ...checkpointing.store.spending.budgets import Account
from ...rules.budgets.budget import Budget, BudgetPer
from ...rules.budgets.usage import used
from ...tools.errors import CommitUnknown
from ...tools.principal import Principal
from ..running.engine import Engine, logger
from ..running.operations import InStore, Steps
from .standing import BudgetStanding, standing_of


@dataclass(frozen=True)
class Reserved:
    """The reservations for one model call."""

    parts: tuple[tuple[Budget, Account], ...] = ()


@dataclass(frozen=True)
class Spent:
    """A budget without room for another call."""

    reason: str
    standing: BudgetStanding


def reserve(
    engine: Engine,
    instance: Instance,
    requester: Principal,
    messages: Sequence[AnyMessage],
    *,
    is_free: bool = False,
) -> Steps[Reserved | Spent]:
    """Reserve the usage of one model call in every budget of the workflow, or in none.

    Args:
        engine: The workflow.
        instance: The instance of the call.
        requester: The principal of the turn.
        messages: The conversation; its last message of the user identifies the turn.
        is_free: Whether the call is not a model call.
    """
    if is_free or not engine.definition.budgets:
        return Reserved()
    done: Reserved | Spent = yield InStore(partial(_reserve, engine, instance, requester, turn_of(messages)))
    return done


def settle(engine: Engine, reserved: Reserved, messages: Iterable[Any]) -> Steps[None]:
    """Replace the reservations of a call by its actual usage.

    Args:
        engine: The workflow.
        reserved: The result of `reserve`.
        messages: The messages of the call; empty for a failed call, whose reservation stays counted.
    """
    if not reserved.parts:
        return
    said = [*messages]
    changes = [
        (account, used(budget, said, engine.definition.prices) - budget.reserve) for budget, account in reserved.parts
    ]
    try:
        yield InStore(partial(_settle, engine, changes))
    except CommitUnknown:
        # Repeating this could release a reservation twice. In the worst case, the reservation stays counted.
        logger.warning("whether a call of a model was settled is not known; its reservation may stay counted")


def accounts(
    definition_budgets: Sequence[Budget], instance: Instance, requester: Principal, turn: str, now: int
) -> list[tuple[Budget, Account]]:
    """The account of each budget for one call."""
    return [(one, account_of(one, instance, requester, turn, now)) for one in definition_budgets]


def account_of(budget: Budget, instance: Instance, requester: Principal, turn: str, now: int) -> Account:
    """The account in which a budget counts a call.

    Args:
        budget: The budget.
        instance: The instance.
        requester: The principal of the turn.
        turn: The turn.
        now: Microseconds since 1970 UTC.
    """
    workflow, tenant = instance.workflow, instance.tenant
    match budget.per:
        case BudgetPer.TURN:
            scope, mine = rows.scope_of("turn", instance.workflow_id, turn), instance.workflow_id
        case BudgetPer.INSTANCE:
            scope, mine = instance.workflow_id, instance.workflow_id
        case BudgetPer.PRINCIPAL:
            return Account(rows.scope_of("person", tenant, workflow, requester.id), budget.name, budget.window(now))
        case BudgetPer.TENANT:
            return Account(rows.scope_of("tenant", tenant, workflow), budget.name, budget.window(now))
    return Account(scope, budget.name, budget.window(now), mine)


def turn_of(messages: Sequence[AnyMessage]) -> str:
    """The identifier of a turn: the id of the user's last message."""
    last = next((one for one in reversed(messages) if isinstance(one, HumanMessage)), None)
    return "" if last is None or last.id is None else str(last.id)


def _reserve(
    engine: Engine, instance: Instance, requester: Principal, turn: str, connection: Connection
) -> Reserved | Spent:
    now = engine.store.now(connection)
    parts = accounts(engine.definition.budgets, instance, requester, turn, now)
    balances = rows.locked(connection, [account for _, account in parts], now)
    for (budget, account), balance in zip(parts, balances, strict=True):
        if (reason := budget.why_spent(balance.spent, balance.raised)) is not None:
            return Spent(reason, standing_of(budget, account, balance))
    for budget, account in parts:
        rows.add(connection, account, spent=budget.reserve, now=now)
    return Reserved(tuple(parts))


def _settle(engine: Engine, changes: Sequence[tuple[Account, int]], connection: Connection) -> None:
    now = engine.store.now(connection)
    for account, change in sorted(changes, key=lambda one: (one[0].scope, one[0].budget, one[0].began_at)):
        if change:
            rows.add(connection, account, spent=change, now=now)


__all__ = ["Reserved", "Spent", "account_of", "accounts", "reserve", "settle", "turn_of"]
