"""Determines from the audit record of a transaction whether its unanswered COMMIT succeeded.

Records of an instance are numbered and chained, so the record with that number has that hash exactly if the transaction committed.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import CommitUnknown, StoreUnavailable
from ..statements import Prepared
from ..tables.workflow import audit, instances

MARKS = "interlock_marks"
"""The key in a connection's `info` with the list of marks of a transaction that may be looked up."""
PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8)
"""The pauses before each lookup while the database is unreachable, in seconds."""


class Mark(NamedTuple):
    """The last audit record that a transaction wrote for an instance."""

    workflow_id: str
    number: int
    hash: str


def note(connection: Connection, workflow_id: str, number: int, hash_: str) -> None:
    """Record a transaction's mark, if the connection collects marks."""
    marks: Any = connection.info.get(MARKS)
    if marks is not None:
        marks.append(Mark(workflow_id, number, hash_))


def is_kept(connection: Connection, mark: Mark) -> bool:
    """Whether the transaction with this mark committed. Needs a write transaction.

    It locks the instance's row, and so waits for a transaction that the server has not ended yet.
    """
    _lock.first(connection, {"workflow_id": mark.workflow_id})
    row = _hash.first(connection, {"workflow_id": mark.workflow_id, "number": mark.number})
    return row is not None and bool(row[0] == mark.hash)


def nothing_kept(lost: CommitUnknown) -> StoreUnavailable:
    """The error for a transaction that was rolled back."""
    return StoreUnavailable(
        f"The connection broke while a transaction was being committed, and the audit trail has nothing of it: nothing was kept. Do it again. "
        f"({lost.message})"
    )


_lock = Prepared(
    sa.select(instances.c.workflow_id).where(instances.c.workflow_id == sa.bindparam("workflow_id")).with_for_update()
)
_hash = Prepared(
    sa.select(audit.c.hash).where(
        audit.c.workflow_id == sa.bindparam("workflow_id"), audit.c.number == sa.bindparam("number")
    )
)

__all__ = ["MARKS", "PAUSES", "Mark", "is_kept", "note", "nothing_kept"]
