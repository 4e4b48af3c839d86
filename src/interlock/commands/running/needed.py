"""The event `interlock.somebody.needed`: a decision is requested or reassigned, an outcome is unknown, a deadline passed.

With `notify=True`, it is emitted through the outbox, in the transaction of its cause. It contains the reason and the people, but no
arguments or data, because its consumers may not be allowed to see those.
"""

import datetime as dt
from typing import Literal

from ...checkpointing.store import ApprovalRequest, LedgerEntry, Unit
from ...checkpointing.store.delegating import delegations as delegation_rows
from ...checkpointing.store.waits import Wait
from ...tools.approvals import Approval
from ...tools.events import Event, moment_of
from ...tools.principal import Principal
from .engine import Engine

Reason = Literal["approval", "escalated", "reassigned", "reminder", "unknown", "overdue", "left_over", "budget"]
_REPEATED = frozenset({"reassigned", "reminder"})
"""The reasons that can occur more than once for a request within one deadline."""


class SomebodyNeeded(Event, name="interlock.somebody.needed", version=1):
    """A workflow instance needs a person: to decide, to resolve an attempt, or to handle a missed deadline."""

    reason: Reason
    """A decision is requested (`approval`), other people are asked now (`escalated`, `reassigned`), a decision is still open (`reminder`), an
    attempt was interrupted (`unknown`), a deadline passed (`overdue`), a cancel could not undo everything (`left_over`), or a run stopped at
    a spent budget that somebody can raise (`budget`).
    """
    state: str
    tool: str | None = None
    approval_id: str | None = None
    idempotency_key: str | None = None
    """The idempotency key of the attempt of unknown outcome."""
    budget: str | None = None
    """The spent budget."""
    role: str | None = None
    """The role that is asked; None if the person served confirms, or if the rule names no role."""
    people: tuple[str, ...] = ()
    """The people who are asked by name."""
    delegates: tuple[str, ...] = ()
    """The current delegates of these people."""
    confirmed_by: str | None = None
    """The person served, if that person has to confirm."""
    requested_by: str | None = None
    deadline: dt.datetime | None = None
    """The deadline of the decision; for `overdue`, the deadline that passed."""


def asked(engine: Engine, unit: Unit, approval: ApprovalRequest, reason: Reason) -> None:
    """Emit the event for an approval: it was requested, escalated or reassigned, or was not decided in time."""
    if not engine.definition.notify:
        return
    rule = approval.rule
    people = named_in(rule)
    acting = delegation_rows.of_people(unit.connection, approval.tenant, people, unit.now)
    event = SomebodyNeeded(
        reason=reason,
        state=approval.state,
        tool=approval.tool,
        approval_id=approval.approval_id,
        role=rule.role,
        people=tuple(sorted(people)),
        delegates=tuple(sorted({one.delegate for one in acting} - {approval.requester.id})),
        confirmed_by=unit.instance.served if rule.confirmation else None,
        requested_by=approval.requester.id,
        deadline=_moment(approval.expires_at),
    )
    about: tuple[str | int | None, ...] = (approval.approval_id, approval.expires_at)
    if reason in _REPEATED:
        about = (*about, unit.now, unit.instance.audit_count)
    _emit(engine, unit, event, about, approval.requester)


def named_in(rule: Approval) -> frozenset[str]:
    """The ids of the people whom a rule names."""
    return rule.by if isinstance(rule.by, frozenset) else frozenset()


def broke_off(engine: Engine, unit: Unit, entry: LedgerEntry, requester: Principal) -> None:
    """Emit the event for an attempt of unknown outcome."""
    event = SomebodyNeeded(
        reason="unknown",
        state=unit.instance.state,
        tool=entry.tool,
        idempotency_key=entry.idempotency_key,
        requested_by=requester.id,
    )
    _emit(engine, unit, event, (entry.idempotency_key, entry.attempt), requester)


def timed_out(engine: Engine, unit: Unit, wait: Wait, by: Principal) -> None:
    """Emit the event for a wait that its deadline ended."""
    event = SomebodyNeeded(reason="overdue", state=wait.state, deadline=_moment(wait.due_at))
    _emit(engine, unit, event, (wait.wait_id,), by)


def left_over(engine: Engine, unit: Unit, by: Principal) -> None:
    """Emit the event for a cancel that left calls for a person."""
    _emit(engine, unit, SomebodyNeeded(reason="left_over", state=unit.instance.state), (), by)


def budget_spent(  # noqa: PLR0917 -- one sentence
    engine: Engine, unit: Unit, budget: str, role: str, by: Principal, stop: str
) -> None:
    """Emit the event for a run that stopped at a budget that somebody can raise.

    Args:
        engine: The workflow.
        unit: The instance, in a write transaction.
        budget: The name of the budget.
        role: The role that can raise it.
        by: The principal of the turn.
        stop: The id of the stop's record, so that the event is emitted once per stop.
    """
    event = SomebodyNeeded(reason="budget", state=unit.instance.state, budget=budget, role=role, requested_by=by.id)
    _emit(engine, unit, event, (stop,), by)


def _emit(
    engine: Engine, unit: Unit, event: SomebodyNeeded, about: tuple[str | int | None, ...], by: Principal
) -> None:
    if not engine.definition.notify:
        return
    about = ("needed", unit.instance.workflow_id, event.reason, *about)
    unit.announce(event, by, source="/interlock/notifications", about=about)


def _moment(microseconds: int | None) -> dt.datetime | None:
    return None if microseconds is None else moment_of(microseconds)


__all__ = ["Reason", "SomebodyNeeded", "asked", "broke_off", "budget_spent", "left_over", "named_in", "timed_out"]
