"""The event that leaves when somebody is needed: a decision is asked for or passed on, an outcome is not known, a time is over.

It leaves through the outbox, in the transaction that makes it so, where the workflow says `notify=True`. It says who and what is meant, and
nothing of the arguments or the data: it goes to places that have no business with those.
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
"""What can happen more than once to a request within one deadline."""


class SomebodyNeeded(Event, name="interlock.somebody.needed", version=1):
    """A workflow instance needs a person: to decide, to find out what became of an attempt, or to see why a time ran out."""

    reason: Reason
    """A decision is asked for (`approval`), others are asked now (`escalated`, `reassigned`), a decision still waits (`reminder`), an attempt
    broke off (`unknown`), nobody decided, or nothing came, in time (`overdue`), a cancel could not undo everything (`left_over`), or a run stopped
    at a spent budget that somebody may raise (`budget`).
    """
    state: str
    tool: str | None = None
    approval_id: str | None = None
    idempotency_key: str | None = None
    """Of the attempt whose outcome is not known."""
    budget: str | None = None
    """The budget that is spent."""
    role: str | None = None
    """Who is asked: a role; None where the person served confirms, or where the rule names nobody in particular."""
    people: tuple[str, ...] = ()
    """The people who are asked by name."""
    delegates: tuple[str, ...] = ()
    """Those who may decide for some of them now, by the delegations that they made."""
    confirmed_by: str | None = None
    """The person served, where they are the one who is asked."""
    requested_by: str | None = None
    deadline: dt.datetime | None = None
    """Until when it can be decided; for `overdue`, when the time was over."""


def asked(engine: Engine, unit: Unit, approval: ApprovalRequest, reason: Reason) -> None:
    """Say that an approval needs somebody: it is asked for, passed to another role, or was not decided in time."""
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
    """The ids of the people whom a rule asks by name."""
    return rule.by if isinstance(rule.by, frozenset) else frozenset()


def broke_off(engine: Engine, unit: Unit, entry: LedgerEntry, requester: Principal) -> None:
    """Say that nobody knows what became of an attempt."""
    event = SomebodyNeeded(
        reason="unknown",
        state=unit.instance.state,
        tool=entry.tool,
        idempotency_key=entry.idempotency_key,
        requested_by=requester.id,
    )
    _emit(engine, unit, event, (entry.idempotency_key, entry.attempt), requester)


def timed_out(engine: Engine, unit: Unit, wait: Wait, by: Principal) -> None:
    """Say that a wait ended by its deadline."""
    event = SomebodyNeeded(reason="overdue", state=wait.state, deadline=_moment(wait.due_at))
    _emit(engine, unit, event, (wait.wait_id,), by)


def left_over(engine: Engine, unit: Unit, by: Principal) -> None:
    """Say that a cancel left something for a person."""
    _emit(engine, unit, SomebodyNeeded(reason="left_over", state=unit.instance.state), (), by)


def budget_spent(  # noqa: PLR0917 -- one sentence
    engine: Engine, unit: Unit, budget: str, role: str, by: Principal, stop: str
) -> None:
    """Say that a run stopped at a budget which somebody may raise.

    Args:
        engine: The workflow.
        unit: The instance, in a write transaction.
        budget: Its name.
        role: Who may raise it.
        by: Whose turn it is.
        stop: The record of the stop, of which it is told once.
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
