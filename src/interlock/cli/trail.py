"""The audit trail of an instance as a person reads it."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ..checkpointing.store import AuditKind, AuditRecord
from ..tools.approvals import Approval
from ..tools.errors import InterlockError
from .support.output import console, short

_STYLES = {
    AuditKind.DENIAL: "red",
    AuditKind.REFUSAL: "red",
    AuditKind.DECISION_REFUSED: "red",
    AuditKind.UNKNOWN: "red",
    AuditKind.LIMIT: "red",
    AuditKind.VOID: "red",
    AuditKind.APPROVAL: "yellow",
    AuditKind.DECISION: "green",
    AuditKind.TRANSITION: "green",
}


def print_trail(records: Iterable[AuditRecord]) -> None:
    """One line for each record: when, what, which tool, and what came of it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("#", justify="right", style="dim")
    table.add_column("time (UTC)", no_wrap=True, style="dim")
    table.add_column("what", no_wrap=True)
    table.add_column("tool", overflow="fold", min_width=12)
    table.add_column("", overflow="fold")
    for record in records:
        table.add_row(
            str(record.number),
            moment(record.recorded_at, "%H:%M:%S"),
            Text(record.kind.value, style=_STYLES.get(record.kind, "")),
            Text(short(record.tool or "")),
            Text(short(_what(record))),
        )
    console().print(table)


def moment(microseconds: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time of the workflow store, in UTC."""
    try:
        return dt.datetime.fromtimestamp(microseconds / 1_000_000, dt.UTC).strftime(form)
    except (ValueError, TypeError, OverflowError, OSError):
        return short(f"no time: {microseconds!r}", 30)  # somebody wrote into the row


def _what(record: AuditRecord) -> str:
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
    """Why something was not done, without what the model was told to do next."""
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


_TOLD: Mapping[AuditKind, Callable[[AuditRecord, Mapping[str, Any]], str]] = {
    AuditKind.STARTED: _started,
    AuditKind.DENIAL: _denied,
    AuditKind.REFUSAL: _denied,
    AuditKind.APPROVAL: _asked,
    AuditKind.DECISION: _decided,
    AuditKind.DECISION_REFUSED: lambda record, payload: f"{record.principal_id}: {payload.get('reason', '')}",
    AuditKind.VOID: lambda _record, payload: str(payload.get("problem", "")),
    AuditKind.UNKNOWN: lambda _record, payload: str(payload.get("problem", "")),
    AuditKind.LIMIT: lambda _record, payload: str(payload.get("reason", "")),
    AuditKind.TRANSITION: _moved,
    AuditKind.EVENT_OUT: _sent,
    AuditKind.EVENT_IN: _sent,
}

__all__ = ["moment", "print_trail", "reason_of"]
