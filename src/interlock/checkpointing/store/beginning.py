"""The first reads of a transaction over one instance, in as few statements as possible."""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .. import clock
from ..statements import Prepared
from ..tables.workflow import approvals, counters, instances, ledger
from .approvals import ApprovalRequest
from .approvals import from_row as approval_from_row
from .instances import ERASED, Instance, from_row
from .ledger import LedgerEntry
from .ledger import from_row as entry_from_row


class Begun(NamedTuple):
    """The state at the start of a transaction over an instance."""

    instance: Instance
    """Its row, locked until the end of the transaction."""
    now: int
    """Microseconds since 1970 UTC, by the database's clock."""
    entry: LedgerEntry | None = None
    """The ledger entry of the key."""
    approval: ApprovalRequest | None = None
    """The approval of the proposal of this key."""
    counting: bool = True
    """Whether the ledger has any counter; True if unknown."""


def begin(connection: Connection, workflow_id: str) -> Begun | None:
    """Lock an instance and read the clock; None if the instance does not exist."""
    row = _locked.first(connection, {"workflow_id": workflow_id})
    if row is None:
        return None
    now = row[_INSTANCE]
    return Begun(from_row(row[:_INSTANCE]), clock.read(connection) if now is None else int(now))


def begin_under(connection: Connection, workflow_id: str, key: str) -> Begun | None:
    """As `begin`, and read the ledger entry and approval of an idempotency key."""
    names = {"workflow_id": workflow_id, "idempotency_key": key}
    row = _locked_with_key.first(connection, names)
    if row is None:
        return None
    instance, is_together, rest = from_row(row[:_INSTANCE]), row[_INSTANCE], row[_INSTANCE + 1 :]
    if not is_together:
        (rest,) = _under_key.all(connection, names)
    now, counting, entry, approval = rest[0], rest[1], rest[2 : 2 + _ENTRY], rest[2 + _ENTRY :]
    return Begun(
        instance,
        int(now),
        None if entry[0] is None else entry_from_row(entry),
        None if approval[0] is None else approval_from_row(approval),
        bool(counting),
    )


def look_under(connection: Connection, workflow_id: str, key: str) -> Begun | None:
    """As `begin_under`, without locking the row, for read-only transactions."""
    row = _with_key_here.first(connection, {"workflow_id": workflow_id, "idempotency_key": key})
    if row is None:
        return None
    now, entry, approval = row[_INSTANCE], row[_INSTANCE + 1 : _INSTANCE + 1 + _ENTRY], row[_INSTANCE + 1 + _ENTRY :]
    return Begun(
        from_row(row[:_INSTANCE]),
        int(now),
        None if entry[0] is None else entry_from_row(entry),
        None if approval[0] is None else approval_from_row(approval),
    )


def _with_key(source: sa.FromClause) -> sa.FromClause:
    """Join the ledger entry and approval of the key to a query."""
    for table in (ledger, approvals):
        source = source.outerjoin(
            table,
            sa.and_(
                table.c.workflow_id == sa.bindparam("workflow_id"),
                table.c.idempotency_key == sa.bindparam("idempotency_key"),
            ),
        )
    return source


def _has_counters() -> sa.ColumnElement[Any]:
    return sa.exists(sa.select(sa.literal_column("1")).select_from(counters)).label("counting")


def _select_under_key(dialect: str) -> sa.Select[Any]:
    moment = sa.select(clock.now_on(dialect).label("now")).subquery("moment")
    return sa.select(moment.c.now, _has_counters(), *ledger.columns, *approvals.columns).select_from(_with_key(moment))


def _select_locked(dialect: str) -> sa.Select[Any]:
    """Lock the instance and, if one statement can, read the time; on servers it is the time after the wait for the row."""
    now = clock.now_on(dialect) if dialect == "sqlite" else sa.null()
    is_here = sa.and_(instances.c.workflow_id == sa.bindparam("workflow_id"), instances.c.definition != ERASED)
    return sa.select(instances, now).where(is_here).with_for_update()


def _select_locked_with_key(dialect: str) -> sa.Select[Any]:
    """Lock the instance and, if one statement can, read the entries of the key; tells whether both belong to the same moment.

    SQLite excludes other writers. On PostgreSQL, a statement that waited for the row returns its newest version, but the other tables as
    of before the wait: then the row's last writer differs from the one in the statement's snapshot. (Every write of a key also writes
    the instance's row.) MySQL and MariaDB cannot do this in the same way, so they read the key in a second statement.
    """
    is_here = sa.and_(instances.c.workflow_id == sa.bindparam("workflow_id"), instances.c.definition != ERASED)
    if dialect not in {"sqlite", "postgresql"}:
        return sa.select(instances, sa.literal_column("0")).where(is_here).with_for_update()
    is_together: sa.ColumnElement[Any] = sa.literal_column("1")
    if dialect == "postgresql":
        seen = instances.alias("seen")
        writer: sa.Select[Any] = sa.select(sa.literal_column("seen.xmin")).where(
            seen.c.workflow_id == instances.c.workflow_id
        )
        is_together = sa.literal_column(f"{instances.name}.xmin") == writer.scalar_subquery()
    return (
        sa.select(instances, is_together, clock.now_on(dialect), _has_counters(), *ledger.columns, *approvals.columns)
        .select_from(_with_key(instances))
        .where(is_here)
        .with_for_update(of=instances)
    )


def _select_with_key(dialect: str) -> sa.Select[Any]:
    return (
        sa.select(instances, clock.now_on(dialect), *ledger.columns, *approvals.columns)
        .select_from(_with_key(instances))
        .where(instances.c.workflow_id == sa.bindparam("workflow_id"), instances.c.definition != ERASED)
    )


_INSTANCE, _ENTRY = len(instances.columns), len(ledger.columns)
_locked = Prepared(_select_locked)
_under_key = Prepared(_select_under_key)
_with_key_here = Prepared(_select_with_key)
_locked_with_key = Prepared(_select_locked_with_key)
