"""Raising a budget by somebody who may, and what of a budget is left."""

from typing import Literal

from pydantic import Field
from sqlalchemy.engine import Connection

from ...checkpointing.store import AuditKind, Instance
from ...checkpointing.store import audit as audit_rows
from ...checkpointing.store.spending import budgets as rows
from ...events.envelopes import moment_text
from ...rules.budgets.budget import MICRO, Budget, BudgetPer, Unit, counted_in
from ...tools.canonical import JsonObject
from ...tools.errors import ContractError, InputError, PrincipalError
from ...tools.ids import AuditRef, derive
from ...tools.principal import Principal
from ...tools.results import WireModel
from ...tools.storable import why_not_storable
from ..running.engine import Engine
from .spending import account_of

LONGEST_REASON = 2000


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
    period_began: str | None = Field(default=None)
    """As RFC 3339 in UTC; None where it has no periods."""

    def to_json(self) -> JsonObject:
        """Return it as JSON data, exactly as on the wire."""
        return self.model_dump(mode="json", by_alias=True)


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
    """Add to a budget, in a write transaction; once under its key.

    Raises:
        RunError: There is no such instance for their tenant.
        InputError: There is no such budget, or the amount, the reason or the key is none.
        PrincipalError: They may not; the caller records it.
    """
    unit = engine.store.unit(connection, workflow_id)
    instance = engine.owned(None if unit is None else unit.instance, by, workflow_id)
    assert unit is not None  # noqa: S101 -- `owned` has refused None
    budget = _named(engine, name)
    _may(budget, instance, by)
    amount = _amount(budget, more)
    text = reason.strip()
    if not text or len(text) > LONGEST_REASON or why_not_storable(text) is not None or not key:
        raise InputError(
            f"A budget is raised with a reason of 1 to {LONGEST_REASON} characters and a key of the caller's own. Nothing was raised.",
            code="no_reason",
        )
    account = account_of(budget, instance, instance.proposer, "", unit.now)
    audit_ref = AuditRef(derive("audit", "raised", workflow_id, budget.name, key))
    if not audit_rows.exists(connection, workflow_id, audit_ref):
        rows.locked(connection, [account], unit.now)
        rows.add(connection, account, raised=amount, now=unit.now)
        unit.record(
            AuditKind.BUDGET_RAISED,
            by,
            {"budget": budget.name, "more": _shown(budget, amount), "unit": budget.unit.value, "reason": text},
            audit_ref=audit_ref,
        )
        unit.flush()
    return _standing(connection, budget, instance, unit.now)


def standings(engine: Engine, connection: Connection, instance: Instance) -> list[BudgetStanding]:
    """How much is used of the budgets that the next call of a model on an instance is counted in, but those of a turn.

    Args:
        engine: The workflow.
        connection: Any.
        instance: The instance; the person is the one whose turn it is.
    """
    now = engine.store.now(connection)
    counted = [one for one in engine.definition.budgets if one.per is not BudgetPer.TURN]
    return [_standing(connection, one, instance, now) for one in counted]


def _amount(budget: Budget, more: object) -> int:
    try:
        amount = counted_in(budget.unit, more)
    except ContractError as error:
        raise InputError(f"{error.message} Nothing was raised.", code="no_amount") from error
    if amount <= 0:
        raise InputError("A budget is raised by a positive amount. Nothing was raised.", code="no_amount")
    return amount


def _named(engine: Engine, name: str) -> Budget:
    found = next((one for one in engine.definition.budgets if one.name == name), None)
    if found is None:
        known = ", ".join(repr(one.name) for one in engine.definition.budgets) or "none"
        raise InputError(
            f"The workflow {engine.definition.name} has no budget {name!r}; it has {known}. Nothing was raised.",
            code="unknown_budget",
        )
    return found


def _may(budget: Budget, instance: Instance, by: Principal) -> None:
    """See that somebody may raise a budget: they have its role, and do not raise it for themselves.

    Raises:
        PrincipalError: `by` is not allowed to.
    """
    if budget.raised_by is None:
        reason = "nobody may raise it"
    elif not by.has_role(budget.raised_by):
        reason = f"it takes the role {budget.raised_by!r}"
    elif by.id in {instance.proposer.id, instance.served}:
        reason = "nobody raises a budget for themselves"
    else:
        return
    raise PrincipalError(
        f"{by.id} may not raise the budget {budget.name!r}: {reason}. Nothing was raised.",
        code="not_entitled",
        details={"workflowId": instance.workflow_id, "budget": budget.name, "reason": reason},
    )


def _standing(connection: Connection, budget: Budget, instance: Instance, now: int) -> BudgetStanding:
    account = account_of(budget, instance, instance.proposer, "", now)
    found = rows.balance(connection, account)
    return BudgetStanding(
        name=budget.name,
        unit=budget.unit.value,
        per=budget.per.value,
        amount=_shown(budget, budget.amount),
        raised=_shown(budget, found.raised),
        spent=_shown(budget, found.spent),
        left=_shown(budget, max(0, budget.amount + found.raised - found.spent)),
        reserve=_shown(budget, budget.reserve),
        period_began=None if budget.every is None else moment_text(account.began_at),
    )


def _shown(budget: Budget, amount: int) -> str:
    if budget.unit is Unit.TOKENS:
        return str(amount)
    whole, rest = divmod(amount, MICRO)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


__all__ = ["BudgetStanding", "Unit", "raise_budget", "standings"]
