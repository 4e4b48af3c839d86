"""What a transaction over one instance reads before anything else, in as few statements as it can be."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .. import clock
from ..statements import Prepared
from ..store_tables import approvals, ledger
from .approvals import ApprovalRequest
from .approvals import from_row as approval_from_row
from .instances import Instance, load
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
    instance = load(connection, workflow_id, lock=True)
    return None if instance is None else Begun(instance, clock.read(connection))


def begin_under(connection: Connection, workflow_id: str, key: str) -> Begun | None:
    """As `begin`, and read what stands under an idempotency key."""
    instance = load(connection, workflow_id, lock=True)
    if instance is None:
        return None
    # A statement of its own: it sees what was committed while the first one waited for the row.
    (row,) = _under_key.all(connection, {"workflow_id": workflow_id, "idempotency_key": key})
    entry, approval = row[1 : 1 + _WIDTH], row[1 + _WIDTH :]
    return Begun(
        instance,
        int(row[0]),
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
