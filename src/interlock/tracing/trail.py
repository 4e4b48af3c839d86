"""Finds the traces of a workflow, and the audit records of a trace."""

import json
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..checkpointing.store.audit import AuditRecord
from ..checkpointing.store.workflow_store import WorkflowStore
from ..checkpointing.tables.workflow import audit, instances
from ..checkpointing.vault import vault_of
from .reference import TraceReference

_LOOKED_BACK = 20


def reference_in(record: AuditRecord) -> TraceReference | None:
    """The trace reference of a record; None without tracing, or if its payload was erased."""
    return None if record.payload is None else TraceReference.from_json(record.payload.get("trace"))


def last_reference(store: WorkflowStore, workflow_id: str) -> TraceReference | None:
    """The reference of an instance's last traced record, from which a resume continues."""
    statement = (
        sa.select(audit.c.payload)
        .where(audit.c.workflow_id == workflow_id)
        .order_by(audit.c.number.desc())
        .limit(_LOOKED_BACK)
    )
    with store.read() as connection:
        for (payload,) in connection.execute(statement):
            content = {} if payload is None else json.loads(payload)
            found = TraceReference.from_json(content.get("trace")) or TraceReference.from_json(content.get("causedBy"))
            if found is not None:
                return found
    return None


def records_of(store: WorkflowStore, identity: str) -> list[AuditRecord]:
    """The audit records that were written in a trace, or in one of its runs, ordered by instance and position in its trail.

    Args:
        store: The workflow store.
        identity: LangSmith's id of a trace or run, OpenTelemetry's id of a trace or span, or Interlock's own trace id.
    """
    with store.read() as connection:
        instances = dict.fromkeys(_instances(connection, identity.strip().lower()))
    return [
        record
        for workflow_id in instances
        for record in store.audit(workflow_id)
        if record.trace_id == identity or _is_of(record, identity.strip().lower())
    ]


def _is_of(record: AuditRecord, identity: str) -> bool:
    found = reference_in(record)
    if found is None:
        return False
    spans = (found.traceparent or "").split("-")
    return identity in {found.trace, found.run, *spans[1:3]}


def _instances(connection: Connection, identity: str) -> Iterator[str]:
    # Traces are indexed; the search for a run reads payloads, which is slow but rare.
    indexed = sa.union(
        sa.select(audit.c.workflow_id).where(audit.c.trace_run == identity),
        sa.select(instances.c.workflow_id).where(instances.c.trace_id == identity),
    )
    found = [row[0] for row in connection.execute(indexed)]
    if not found:
        pattern = "".join(letter for letter in identity if letter.isalnum() or letter == "-")
        found = _holding(connection, pattern)
    yield from found


def _holding(connection: Connection, pattern: str) -> list[str]:
    """The instances whose records contain a text in their payloads; the database cannot search encrypted ones."""
    asked = sa.select(audit.c.workflow_id).distinct()
    if vault_of(connection.dialect) is None:
        return [row[0] for row in connection.execute(asked.where(audit.c.payload.like(f"%{pattern}%")))]
    every = connection.execute(sa.select(audit.c.workflow_id, audit.c.payload).where(audit.c.payload.is_not(None)))
    return [workflow_id for workflow_id, payload in every if pattern in payload.lower()]
