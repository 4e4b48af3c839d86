"""Items that need a person: open approvals, attempts with an unknown outcome, overdue waits, and failed events.

Each kind is read from its own index, the oldest first, so the cost does not depend on the number of instances.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.approvals import Approval
from ...tools.principal import recorded_principal
from ..store import ledger as ledger_rows
from ..store import waits as wait_rows
from ..store.approvals import ApprovalStatus
from ..store.inbox import InboxStatus
from ..store.ledger import LedgerEntry, LedgerStatus
from ..store.outbox import OutboxStatus
from ..store.sql.json_text import read_json
from ..tables.workflow import approvals, definitions, inbox, instances, ledger, outbox, waits, webhooks

Kind = Literal["approval", "unknown", "overdue", "event"]
KINDS: tuple[Kind, ...] = ("approval", "unknown", "overdue", "event")


@dataclass(frozen=True)
class Item:
    """One thing that needs a person."""

    kind: Kind
    id: str
    """Of the approval, the attempt (its idempotency key), the wait or the event."""
    what: str
    who: str
    """Who asked for it, or who is needed."""
    workflow_id: str | None
    since: int
    """Microseconds since 1970 UTC."""
    until: int | None = None
    note: str | None = None


def attention(
    connection: Connection,
    *,
    tenant: str | None,
    workflow: str | None = None,
    person: str | None = None,
    now: int,
    limit: int = 100,
    kinds: Collection[Kind] = KINDS,
) -> list[Item]:
    """Everything within a tenant that needs a person, the oldest first.

    Args:
        connection: A transaction.
        tenant: The tenant; None for all of them.
        workflow: The name of the workflow; None for any.
        person: Of the instances that serve this person; None for anybody.
        now: The time, in microseconds since 1970 UTC.
        limit: How many of each kind at most.
        kinds: Which kinds.
    """
    over = _Over(connection, tenant, workflow, person, limit)
    found: list[Item] = []
    for kind in kinds:
        match kind:
            case "approval":
                found += _approvals(over)
            case "unknown":
                found += _unknown(over, now)
            case "overdue":
                found += _overdue(over, now)
            case "event":
                found += _events(over)
    return sorted(found, key=lambda one: one.since)


@dataclass(frozen=True)
class _Over:
    """What is checked."""

    connection: Connection
    tenant: str | None
    workflow: str | None
    person: str | None
    limit: int

    def of(self, table: sa.Table, *, workflow: str | None = "workflow") -> list[sa.ColumnElement[bool]]:
        """The conditions on a table; `workflow` is its column with the workflow's name, None if it has none."""
        conditions = _of(table.c.tenant, self.tenant)
        instance: list[sa.ColumnElement[bool]] = _of(instances.c.served, self.person)
        if workflow is not None:
            conditions += _of(table.c[workflow], self.workflow)
        else:
            instance += _of(instances.c.workflow, self.workflow)
        if instance:
            of_them = sa.select(instances.c.workflow_id).where(*_of(instances.c.tenant, self.tenant), *instance)
            conditions.append(table.c.workflow_id.in_(of_them))
        return conditions


def _approvals(over: _Over) -> list[Item]:
    columns = approvals.c
    statement = (
        sa.select(
            columns.approval_id,
            columns.tool,
            columns.requester,
            columns.rule,
            columns.workflow_id,
            columns.requested_at,
            columns.expires_at,
        )
        .where(columns.status == ApprovalStatus.REQUESTED.value, *over.of(approvals))
        .order_by(columns.requested_at, columns.approval_id)
        .limit(over.limit)
    )
    items = []
    for row in over.connection.execute(statement):
        rule = Approval.from_json(read_json(row.rule))
        asked = recorded_principal(read_json(row.requester)).id
        items.append(
            Item(
                "approval",
                row.approval_id,
                row.tool,
                asked,
                row.workflow_id,
                row.requested_at,
                row.expires_at,
                decided_by(rule),
            )
        )
    return items


def decided_by(rule: Approval) -> str:
    """Who decides on an approval, in a few words."""
    needed = f"the role {rule.role}" if rule.role and rule.by is None else rule.who
    return f"to be decided by {needed}"


def _unknown(over: _Over, now: int) -> list[Item]:
    columns = ledger.c
    # A subquery for each of the few unsettled attempts: with a join, or the ledger's own tenant, SQLite would scan many rows.
    of_instance = sa.select(instances.c.workflow_id).where(
        instances.c.workflow_id == columns.workflow_id,
        broke_off(now),
        *_of(instances.c.tenant, over.tenant),
        *_of(instances.c.workflow, over.workflow),
        *_of(instances.c.served, over.person),
    )
    statement = (
        sa.select(columns.idempotency_key, columns.tool, columns.principal_id, columns.workflow_id, columns.started_at)
        .where(ledger_rows.IS_UNSETTLED, of_instance.correlate(ledger).exists())
        .order_by(columns.started_at)
        .limit(over.limit)
    )
    return [
        Item(
            "unknown",
            row.idempotency_key,
            row.tool,
            row.principal_id or "nobody in particular",
            row.workflow_id,
            row.started_at,
        )
        for row in over.connection.execute(statement)
    ]


def broke_off(now: int) -> sa.ColumnElement[bool]:
    """Whether an attempt, joined to its instance, was interrupted: its outcome is unknown, or it is in progress without a valid lease."""
    return sa.or_(
        ledger.c.status == LedgerStatus.UNKNOWN.value,
        sa.and_(
            ledger.c.status == LedgerStatus.STARTED.value,
            sa.or_(instances.c.lease_until.is_(None), instances.c.lease_until < now),
        ),
    )


def _overdue(over: _Over, now: int) -> list[Item]:
    columns = waits.c
    statement = (
        sa.select(
            columns.wait_id, columns.state, columns.workflow, columns.workflow_id, columns.opened_at, columns.due_at
        )
        .where(wait_rows.IS_OPEN, columns.due_at < now, *over.of(waits))
        .order_by(columns.due_at)
        .limit(over.limit)
    )
    statements = [statement]
    if over.tenant is None and over.workflow is None:
        # No index starts with the deadline, only with the workflow.
        names = over.connection.execute(sa.select(definitions.c.workflow).distinct()).scalars().all()
        statements = [statement.where(columns.workflow == name) for name in names]
    found = [row for one in statements for row in over.connection.execute(one)]
    return [
        Item(
            "overdue", row.wait_id, f"an event in {row.state}", row.workflow, row.workflow_id, row.opened_at, row.due_at
        )
        for row in sorted(found, key=lambda row: row.due_at)[: over.limit]
    ]


def _events(over: _Over) -> list[Item]:
    sent, taken = outbox.c, inbox.c
    dead = (
        sa.select(sent.event_id, sent.event_name, sent.workflow_id, sent.created_at, sent.error)
        .where(sent.status == OutboxStatus.DEAD.value, *over.of(outbox, workflow=None))
        .order_by(sent.position)
        .limit(over.limit)
    )
    failed = (
        sa.select(taken.event_id, taken.event_name, taken.workflow_id, taken.received_at, taken.note, taken.source)
        .where(taken.status == InboxStatus.FAILED.value, *over.of(inbox, workflow="consumer"))
        .order_by(taken.position)
        .limit(over.limit)
    )
    items = [
        Item("event", row.event_id, row.event_name, "the relay", row.workflow_id, row.created_at, None, row.error)
        for row in over.connection.execute(dead)
    ]
    items += [
        Item("event", row.event_id, row.event_name, row.source, row.workflow_id, row.received_at, None, row.note)
        for row in over.connection.execute(failed)
    ]
    hooks = webhooks.c
    # A subquery for each name, because with a join SQLite may read the whole outbox.
    name = sa.select(sent.event_name).where(sent.event_id == hooks.event_id).scalar_subquery()
    given_up = (
        sa.select(
            hooks.event_id,
            hooks.hook,
            hooks.workflow_id,
            hooks.created_at,
            hooks.error,
            name.label("event_name"),
        )
        .where(hooks.status == OutboxStatus.DEAD.value, *over.of(webhooks, workflow=None))
        .order_by(hooks.next_attempt_at)
        .limit(over.limit)
    )
    items += [
        Item(
            "event",
            row.event_id,
            row.event_name,
            f"the webhook {row.hook}",
            row.workflow_id,
            row.created_at,
            None,
            row.error,
        )
        for row in over.connection.execute(given_up)
        if row.event_name is not None  # otherwise the event was trimmed and cannot be sent any more
    ]
    return items


def _of(column: sa.ColumnElement[str], value: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if value is None else [column == value]


def attempts_of(connection: Connection, workflow_id: str, now: int) -> list[LedgerEntry]:
    """The interrupted attempts of an instance with an unknown outcome, the oldest first."""
    statement = (
        sa.select(ledger)
        .join_from(ledger, instances, instances.c.workflow_id == ledger.c.workflow_id)
        .where(ledger.c.workflow_id == workflow_id, broke_off(now))
        .order_by(ledger.c.started_at)
    )
    return [ledger_rows.from_row(row) for row in connection.execute(statement)]


__all__ = ["KINDS", "Item", "Kind", "attempts_of", "attention", "decided_by"]
