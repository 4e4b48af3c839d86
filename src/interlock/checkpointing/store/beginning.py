"""What a transaction over one instance reads before anything else, in as few statements as it can be."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .. import clock
from ..statements import Prepared, together
from ..store_tables import approvals, ledger
from .approvals import ApprovalRequest
from .approvals import from_row as approval_from_row
from .instances import Instance, locking
from .instances import from_row as instance_from_row
from .ledger import LedgerEntry
from .ledger import from_row as entry_from_row


class Begun(NamedTuple):
    """How things stand when a transaction over an instance begins."""

    instance: Instance
    """Its row, which nobody else can write before the transaction ends."""
    now: int
    """Microseconds since 1970 UTC, by the database's clock."""
    entry: LedgerEntry | None = None
    """What the ledger has under the key in question."""
    approval: ApprovalRequest | None = None
    """The approval of the proposal of this key."""


def begin(connection: Connection, workflow_id: str) -> Begun | None:
    """Lock an instance and read the clock; None when there is no such instance."""
    found, now = together(connection, [locking(workflow_id), clock.reading()])
    return Begun(instance_from_row(found.rows[0]), int(now.rows[0][0])) if found.rows else None


def begin_under(connection: Connection, workflow_id: str, key: str) -> Begun | None:
    """As `begin`, and read what stands under an idempotency key."""
    given = {"workflow_id": workflow_id, "idempotency_key": key}
    # Two statements: the second one sees what was committed while the first one waited for the row.
    found, under = together(connection, [locking(workflow_id), _under_key.given(given)])
    if not found.rows:
        return None
    now, row = int(under.rows[0][0]), under.rows[0][1:]
    entry, approval = row[:_WIDTH], row[_WIDTH:]
    return Begun(
        instance_from_row(found.rows[0]),
        now,
        None if entry[0] is None else entry_from_row(entry),
        None if approval[0] is None else approval_from_row(approval),
    )


def _select_under_key(dialect: str) -> sa.Select[tuple[object, ...]]:
    moment = sa.select(clock.now_on(dialect).label("now")).subquery("moment")
    sources: sa.FromClause = moment
    for table in (ledger, approvals):
        sources = sources.outerjoin(
            table,
            sa.and_(
                table.c.workflow_id == sa.bindparam("workflow_id"),
                table.c.idempotency_key == sa.bindparam("idempotency_key"),
            ),
        )
    return sa.select(moment.c.now, *ledger.columns, *approvals.columns).select_from(sources)


_WIDTH = len(ledger.columns)
_under_key = Prepared(_select_under_key)
