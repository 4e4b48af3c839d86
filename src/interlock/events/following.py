"""Follows one trace: from the tool call through outbox and broker to the inbox and the workflow that it woke."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..checkpointing.store import WorkflowStore
from ..checkpointing.store import inbox as inbox_rows
from ..checkpointing.store import outbox as outbox_rows
from ..checkpointing.store import waits as wait_rows
from ..checkpointing.store.audit import AuditKind
from ..checkpointing.store.audit import read as read_audit
from ..checkpointing.tables.workflow import instances
from ..tools.canonical import JsonObject
from .envelopes import moment_text

LIMIT = 1_000
_SHOWN = {AuditKind.TRANSITION, AuditKind.EVENT_OUT, AuditKind.EVENT_IN, AuditKind.STARTED}


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a trace."""

    at: int
    """Microseconds since 1970 UTC, by the database's clock."""
    kind: str
    """`started`, `tool`, `emitted`, `published`, `pending`, `dead`, `received`, `counted`, `moved` or `waits`."""
    workflow_id: str
    what: str
    """The tool or the event."""
    note: str
    reference: str
    """Event id, wait id or audit reference."""

    def to_json(self) -> JsonObject:
        """The hop as camelCase JSON."""
        return {
            "at": moment_text(self.at),
            "kind": self.kind,
            "workflowId": self.workflow_id,
            "what": self.what,
            "note": self.note,
            "reference": self.reference,
        }


def trace_of(store: WorkflowStore, reference: str) -> str | None:
    """The trace ID that a reference belongs to: a trace ID itself, an event id, or a workflow ID; None when nothing is known of it."""
    with store.read() as connection:
        sent = outbox_rows.find(connection, reference)
        if sent is not None:
            return sent.trace_id
        received = inbox_rows.find(connection, reference)
        if received:
            return received[0].trace_id
        row = connection.execute(
            sa.select(instances.c.trace_id)
            .where(sa.or_(instances.c.workflow_id == reference, instances.c.trace_id == reference))
            .limit(1)
        ).first()
        return None if row is None else str(row[0])


def follow(store: WorkflowStore, trace_id: str) -> list[Hop]:
    """Every hop of a trace, oldest first; for other instances that its events woke, only the effects of those events."""
    with store.read() as connection:
        sent = outbox_rows.listing(connection, trace_id=trace_id, limit=LIMIT)[::-1]
        received = inbox_rows.listing(connection, trace_id=trace_id, limit=LIMIT)[::-1]
        touched = {
            wait.wait_id: wait for event in received for wait in wait_rows.touched_by(connection, event.event_id)
        }
        own = [
            str(row[0])
            for row in connection.execute(
                sa.select(instances.c.workflow_id).where(instances.c.trace_id == trace_id).limit(LIMIT)
            )
        ]
        hops = [hop for event in sent for hop in _out(event)]
        hops += [_in(event) for event in received]
        ids = {event.event_id for event in received}
        for workflow_id in own:
            hops += _recorded(connection, workflow_id, None)
            hops += [_wait(wait) for wait in wait_rows.of_instance(connection, workflow_id)]
        for wait in touched.values():
            if wait.workflow_id not in own:
                hops += _recorded(connection, wait.workflow_id, ids)
    return sorted(dict.fromkeys(hops), key=lambda hop: (hop.at, _ORDER.index(hop.kind)))


_ORDER = ["started", "received", "counted", "tool", "moved", "emitted", "waits", "pending", "dead", "published"]
"""The order of hops within one transaction: causes before effects."""


def _out(event: outbox_rows.OutboxEvent) -> Iterable[Hop]:
    def hop(at: int, kind: str, note: str) -> Hop:
        return Hop(at, kind, event.workflow_id, event.event_name, note, event.event_id)

    yield hop(event.created_at, "emitted", "into the outbox")
    match event.status:
        case outbox_rows.OutboxStatus.PUBLISHED:
            yield hop(event.published_at or 0, "published", f"{event.destination}, attempt {event.attempts}")
        case outbox_rows.OutboxStatus.DEAD:
            yield hop(event.next_attempt_at, "dead", f"after {event.attempts} attempts: {event.error}")
        case _:
            error = f", last error: {event.error}" if event.error else ""
            yield hop(event.next_attempt_at, "pending", f"{event.attempts} attempts so far{error}")


def _in(event: inbox_rows.InboxEvent) -> Hop:
    note = f"from {event.source} by {event.consumer}: {event.status.value}"
    note += f" ({event.note})" if event.note else ""
    note += f", came {event.repeats} times more" if event.repeats else ""
    return Hop(event.received_at, "received", event.workflow_id or "", event.event_name, note, event.event_id)


def _wait(wait: wait_rows.Wait) -> Hop:
    note = f"{wait.status.value}, {wait.settled} of {wait.total} settled"
    return Hop(wait.opened_at, "waits", wait.workflow_id, wait.state, note, wait.wait_id)


def _recorded(connection: Connection, workflow_id: str, only: set[str] | None) -> Iterable[Hop]:
    for record in read_audit(connection, workflow_id):
        payload = record.payload or {}
        if record.kind not in _SHOWN or record.kind is AuditKind.EVENT_OUT:
            continue
        if only is not None and payload.get("eventId") not in only:
            continue
        moved = f"{payload.get('previousState')} → {payload.get('currentState')}" if "currentState" in payload else ""
        match record.kind:
            case AuditKind.TRANSITION if record.tool is not None:
                yield Hop(record.recorded_at, "tool", workflow_id, record.tool, moved, record.audit_ref)
            case AuditKind.TRANSITION:
                cause = str(payload.get("eventName") or "deadline")
                yield Hop(record.recorded_at, "moved", workflow_id, cause, moved, record.audit_ref)
            case AuditKind.EVENT_IN:
                note = f"{payload.get('settled')} of {payload.get('needed')} needed in {payload.get('state')}"
                yield Hop(
                    record.recorded_at, "counted", workflow_id, str(payload.get("eventName")), note, record.audit_ref
                )
            case _:
                yield Hop(
                    record.recorded_at, "started", workflow_id, str(payload.get("workflow")), "", record.audit_ref
                )


__all__ = ["Hop", "follow", "trace_of"]
