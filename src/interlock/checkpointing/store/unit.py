"""A unit of work: all changes of one transaction to one workflow instance, written together at its end."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from ...tools.canonical import JSON, JsonObject
from ...tools.errors import InProgress, RevisionConflict
from ...tools.events import Event, EventEnvelope, moment_of
from ...tools.ids import AuditRef, EventId, TraceId, WorkflowId, derive, mint
from ...tools.principal import Principal
from ...tools.redaction import Secrets
from ..fault_points import FaultPoint, reach
from ..statements import Call, write_all
from ..transactions.lost_commits import note
from . import audit, instances, ledger, ledger_counts, outbox
from .audit import AuditEntry, AuditKind
from .instances import Instance
from .ledger import LedgerEntry
from .sql.json_text import write_json


class Unit:
    """One transaction over one instance.

    `flush` writes the collected changes together: one update of the instance's row, if it still has the revision that was read,
    and the ledger entries, audit records and events.

    Args:
        connection: In a write transaction that the caller commits.
        instance: The row, read in this transaction.
        now: The database's clock, in microseconds since 1970 UTC.
        counting: Whether the database has ledger counters.
        writes: Whether the transaction may write.
    """

    def __init__(
        self, connection: Connection, instance: Instance, now: int, *, counting: bool = True, writes: bool = True
    ) -> None:
        self.connection = connection
        self.now = now
        self.counting = counting
        self.writes = writes
        self.instance = instance
        self.computed: dict[str, dict[str, Any]] = {}
        """Values that the rules and the tool of a call computed once in this transaction, by call and arguments."""
        self.completing: tuple[str, JsonObject] | None = None
        """The tool and the arguments of the command that this unit is about to record as completed."""
        self.secrets = Secrets()
        """The values of masked fields, which are also masked wherever a record quotes them."""
        self._before = instance
        self._entries: list[AuditEntry] = []
        self._events: list[EventEnvelope] = []
        self._entered: list[tuple[LedgerEntry | None, LedgerEntry]] = []

    @property
    def revision_read(self) -> int:
        """The revision of the row when this transaction read it."""
        return self._before.revision

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
        audit_ref = audit_ref or AuditRef(mint("audit"))
        self._entries.append(AuditEntry(kind, principal, payload, tool, code, audit_ref))
        return audit_ref

    def hide(self, value: JSON, sensitive: Collection[str] = ()) -> Any:
        """Mask the sensitive fields of data for a record, and their values in everything recorded later."""
        return self.secrets.redacted(value, sensitive)

    def emit(self, envelope: EventEnvelope, principal: Principal) -> None:
        """Publish an event when the transaction commits."""
        self._events.append(envelope)
        self.record(
            AuditKind.EVENT_OUT, principal, {"eventId": envelope.event_id, "eventName": envelope.event_name}, code=None
        )

    def announce(self, event: Event, by: Principal, *, source: str, about: tuple[str | int | None, ...]) -> None:
        """Publish one of Interlock's own events when the transaction commits.

        Args:
            event: The event.
            by: The actor.
            source: The emitting part of Interlock, as a path.
            about: The base of the event's id, so that the same event always has the same id.
        """
        instance = self.instance
        envelope = EventEnvelope.wrap(
            event,
            event_id=EventId(derive("evt", *about)),
            occurred_at=moment_of(self.now),
            trace_id=TraceId(instance.trace_id),
            workflow_id=WorkflowId(instance.workflow_id),
            metadata={
                "requestedBy": by.id,
                "source": source,
                "tenant": instance.tenant,
                "workflow": instance.workflow,
            },
        )
        self.emit(envelope, by)

    def enter(self, before: LedgerEntry | None, after: LedgerEntry) -> None:
        """Insert a ledger entry, or update an existing one."""
        self._entered.append((before, after))

    def move(self, *, state: str, data: JsonObject, finished: bool) -> None:
        """Set state and data; the revision is incremented if either changes, or for a transition."""
        self.set(state=state, data=data, finished=finished, revision=self.instance.revision + 1)

    def set(self, **changes: Any) -> None:
        """Set other fields of the instance's row."""
        self.instance = self.instance.changed(**changes)

    def answer(self, result: JsonObject) -> None:
        """Store the answer to a call as the instance's last result."""
        self.set(last_result_text=write_json(result))

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """A savepoint: if the block raises, its writes and its changes of this unit are rolled back.

        Changes before the block have to be flushed first.
        """
        stood = self.instance, self._before
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            self.instance, self._before = stood
            self._entries, self._events, self._entered, self.completing = [], [], [], None
            raise

    def flush(self) -> Instance:
        """Write the collected changes.

        Raises:
            RevisionConflict: Another transaction wrote the instance since it was read; nothing may be committed.
            InProgress: Another owner took over a command; nothing may be committed.
        """
        calls: list[Call] = [ledger.writing(before, after) for before, after in self._entered]
        calls += self._appending()
        if self._entries:
            note(self.connection, self.instance.workflow_id, self.instance.audit_count, self.instance.audit_head)
        moved = self.instance is not self._before
        if moved:
            self.set(updated_at=self.now)
            calls.append(instances.updating(self._before, self.instance))
        own = len(calls)
        if self.counting and self._entered:
            calls += ledger_counts.keeping(self.connection, self._entered, self.now)
        if self._entered:
            reach(FaultPoint.BEFORE_LEDGER)
        written = write_all(self.connection, calls)
        for (_, entry), rows in zip(self._entered, written, strict=False):
            if rows != 1:
                raise _taken_over(entry)
        if moved and written[own - 1] != 1:
            raise _moved_elsewhere(self._before)
        # In separate statements, because events are published in the order of their insertion.
        outbox.append(self.connection, self._events, tenant=self.instance.tenant, now=self.now)
        if self._entered:
            reach(FaultPoint.AFTER_LEDGER)
        self._before = self.instance
        self._entries, self._events, self._entered, self.completing = [], [], [], None
        return self.instance

    def _appending(self) -> list[Call]:
        if not self._entries:
            return []
        before = self.instance
        calls, count, head = audit.appending(
            self.connection,
            [self._masked(entry) for entry in self._entries],
            workflow_id=before.workflow_id,
            tenant=before.tenant,
            trace_id=before.trace_id,
            revision=before.revision,
            count=before.audit_count,
            head=before.audit_head,
            now=self.now,
        )
        self.set(audit_count=count, audit_head=head)
        return calls

    def _masked(self, entry: AuditEntry) -> AuditEntry:
        if not self.secrets:
            return entry
        payload = {name: value if name in _OURS else self.secrets.value(value) for name, value in entry.payload.items()}
        if isinstance(payload.get("policies"), list):
            payload["policies"] = [self._ruling(one) for one in payload["policies"]]
        return replace(entry, payload=payload)

    def _ruling(self, told: Any) -> Any:
        """Mask a policy's ruling: its reason and the names of arguments may quote a secret; the other fields are Interlock's own."""
        return {name: self.secrets.value(value) if name in _QUOTING else value for name, value in told.items()}


_OURS = frozenset(
    {
        "approvalId", "attempt", "claims", "code", "currentState", "decision", "definition", "digest", "eventId", "eventName", "key",
        "nextAllowedTools", "node", "number", "policies", "previousState", "proposedIn", "stage", "state", "status", "toolVersion",
        "version", "waitId", "workflow", "wouldMoveTo",
    }
)  # fmt: skip
"""Fields that only Interlock writes: they contain no secrets, and masking a short secret must not make them unreadable."""
_QUOTING = frozenset({"reason", "origins"})
"""Fields of a ruling that the policy's code writes."""


def _moved_elsewhere(before: Instance) -> RevisionConflict:
    return RevisionConflict(
        f"The workflow {before.workflow_id} was changed by someone else during this run (it was at revision {before.revision}). "
        "Nothing of this was kept; look at its state, then try again.",
        details={"workflowId": before.workflow_id, "revision": before.revision},
    )


def _taken_over(entry: LedgerEntry) -> InProgress:
    return InProgress(
        f"The command {entry.tool} under the key {entry.idempotency_key} was taken over elsewhere. Nothing of this attempt was kept; "
        "its stored result is given once it is there.",
        details={"workflowId": entry.workflow_id},
    )
