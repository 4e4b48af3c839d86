"""The remains of a retired instance: the number of records of its audit trail, and the hash of the last one."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..tools.events import moment_of
from .tables.retired import retired


@dataclass(frozen=True)
class RetiredTrail:
    """The end of a retired instance's audit trail."""

    workflow_id: str
    tenant: str
    workflow: str
    number: int
    """How many records it had."""
    hash: str
    """The hash of the last of them."""
    retired_at: int
    """Microseconds since 1970 UTC."""
    exported: bool
    """Whether the trail was exported before it was deleted."""

    def __str__(self) -> str:
        when = moment_of(self.retired_at)
        where = (
            f"Check the export: interlock audit --check FILE --head {self.hash}"
            if self.exported
            else "It was not exported"
        )
        return (
            f"on {when:%Y-%m-%d} its trail had {self.number} records, the last one with the hash {self.hash}. {where}"
        )


def last_of(connection: Connection, workflow_id: str) -> RetiredTrail | None:
    """The end of a retired instance's trail; the latest, if several instances had the same id."""
    statement = sa.select(retired).where(retired.c.workflow_id == workflow_id).order_by(retired.c.retired_at.desc())
    row = connection.execute(statement.limit(1)).first()
    if row is None:
        return None
    return RetiredTrail(
        row.workflow_id,
        row.tenant,
        row.workflow,
        row.audit_count,
        row.audit_head,
        row.retired_at,
        bool(row.exported),
    )


__all__ = ["RetiredTrail", "last_of"]
