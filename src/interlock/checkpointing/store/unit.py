"""A unit of work: everything that one transaction changes about one workflow instance, written together at its end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject
from ...tools.errors import RevisionConflict
from ...tools.events import EventEnvelope
from ...tools.ids import AuditRef
from ...tools.principal import Principal
from . import audit, instances, outbox
from .audit import AuditEntry, AuditKind
from .instances import Instance


class Unit:
    """One transaction over one instance.

    Changes are gathered and written by `flush`: one update of the instance's row, provided that it still has the revision
    that was read, and the audit records and events that go with it.

    Args:
        connection: In a write transaction that the caller commits.
        instance: The row as it was read in this transaction.
        now: The database's clock, in microseconds since 1970 UTC.
    """

    def __init__(self, connection: Connection, instance: Instance, now: int) -> None:
        self.connection = connection
        self.now = now
        self.instance = instance
        self._before = instance
        self._entries: list[AuditEntry] = []
        self._events: list[EventEnvelope] = []

    def record(
        self,
        kind: AuditKind,
        principal: Principal,
        payload: Mapping[str, Any],
        *,
        tool: str | None = None,
        code: str | None = None,
        audit_ref: AuditRef | None = None,
    ) -> AuditRef:
        """Add a record to the audit trail."""
        entry = AuditEntry(kind, principal, payload, tool, code)
        if audit_ref is not None:
            entry.audit_ref = audit_ref
        self._entries.append(entry)
        return entry.audit_ref

    def emit(self, envelope: EventEnvelope, principal: Principal) -> None:
        """Let an event leave when the transaction commits."""
        self._events.append(envelope)
        self.record(
            AuditKind.EVENT_OUT, principal, {"eventId": envelope.event_id, "eventName": envelope.event_name}, code=None
        )

    def move(self, *, state: str, data: JsonObject, finished: bool) -> None:
        """Set state and data; the revision counts up when either differs from what was, or a transition was made."""
        self.instance = replace(
            self.instance, state=state, data=data, finished=finished, revision=self.instance.revision + 1
        )

    def set(self, **changes: Any) -> None:
        """Set other fields of the instance's row."""
        self.instance = replace(self.instance, **changes)

    def flush(self) -> Instance:
        """Write everything that was gathered.

        Raises:
            RevisionConflict: Somebody else wrote the instance since it was read; nothing may be committed.
        """
        if self._entries:
            count, head = audit.append(
                self.connection,
                self._entries,
                workflow_id=self.instance.workflow_id,
                tenant=self.instance.tenant,
                trace_id=self.instance.trace_id,
                revision=self.instance.revision,
                count=self.instance.audit_count,
                head=self.instance.audit_head,
                now=self.now,
            )
            self.set(audit_count=count, audit_head=head)
        if self.instance is not self._before:
            self.set(updated_at=self.now)
            if not instances.update(self.connection, self._before, self.instance):
                raise RevisionConflict(
                    f"The workflow {self._before.workflow_id} was moved by somebody else while this ran (it was at revision "
                    f"{self._before.revision}). Nothing of this was kept; look at its state, then try again.",
                    details={"workflowId": self._before.workflow_id, "revision": self._before.revision},
                )
        outbox.append(self.connection, self._events, tenant=self.instance.tenant, now=self.now)
        self._before = self.instance
        self._entries, self._events = [], []
        return self.instance
