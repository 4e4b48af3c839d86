"""The audit trail: append-only, chained by hashes per workflow instance, over digests of payloads.

A record's hash covers the previous record's hash and every field except the payload, for which it covers a salted digest. So a
payload can be erased without breaking the chain, and the remaining digest reveals nothing about it.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject, canonical_json
from ...tools.ids import AuditRef
from ...tools.principal import Principal
from ...tools.storable import storable_text
from ...tools.trace_reference import current_trace
from ..statements import Call, Prepared
from ..tables.workflow import audit
from ..vault import check_place, placed
from .sql.json_text import write_json

SCHEMA_VERSION = 1
GENESIS = "sha256:" + "0" * 64
"""The previous hash of an instance's first record."""


class AuditKind(StrEnum):
    """The kinds of audit records."""

    STARTED = "started"
    """The workflow instance was created."""
    PROPOSAL = "proposal"
    """A model's call was executed, or its approval was requested; recorded with the outcome."""
    DENIAL = "denial"
    """The gate denied a proposal; the tool did not run."""
    REFUSAL = "refusal"
    """The tool refused the call or failed; its changes were rolled back."""
    READ = "read"
    """A read was executed, and the instance did not move."""
    SPEECH = "speech"
    """The model's text did not pass the workflow's check, and was replaced or stopped."""
    UNGATED = "ungated"
    """A model's provider ran its own tool, which the gate does not control."""
    APPROVAL = "approval"
    """A person's decision was requested."""
    DECISION = "decision"
    """A person decided."""
    DECISION_REFUSED = "decision_refused"
    """A principal who may not decide tried to."""
    WITHDRAWN = "withdrawn"
    """The proposer or the person served withdrew a request."""
    ESCALATED = "escalated"
    """Nobody decided in time, and the request went to another role."""
    REASSIGNED = "reassigned"
    """An open request was reassigned to other people."""
    REMINDED = "reminded"
    """The deciders of an open request were reminded."""
    VOID = "void"
    """An approval expired, or became void because something in its binding changed."""
    DRY_RUN = "dry_run"
    """A command was judged and approved in a dry run, and not executed."""
    ATTEMPT = "attempt"
    """An effect outside the database started."""
    UNKNOWN = "unknown"
    """An attempt was interrupted, and its outcome is unknown."""
    RESOLUTION = "resolution"
    """A person resolved an attempt of unknown outcome."""
    TRANSITION = "transition"
    """A command, an event tool or a moving read was executed."""
    EVENT_OUT = "event_out"
    EVENT_IN = "event_in"
    LIMIT = "limit"
    """A limit on denials or model calls stopped the run."""
    CANCEL = "cancel"
    """The instance was cancelled: no other tool may be called, and executed calls are undone."""
    NOT_UNDONE = "not_undone"
    """A cancel could not undo a call, for the recorded reason; a person has to take care of it."""
    CANCELLED = "cancelled"
    """A cancel was completed; a person has to take care of the calls that it lists."""
    BUDGET_RAISED = "budget_raised"
    """A principal with the required role raised a budget."""
    FORK = "fork"
    """The instance was created as a fork of another one."""
    REJOINED = "rejoined"
    """A thread whose checkpoints were lost was connected to the instance again."""
    MIGRATION = "migration"
    """The instance continued under another definition of its workflow."""
    ERASURE = "erasure"
    """The payloads of earlier records were erased."""


@dataclass(frozen=True)
class AuditRecord:
    """One entry of the trail, as it is read back."""

    audit_ref: AuditRef
    workflow_id: str
    number: int
    kind: AuditKind
    tool: str | None
    code: str | None
    revision: int
    trace_id: str
    principal_id: str
    tenant: str
    payload: JsonObject | None
    payload_digest: str
    previous_hash: str
    hash: str
    recorded_at: int
    schema_version: int
    trace_run: str | None = None
    """The trace in which it was written, for queries; the payload has it too, and only that is covered by the hash."""

    @property
    def is_erased(self) -> bool:
        """Whether the payload was erased, and only its digest is left."""
        return self.payload is None

    def to_json(self) -> JsonObject:
        """The record as camelCase JSON, one line of an export."""
        return {
            "schemaVersion": self.schema_version,
            "auditRef": self.audit_ref,
            "workflowId": self.workflow_id,
            "number": self.number,
            "kind": self.kind.value,
            "tool": self.tool,
            "code": self.code,
            "revision": self.revision,
            "traceId": self.trace_id,
            "principalId": self.principal_id,
            "tenant": self.tenant,
            "recordedAt": self.recorded_at,
            "payload": None if self.payload is None else {k: v for k, v in self.payload.items() if k != "salt"},
            "payloadDigest": self.payload_digest,
            "previousHash": self.previous_hash,
            "hash": self.hash,
        }


@dataclass(frozen=True)
class AuditEntry:
    """A record that is about to be appended."""

    kind: AuditKind
    principal: Principal
    payload: Mapping[str, Any]
    tool: str | None
    code: str | None
    audit_ref: AuditRef


Listener = Callable[[Connection, str, AuditEntry, int], None]
"""Called with each record while it is written: the transaction, the workflow instance, the record, and the time."""
listeners: list[Listener] = []
"""Listeners for every record of this process, called in its transaction. They only observe, and must not raise."""


@dataclass(frozen=True)
class Broken:
    """A defect of the chain."""

    number: int
    problem: str


_insert = Prepared(sa.insert(audit))
_select = sa.select(audit).where(audit.c.workflow_id == sa.bindparam("workflow_id")).order_by(audit.c.number)


def appending(
    connection: Connection,
    entries: Iterable[AuditEntry],
    *,
    workflow_id: str,
    tenant: str,
    trace_id: str,
    revision: int,
    count: int,
    head: str,
    now: int,
) -> tuple[list[Call], int, str]:
    """Return the statements that append entries to an instance's trail, to be executed with the update of the instance's row.

    Args:
        count: The number of records in the trail.
        head: The hash of the last one.
        now: Microseconds since 1970 UTC, by the database's clock.

    Returns:
        The statements, in their order, and the new count and head, which the caller writes to the instance's row in the same
        transaction.
    """
    calls = []
    reference = current_trace.get()
    where = {} if reference is None else {"trace": reference}
    for entry in entries:
        for tell in listeners:
            tell(connection, workflow_id, entry, now)
        count += 1
        # The salt prevents guessing a small erased payload from its digest.
        payload = canonical_json(
            {**entry.payload, **where, "principal": entry.principal.to_json(), "salt": secrets.token_hex(8)}
        )
        row: dict[str, Any] = {
            "workflow_id": workflow_id,
            "number": count,
            "audit_ref": entry.audit_ref,
            "tenant": tenant,
            "kind": entry.kind.value,
            "tool": entry.tool,
            "code": entry.code,
            "revision": revision,
            "trace_id": trace_id,
            "principal_id": entry.principal.id,
            "payload_digest": payload_digest(payload),
            "previous_hash": head,
            "recorded_at": now,
            "schema_version": SCHEMA_VERSION,
        }
        head = row["hash"] = chain_hash(row)
        row["payload"] = payload
        row["trace_run"] = None if reference is None else reference.get("trace")
        calls.append(_insert.given(placed(audit, row)))
    return calls, count, head


def chain_hash(row: Mapping[Any, Any]) -> str:
    """The hash of one record: over everything except the payload and the hash itself."""
    fields = [
        row["previous_hash"], row["workflow_id"], row["number"], row["audit_ref"], row["tenant"], row["kind"], row["tool"],
        row["code"], row["revision"], row["trace_id"], row["principal_id"], row["payload_digest"], row["recorded_at"],
        row["schema_version"],
    ]  # fmt: skip
    return _sha(write_json(fields))


def read(connection: Connection, workflow_id: str, *, after: int = 0, limit: int | None = None) -> list[AuditRecord]:
    """The trail of one instance, oldest first, optionally only after a record's number."""
    statement = _select if not after else _select.where(audit.c.number > after)
    found = connection.execute(statement.limit(limit), {"workflow_id": workflow_id})
    return [_record(row) for row in found.mappings()]


def newest(connection: Connection, workflow_id: str, *, before: int | None = None, limit: int) -> list[AuditRecord]:
    """The last records of an instance, or the last ones before a number, oldest first."""
    earlier = () if before is None else (audit.c.number < before,)
    statement = (
        sa.select(audit)
        .where(audit.c.workflow_id == workflow_id, *earlier)
        .order_by(audit.c.number.desc())
        .limit(limit)
    )
    return [_record(row) for row in connection.execute(statement).mappings()][::-1]


def last(connection: Connection, workflow_id: str, kind: AuditKind) -> AuditRecord | None:
    """The last record of a kind in the trail of an instance."""
    return next(iter(latest(connection, workflow_id, [kind], limit=1)), None)


def latest(connection: Connection, workflow_id: str, kinds: Iterable[AuditKind], *, limit: int) -> list[AuditRecord]:
    """The last records of some kinds in the trail of an instance, the newest first."""
    found = (
        sa.select(audit)
        .where(audit.c.workflow_id == workflow_id, audit.c.kind.in_([kind.value for kind in kinds]))
        .order_by(audit.c.number.desc())
        .limit(limit)
    )
    return [_record(row) for row in connection.execute(found).mappings()]


def latest_with(
    connection: Connection, workflow_id: str, kinds: Iterable[AuditKind], texts: Collection[str], *, limit: int
) -> list[AuditRecord]:
    """The last records of some kinds whose payload contains one of some texts, the newest first; only they are parsed as JSON.

    Args:
        connection: A connection in a transaction.
        workflow_id: The instance.
        kinds: The kinds.
        texts: Texts in canonical JSON.
        limit: The number of records to check.
    """
    if not texts:
        return []
    found = (
        sa.select(audit)
        .where(
            audit.c.workflow_id == workflow_id,
            audit.c.kind.in_([kind.value for kind in kinds]),
            audit.c.payload.is_not(None),
        )
        .order_by(audit.c.number.desc())
        .limit(limit)
    )
    rows = connection.execute(found).mappings()
    return [_record(row) for row in rows if any(text in row["payload"] for text in texts)]


def exists(connection: Connection, workflow_id: str, audit_ref: str) -> bool:
    """Whether the trail of an instance has a record of this reference."""
    found = sa.select(audit.c.number).where(audit.c.workflow_id == workflow_id, audit.c.audit_ref == audit_ref)
    return connection.execute(found).first() is not None


def payload_digest(payload: str) -> str:
    """The digest of a payload's stored text."""
    return _sha(payload)


def _sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _record(row: Mapping[Any, Any]) -> AuditRecord:
    values = dict(row)
    check_place(audit, values)
    values["kind"] = _kind(values["kind"])
    values["payload"] = None if values["payload"] is None else _payload(values["payload"])
    return AuditRecord(**values)


def _kind(stored: Any) -> AuditKind:
    """The kind of a record; an unknown kind becomes a pseudo-member, so that the trail stays readable."""
    try:
        return AuditKind(stored)
    except ValueError:
        other = str.__new__(AuditKind, str(stored))
        other._name_, other._value_ = "OTHER", str(stored)
        return other


def _payload(stored: Any) -> JsonObject:
    """Parse a payload; an invalid one is returned in a form that verification reports."""
    try:
        payload = json.loads(stored)
    except (ValueError, TypeError, RecursionError):
        payload = None
    return payload if isinstance(payload, dict) else {"unreadable": storable_text(stored)}
