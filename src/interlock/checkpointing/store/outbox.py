"""The outbox: events that leave when, and only when, the transaction that emitted them commits."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import canonical_json
from ...tools.events import EventEnvelope
from ..statements import Prepared
from ..store_tables import outbox

PENDING = "pending"

_columns = [column.name for column in outbox.columns if column.name not in {"position", "error", "published_at"}]
_insert = Prepared(sa.insert(outbox), _columns)


def append(connection: Connection, envelopes: list[EventEnvelope], *, tenant: str, now: int) -> None:
    """Put events into the outbox, in the order in which they were emitted."""
    _insert.run_many(
        connection,
        [
            {
                "event_id": envelope.event_id,
                "workflow_id": envelope.workflow_id,
                "tenant": tenant,
                "event_name": envelope.event_name,
                "trace_id": envelope.trace_id,
                "envelope": canonical_json(envelope.to_json()),
                "status": PENDING,
                "attempts": 0,
                "next_attempt_at": now,
                "created_at": now,
            }
            for envelope in envelopes
        ],
    )
