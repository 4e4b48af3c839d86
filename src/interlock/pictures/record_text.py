"""Describes a record of the audit trail in a few words; timelines have their own texts."""

from collections.abc import Callable, Mapping
from typing import Any

from ..checkpointing.store import AuditKind, AuditRecord
from ..tools.approvals import Approval
from ..tools.errors import InterlockError


def result_of(record: AuditRecord) -> str:
    """The result: the new state, the reason of a refusal, or the decision."""
    payload = record.payload
    if payload is None:
        return "erased; the digest of it stands"
    tell = _TOLD.get(record.kind)
    try:
        return tell(record, payload) if tell is not None else record.code or ""
    except (ValueError, TypeError, KeyError, AttributeError, InterlockError):
        return "its payload is not as it was written"


def _started(record: AuditRecord, payload: Mapping[str, Any]) -> str:
    return f"in {payload.get('state')}, for {record.principal_id}"


def reason_of(error: Mapping[str, Any]) -> str:
    """Why something was not done, without the advice for the model."""
    details = error.get("details") or {}
    if details.get("problems"):
        return "; ".join(
            f"{one['field']}: {one['problem']}" if one["field"] else one["problem"] for one in details["problems"]
        )
    said = str(details.get("message") or details.get("reason") or error.get("message", ""))
    return said.split(". ", maxsplit=1)[0].rstrip(".")


def _denied(record: AuditRecord, payload: Mapping[str, Any]) -> str:
    return f"{record.code}: {reason_of(payload.get('error') or {})}"


def _asked(record: AuditRecord, payload: Mapping[str, Any]) -> str:
    shown = payload.get("shown") or {}
    rule = Approval.from_json(shown["rule"]) if "rule" in shown else None
    if rule is not None and rule.confirmation:
        return f"asks {record.principal_id} to confirm"
    if rule is not None and rule.by is not None:
        return f"asks {rule.who}"
    return f"asks {rule.role}" if rule is not None and rule.role else "asks another person"


def _decided(record: AuditRecord, payload: Mapping[str, Any]) -> str:
    said = f": {payload['message']}" if payload.get("message") else ""
    return f"{payload.get('decision')}, by {record.principal_id}{said}"


def _moved(_record: AuditRecord, payload: Mapping[str, Any]) -> str:
    before, after = payload.get("previousState"), payload.get("currentState")
    return f"stays in {after}" if before == after else f"{before} → {after}"


def _sent(_record: AuditRecord, payload: Mapping[str, Any]) -> str:
    envelope = payload.get("event") or payload
    return str(envelope.get("eventName", ""))


def _cancelled(_record: AuditRecord, payload: Mapping[str, Any]) -> str:
    undone, left = len(payload.get("undone") or ()), len(payload.get("left") or ())
    return f"{undone} undone, {left} left for a person"


def _note(payload: Mapping[str, Any]) -> str:
    return f": {payload['note']}" if payload.get("note") else ""


_TOLD: Mapping[AuditKind, Callable[[AuditRecord, Mapping[str, Any]], str]] = {
    AuditKind.STARTED: _started,
    AuditKind.DENIAL: _denied,
    AuditKind.REFUSAL: _denied,
    AuditKind.APPROVAL: _asked,
    AuditKind.DECISION: _decided,
    AuditKind.DECISION_REFUSED: lambda record, payload: f"{record.principal_id}: {payload.get('reason', '')}",
    AuditKind.WITHDRAWN: lambda record, _payload: f"withdrawn by {record.principal_id}",
    AuditKind.SPEECH: lambda _record, payload: f"the model's words were {payload.get('outcome')}",
    AuditKind.REASSIGNED: lambda _record, payload: f"given to {payload.get('to')} to decide",
    AuditKind.REMINDED: lambda _record, payload: f"reminded {payload.get('to')}",
    AuditKind.ESCALATED: lambda _record, payload: f"nobody decided in time; now asks {payload.get('to')}",
    AuditKind.RESOLUTION: lambda record, payload: f"{payload.get('found')}, says {record.principal_id}{_note(payload)}",
    AuditKind.ATTEMPT: lambda _record, payload: f"attempt {payload.get('attempt', 1)} begins",
    AuditKind.VOID: lambda _record, payload: str(payload.get("problem", "")),
    AuditKind.UNKNOWN: lambda _record, payload: str(payload.get("problem", "")),
    AuditKind.LIMIT: lambda _record, payload: str(payload.get("reason", "")),
    AuditKind.CANCEL: lambda record, payload: f"cancelled by {record.principal_id}: {payload.get('reason', '')}",
    AuditKind.NOT_UNDONE: lambda _record, payload: f"a person has to see to it: {payload.get('why', '')}",
    AuditKind.CANCELLED: _cancelled,
    AuditKind.BUDGET_RAISED: lambda record, payload: (
        f"{record.principal_id} raised the budget {payload.get('budget')!r}"
    ),
    AuditKind.TRANSITION: _moved,
    AuditKind.EVENT_OUT: _sent,
    AuditKind.EVENT_IN: _sent,
}

__all__ = ["reason_of", "result_of"]
