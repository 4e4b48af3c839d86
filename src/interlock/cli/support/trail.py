"""Prints the audit trail of an instance for people."""

import datetime as dt
from collections.abc import Iterable

from rich.text import Text

from ...checkpointing.store import AuditKind, AuditRecord
from ...pictures.record_text import result_of
from .output import short
from .tables import print_table

_STYLES = {
    AuditKind.DENIAL: "red",
    AuditKind.REFUSAL: "red",
    AuditKind.DECISION_REFUSED: "red",
    AuditKind.UNKNOWN: "red",
    AuditKind.LIMIT: "red",
    AuditKind.NOT_UNDONE: "red",
    AuditKind.CANCEL: "yellow",
    AuditKind.CANCELLED: "green",
    AuditKind.VOID: "red",
    AuditKind.APPROVAL: "yellow",
    AuditKind.DECISION: "green",
    AuditKind.TRANSITION: "green",
}


def print_trail(records: Iterable[AuditRecord]) -> None:
    """One entry for each record: when, who, what, of which tool, and the reason or the outcome."""
    records = [*records]
    days = {moment(record.recorded_at, "%Y-%m-%d") for record in records}
    form = "%H:%M:%S" if len(days) <= 1 else "%m-%d %H:%M:%S"
    print_table(
        ("#", "time (UTC)", "who", "what, and why"),
        (
            (record.number, moment(record.recorded_at, form), Text(short(record.principal_id, 60)), _entry(record))
            for record in records
        ),
        empty="Nothing was recorded.",
        ids=("#", "time (UTC)", "who"),
    )


def _entry(record: AuditRecord) -> Text:
    said = Text(record.kind.value.replace("_", " "), style=_STYLES.get(record.kind, ""))
    if record.tool:
        said.append(f" {short(record.tool)}", style="bold")
    if what := short(result_of(record)):
        said.append(f"\n{what}", style="")
    return said


def moment(microseconds: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time of the workflow store, in UTC."""
    try:
        return dt.datetime.fromtimestamp(microseconds / 1_000_000, dt.UTC).strftime(form)
    except (ValueError, TypeError, OverflowError, OSError):
        return short(f"no time: {microseconds!r}", 30)  # the row was modified


__all__ = ["moment", "print_trail"]
