"""Lists instances in pages, the newest first, with what each waits for.

The cost of a page does not depend on the number of instances: it starts where the previous page ended (keyset paging), and only its
rows are joined with what they wait for. A filter by waiting reason starts from the rows that hold instances if they are few, and
otherwise scans the newest instances.
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
from ..store.ledger import IS_UNSETTLED, LedgerStatus
from ..store.waits import IS_OPEN, WaitStatus
from ..tables.workflow import approvals, instances, ledger, waits

WaitsFor = Literal["resolution", "approval", "event"]
"""Why an instance does not move: an attempt of unknown outcome, a decision, or an event."""
WAITS_FOR: tuple[WaitsFor, ...] = ("resolution", "approval", "event")
LARGEST = 1000
FEW, MANY = 50, 1000
"""The number of rows that are read at once: `FEW` at first, `MANY` after a read that found too few, and of parts of the instances."""
SLACK = 3_600_000_000
"""The tolerance in microseconds for a holding row that seems older than its instance, after a clock was set back."""


# In the words of the partial indexes, because databases use one only if the condition visibly implies its own.
_HOLDS: Mapping[WaitsFor, tuple[sa.Table, str, sa.ColumnElement[bool]]] = {
    "resolution": (ledger, "started_at", sa.and_(IS_UNSETTLED, ledger.c.status == LedgerStatus.UNKNOWN.value)),
    "approval": (approvals, "requested_at", approvals.c.status == ApprovalStatus.REQUESTED.value),
    "event": (waits, "opened_at", IS_OPEN),
}
_OF_AN_INSTANCE: Mapping[WaitsFor, sa.ColumnElement[bool]] = {
    **{name: is_so for name, (_, _, is_so) in _HOLDS.items()},
    "event": waits.c.status == WaitStatus.OPEN.value,
}
"""The same for named instances, whose waits are found by the instance."""
_NEWEST_FIRST = (instances.c.created_at.desc(), instances.c.workflow_id.desc())


@dataclass(frozen=True)
class Wanted:
    """Filters for instances; None matches any."""

    tenant: str | None = None
    workflow_id: str | None = None
    workflow: str | None = None
    state: str | None = None
    served: str | None = None
    """The id of the person served."""
    waiting: WaitsFor | None = None
    """The cause of their wait."""
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
    """A page of the matching instances, the newest first."""

    instances: tuple[Listed, ...]
    next: str | None
    """What to ask for as `after` to continue; None when there are no more."""


def page(
    connection: Connection, wanted: Wanted, *, limit: int = 100, after: str | None = None, look_at: int | None = None
) -> InstancePage:
    """A page of instances, those that began last first.

    Args:
        connection: A transaction.
        wanted: The filters.
        limit: The largest number of rows on the page, from 1 to 1000.
        after: The `next` of the previous page.
        look_at: The maximum number of the tenant's instances to scan. If fewer than `limit` of them match, the page is short or empty, and its
            `next` continues after them.

    Raises:
        InputError: `after` is not the `next` of a page, or the limit is out of bounds.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST:
        raise InputError(f"A page holds from 1 to {LARGEST} instances, and {limit!r} were asked for.")
    begins = [] if after is None else _after(*_cursor(after))
    is_one = wanted.workflow_id is not None or wanted.thread_id is not None
    held = None if is_one else _held(connection, wanted, FEW)
    if look_at is None or is_one or held is not None:
        return _page(connection, wanted, begins, limit, held)
    ends: tuple[int, str] | None = None
    for number in (LARGEST, look_at) if _is_filtered(wanted) and look_at > LARGEST else (min(look_at, LARGEST),):
        ends = _last_of(connection, wanted, begins, number)
        part = begins if ends is None else [*begins, *_down_to(*ends)]
        since = None if ends is None else ends[0] - SLACK
        found = _page(connection, wanted, part, limit, _held(connection, wanted, MANY, since=since))
        if found.next is not None or ends is None:
            return found
    assert ends is not None  # noqa: S101 -- there was a part, and it had an end
    if len(found.instances) < limit and (held := _held(connection, wanted, MANY)) is not None:
        return _page(connection, wanted, begins, limit, held)
    return InstancePage(found.instances, f"{ends[0]}.{ends[1]}")


def _page(
    connection: Connection,
    wanted: Wanted,
    between: list[sa.ColumnElement[bool]],
    limit: int,
    held: list[str] | None = None,
) -> InstancePage:
    """Those that are wanted of a part of all instances, or of those that are held."""
    conditions = [*_conditions(wanted, is_held=held is not None), *between]
    order: tuple[sa.ColumnElement[Any], ...] = _NEWEST_FIRST
    if held is not None or wanted.workflow_id is not None or wanted.thread_id is not None:
        # Sort these few rows: SQLite would otherwise walk all instances in this order.
        order = ((instances.c.created_at + 0).desc(), instances.c.workflow_id.desc())
    if held is not None:
        conditions.append(instances.c.workflow_id.in_(held))
    statement = sa.select(instances).where(*conditions).order_by(*order).limit(limit + 1)
    found = [instance_rows.from_row(row) for row in connection.execute(statement)]
    shown = found[:limit]
    holds = waits_for(connection, [one.workflow_id for one in shown])
    return InstancePage(
        tuple(Listed(one, holds.get(one.workflow_id)) for one in shown),
        f"{shown[-1].created_at}.{shown[-1].workflow_id}" if len(found) > limit else None,
    )


def _held(connection: Connection, wanted: Wanted, most: int, *, since: int | None = None) -> list[str] | None:
    """The ids of the instances that wait for the wanted cause; None if there are more than `most`, or if one person's instances are scanned anyway.

    Args:
        connection: A transaction.
        wanted: The filters.
        most: How many.
        since: Only those that have waited since then or less; None for all.
    """
    if wanted.waiting is None or wanted.served is not None:
        return None
    table, at, is_so = _HOLDS[wanted.waiting]
    statement = sa.select(table.c.workflow_id).where(is_so)
    if wanted.tenant is not None:
        statement = statement.where(table.c.tenant == wanted.tenant)
    if since is not None:
        statement = statement.where(table.c[at] >= since).order_by(
            table.c[at].desc()
        )  # in the order of the intended index
    found = connection.execute(statement.limit(most + 1)).scalars().all()
    return [*{str(one) for one in found}] if len(found) <= most else None


def _after(at: int, workflow_id: str) -> list[sa.ColumnElement[bool]]:
    # Two conditions instead of a row comparison, so that every database walks its index instead of sorting.
    return [
        instances.c.created_at <= at,
        sa.or_(instances.c.created_at < at, instances.c.workflow_id < workflow_id),
    ]


def _down_to(at: int, workflow_id: str) -> list[sa.ColumnElement[bool]]:
    return [
        instances.c.created_at >= at,
        sa.or_(instances.c.created_at > at, instances.c.workflow_id >= workflow_id),
    ]


def _is_filtered(wanted: Wanted) -> bool:
    """Whether one page may have to scan many instances."""
    others = (wanted.workflow, wanted.state, wanted.waiting, wanted.changed_before)
    return wanted.running or any(one is not None for one in others)


def _owned(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """The conditions that the index of the order has."""
    owners = ((instances.c.tenant, wanted.tenant), (instances.c.served, wanted.served))
    return [column == value for column, value in owners if value is not None]


def _last_of(
    connection: Connection, wanted: Wanted, begins: list[sa.ColumnElement[bool]], number: int
) -> tuple[int, str] | None:
    """The last of the next so many instances, without filters; None if there are fewer. Reads only the index."""
    statement = sa.select(instances.c.created_at, instances.c.workflow_id).where(*begins, *_owned(wanted))
    row = connection.execute(statement.order_by(*_NEWEST_FIRST).offset(number - 1).limit(1)).first()
    return None if row is None else (int(row[0]), str(row[1]))


def waits_for(connection: Connection, workflow_ids: list[str]) -> dict[str, WaitsFor]:
    """The waiting reason of each of these instances, without those that nothing holds."""
    holds: dict[str, WaitsFor] = {}
    if not workflow_ids:
        return holds
    for name in WAITS_FOR:
        table, is_so = _HOLDS[name][0], _OF_AN_INSTANCE[name]
        statement = sa.select(table.c.workflow_id).where(table.c.workflow_id.in_(workflow_ids), is_so).distinct()
        for row in connection.execute(statement):
            holds.setdefault(str(row[0]), name)
    return holds


def _conditions(wanted: Wanted, *, is_held: bool) -> list[sa.ColumnElement[bool]]:
    """The conditions on an instance; `is_held` means that its waiting reason was already checked."""
    columns = instances.c
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
    if wanted.waiting is not None and not is_held:
        table, is_so = _HOLDS[wanted.waiting][0], _OF_AN_INSTANCE[wanted.waiting]
        held: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
            table.c.workflow_id == columns.workflow_id, is_so
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
