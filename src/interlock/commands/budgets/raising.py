"""Raises a budget, and computes what is left of it."""

from sqlalchemy.engine import Connection

from ...checkpointing.reasons import checked_reason
from ...checkpointing.store import AuditKind, Instance
from ...checkpointing.store import audit as audit_rows
from ...checkpointing.store.spending import budgets as rows
from ...rules.budgets.budget import Budget, BudgetPer, counted_in
from ...tools.errors import ContractError, InputError, PrincipalError
from ...tools.ids import AuditRef, derive
from ...tools.principal import Principal
from ...tools.storable import why_not_storable
from ..running.engine import Engine
from .spending import account_of
from .standing import BudgetStanding, amount_text, standing_of

LONGEST_KEY = 128
"""The maximum length of a key, in characters."""


def raise_budget(  # noqa: PLR0917 -- one act
    engine: Engine,
    connection: Connection,
    workflow_id: str,
    name: str,
    more: object,
    reason: str,
    key: str,
    by: Principal,
) -> BudgetStanding:
    """Raise a budget, in a write transaction; at most once per key.

    Raises:
        RunError: The tenant of `by` has no such instance.
        InputError: There is no such budget, or the amount, the reason or the key is invalid.
        PrincipalError: `by` may not raise it; the caller records that.
    """
    unit = engine.store.unit(connection, workflow_id)
    instance = engine.owned(None if unit is None else unit.instance, by, workflow_id)
    assert unit is not None  # noqa: S101 -- `owned` has refused None
    budget = _named(engine, name)
    _check_may(budget, instance, by)
    amount = _amount(budget, more)
    text = checked_reason(reason, "The reason for raising a budget", otherwise="Nothing was raised.")
    _check_key(key)
    account = account_of(budget, instance, instance.proposer, "", unit.now)
    audit_ref = AuditRef(derive("audit", "raised", workflow_id, budget.name, key))
    if not audit_rows.exists(connection, workflow_id, audit_ref):
        (before,) = rows.locked(connection, [account], unit.now)
        _check_sum(budget, before.raised + amount)
        rows.add(connection, account, raised=amount, now=unit.now)
        unit.record(
            AuditKind.BUDGET_RAISED,
            by,
            {"budget": budget.name, "more": amount_text(budget, amount), "unit": budget.unit.value, "reason": text},
            audit_ref=audit_ref,
        )
        unit.flush()
    return _standing(connection, budget, instance, unit.now)


def standings(engine: Engine, connection: Connection, instance: Instance) -> list[BudgetStanding]:
    """The use of each budget in which the next model call on an instance is counted, except budgets of a turn.

    Args:
        engine: The workflow.
        connection: A connection, in any transaction.
        instance: The instance; budgets per principal are those of the principal of its turn.
    """
    now = engine.store.now(connection)
    counted = [one for one in engine.definition.budgets if one.per is not BudgetPer.TURN]
    return [_standing(connection, one, instance, now) for one in counted]


def _check_sum(budget: Budget, raised: int) -> None:
    try:
        counted_in(budget.unit, amount_text(budget, raised))
    except ContractError as error:
        raise InputError(
            f"The budget {budget.name!r} would be raised to more than can be counted. Nothing was raised.",
            code="no_amount",
        ) from error


def _amount(budget: Budget, more: object) -> int:
    try:
        amount = counted_in(budget.unit, more)
    except ContractError as error:
        raise InputError(f"{error.message} Nothing was raised.", code="no_amount") from error
    if amount <= 0:
        raise InputError("A budget is raised by a positive amount. Nothing was raised.", code="no_amount")
    return amount


def _check_key(key: object) -> None:
    if not isinstance(key, str) or not 0 < len(key.strip()) <= LONGEST_KEY or why_not_storable(key) is not None:
        raise InputError(
            f"A budget is raised under a key of the caller's own, text of 1 to {LONGEST_KEY} characters: the same key raises it once. Nothing was "
            "raised.",
            code="no_key",
        )


def _named(engine: Engine, name: str) -> Budget:
    found = next((one for one in engine.definition.budgets if one.name == name), None)
    if found is None:
        known = ", ".join(repr(one.name) for one in engine.definition.budgets) or "none"
        raise InputError(
            f"The workflow {engine.definition.name} has no budget {name!r}; it has {known}. Nothing was raised.",
            code="unknown_budget",
        )
    return found


def why_not_raise(budget: Budget, instance: Instance, by: Principal) -> str | None:
    """Why a principal may not raise a budget; None if they may: they have its role, and do not raise it for themselves.

    Args:
        budget: The budget.
        instance: The instance whose calls it counts.
        by: The principal.
    """
    if budget.raised_by is None:
        return "nobody may raise it"
    if not by.has_role(budget.raised_by):
        return f"it takes the role {budget.raised_by!r}"
    if by.id in {instance.proposer.id, instance.served}:
        return "nobody raises a budget for themselves"
    return None


def _check_may(budget: Budget, instance: Instance, by: Principal) -> None:
    if (reason := why_not_raise(budget, instance, by)) is not None:
        raise PrincipalError(
            f"{by.id} may not raise the budget {budget.name!r}: {reason}. Nothing was raised.",
            code="not_entitled",
            details={"workflowId": instance.workflow_id, "budget": budget.name, "reason": reason},
        )


def _standing(connection: Connection, budget: Budget, instance: Instance, now: int) -> BudgetStanding:
    account = account_of(budget, instance, instance.proposer, "", now)
    return standing_of(budget, account, rows.balance(connection, account))


__all__ = ["BudgetStanding", "raise_budget", "standings", "why_not_raise"]
