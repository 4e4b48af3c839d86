"""Looking through instances, page by page: the newest first, with what each waits for.

A page costs the same whether the database has ten instances or a million: it begins where the page before ended (keyset paging), and
what an instance waits for is looked up for the rows of the page alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import InputError
from ..store import instances as instance_rows
from ..store.approvals import ApprovalStatus
from ..store.instances import Instance
from ..store.ledger import LedgerStatus
from ..store.waits import WaitStatus
from ..tables.workflow import approvals, instances, ledger, waits

WaitsFor = Literal["resolution", "approval", "event"]
"""Why an instance does not move: an attempt of unknown outcome, a decision, or an event."""
WAITS_FOR: tuple[WaitsFor, ...] = ("resolution", "approval", "event")
LARGEST = 1000

_HOLDS: Mapping[WaitsFor, tuple[sa.Table, str]] = {
    "resolution": (ledger, LedgerStatus.UNKNOWN.value),
    "approval": (approvals, ApprovalStatus.REQUESTED.value),
    "event": (waits, WaitStatus.OPEN.value),
}

_NEWEST_FIRST = (instances.c.created_at.desc(), instances.c.workflow_id.desc())


@dataclass(frozen=True)
class Wanted:
    """Which instances are looked for; None is any."""

    tenant: str | None = None
    workflow_id: str | None = None
    workflow: str | None = None
    state: str | None = None
    served: str | None = None
    """The id of the person whom they serve."""
    waiting: WaitsFor | None = None
    """What they wait for."""
    thread_id: str | None = None
    changed_before: int | None = None
    """Not changed since, in microseconds since 1970 UTC: those that do not move."""
    running: bool = False
    """Only those that are not in a final state."""


@dataclass(frozen=True)
class Listed:
    """An instance in a list."""

    instance: Instance
    waits_for: WaitsFor | None
    """What holds it; None when nothing does."""


@dataclass(frozen=True)
class InstancePage:
    """Some of the instances that were looked for, the newest first."""

    instances: tuple[Listed, ...]
    next: str | None
    """What to ask for as `after` to continue; None when there are no more."""


def page(
    connection: Connection, wanted: Wanted, *, limit: int = 100, after: str | None = None, look_at: int | None = None
) -> InstancePage:
    """A page of instances, those that began last first.

    Args:
        connection: A transaction.
        wanted: Which ones.
        limit: How many at most, from 1 to 1000.
        after: The `next` of the page before.
        look_at: Through how many instances of the tenant to look at most. Where that many hold fewer than `limit` that are wanted, the page
            is short, or empty, and its `next` continues from there.

    Raises:
        InputError: `after` is not what a page gave, or the limit is out of bounds.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST:
        raise InputError(f"A page holds from 1 to {LARGEST} instances, and {limit!r} were asked for.")
    begins = [] if after is None else _after(*_cursor(after))
    if look_at is None or wanted.workflow_id is not None or wanted.thread_id is not None:
        statement = sa.select(instances).where(*_conditions(wanted, instances.c), *begins).order_by(*_NEWEST_FIRST)
    else:
        statement = _within(wanted, begins, look_at)
    found = [instance_rows.from_row(row) for row in connection.execute(statement.limit(limit + 1))]
    shown = found[:limit]
    holds = waits_for(connection, [one.workflow_id for one in shown])
    ends: tuple[int, str] | None = None
    if len(found) > limit:
        ends = shown[-1].created_at, shown[-1].workflow_id
    elif look_at is not None:
        ends = _last_of(connection, wanted, begins, look_at)
    return InstancePage(
        tuple(Listed(one, holds.get(one.workflow_id)) for one in shown),
        None if ends is None else f"{ends[0]}.{ends[1]}",
    )


def _after(at: int, workflow_id: str) -> list[sa.ColumnElement[bool]]:
    # Said in two parts so that every database walks its index instead of sorting.
    return [
        instances.c.created_at <= at,
        sa.or_(instances.c.created_at < at, instances.c.workflow_id < workflow_id),
    ]


def _within(wanted: Wanted, begins: list[sa.ColumnElement[bool]], number: int) -> sa.Select[Any]:
    """Those that are wanted among so many instances. They are looked at in their order, until there are enough for a page.

    What they wait for is looked up for each of them, and not for all that wait: most of those are on other pages.
    """
    looked_at = sa.select(instances).where(*_owned(wanted), *begins).order_by(*_NEWEST_FIRST).limit(number).subquery()
    newest_first = (looked_at.c.created_at.desc(), looked_at.c.workflow_id.desc())
    return sa.select(looked_at).where(*_conditions(wanted, looked_at.c)).order_by(*newest_first)


def _owned(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """The conditions that the index of the order has."""
    owners = ((instances.c.tenant, wanted.tenant), (instances.c.served, wanted.served))
    return [column == value for column, value in owners if value is not None]


def _last_of(
    connection: Connection, wanted: Wanted, begins: list[sa.ColumnElement[bool]], number: int
) -> tuple[int, str] | None:
    """The last of so many instances, whatever is wanted of them; None when there are not so many. Read off the index alone."""
    statement = sa.select(instances.c.created_at, instances.c.workflow_id).where(*begins, *_owned(wanted))
    row = connection.execute(statement.order_by(*_NEWEST_FIRST).offset(number - 1).limit(1)).first()
    return None if row is None else (int(row[0]), str(row[1]))


def waits_for(connection: Connection, workflow_ids: list[str]) -> dict[str, WaitsFor]:
    """What holds each of these instances; those that nothing holds are left out."""
    holds: dict[str, WaitsFor] = {}
    if not workflow_ids:
        return holds
    for name in WAITS_FOR:
        table, status = _HOLDS[name]
        statement = (
            sa.select(table.c.workflow_id)
            .where(table.c.workflow_id.in_(workflow_ids), table.c.status == status)
            .distinct()
        )
        for row in connection.execute(statement):
            holds.setdefault(str(row[0]), name)
    return holds


def _conditions(wanted: Wanted, columns: Any) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [columns.definition != instance_rows.ERASED]
    for column, value in (
        (columns.tenant, wanted.tenant),
        (columns.workflow_id, wanted.workflow_id),
        (columns.workflow, wanted.workflow),
        (columns.state, wanted.state),
        (columns.served, wanted.served),
        (columns.thread_id, wanted.thread_id),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.changed_before is not None:
        conditions.append(columns.updated_at < wanted.changed_before)
    if wanted.running:
        conditions.append(columns.finished == 0)
    if wanted.waiting is not None:
        table, status = _HOLDS[wanted.waiting]
        held: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
            table.c.workflow_id == columns.workflow_id, table.c.status == status
        )
        conditions.append(held.exists())
    return conditions


def _cursor(after: str) -> tuple[int, str]:
    at, dot, workflow_id = after.partition(".")
    if not dot or not workflow_id or not at.isascii() or not at.isdigit() or len(at) > 18:
        raise InputError(
            f"{after[:80]!r} is not where a page of instances ended. Nothing was looked up; give the `next` of the page before, or nothing.",
            code="invalid_cursor",
        )
    return int(at), workflow_id


__all__ = ["LARGEST", "WAITS_FOR", "InstancePage", "Listed", "WaitsFor", "Wanted", "page", "waits_for"]
