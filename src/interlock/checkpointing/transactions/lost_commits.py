"""Whether a transaction was kept whose COMMIT was not answered: by the audit record that it wrote.

Records of an instance are numbered and chained, so that the one of that number has its hash exactly where the transaction was kept.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import CommitUnknown, StoreUnavailable
from ..statements import Prepared
from ..tables.workflow import audit, instances

MARKS = "interlock_marks"
"""In the `info` of a connection whose transaction is to be looked up if need be: the list of its marks."""
PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each look, while the database cannot be reached."""


class Mark(NamedTuple):
    """The last audit record that a transaction wrote for an instance."""

    workflow_id: str
    number: int
    hash: str


def note(connection: Connection, workflow_id: str, number: int, hash_: str) -> None:
    """Note what a transaction wrote, where somebody wants to know."""
    marks: Any = connection.info.get(MARKS)
    if marks is not None:
        marks.append(Mark(workflow_id, number, hash_))


def is_kept(connection: Connection, mark: Mark) -> bool:
    """Whether the transaction with this mark was kept, once it has ended: to be asked in a transaction that may write.

    It takes the lock on the instance's row, so that it waits for a transaction that the server has not ended yet.
    """
    _lock.first(connection, {"workflow_id": mark.workflow_id})
    row = _hash.first(connection, {"workflow_id": mark.workflow_id, "number": mark.number})
    return row is not None and bool(row[0] == mark.hash)


def nothing_kept(lost: CommitUnknown) -> StoreUnavailable:
    """The error for a transaction of which nothing was kept."""
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
