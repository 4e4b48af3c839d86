"""The timeline of an instance: a figure for a notebook, a text, and rows for pandas."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..checkpointing.store import AuditKind, AuditRecord
from ..tools.errors import InputError
from ..tools.events import moment_of
from ..tools.sinks import line, short, terminal
from ..tools.sinks import svg as escape
from .svg import FONT, C, text_width
from .themes import themed

_ROW, _LEFT, _WIDTH = 24.0, 96.0, 860.0
_LOOKS = {
    AuditKind.TRANSITION: ("●", C.command),
    AuditKind.READ: ("○", C.read),
    AuditKind.DENIAL: ("✕", "#b3261e"),
    AuditKind.REFUSAL: ("✕", "#b3261e"),
    AuditKind.APPROVAL: ("?", C.lit),
    AuditKind.DECISION: ("✓", C.lit),
    AuditKind.DECISION_REFUSED: ("✕", "#b3261e"),
    AuditKind.EVENT_OUT: ("◆", C.event),
    AuditKind.EVENT_IN: ("◇", C.event),
}


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    number: int
    at: dt.datetime
    kind: str
    tool: str | None
    code: str | None
    principal: str
    revision: int
    state: str
    """The state that the instance was in afterwards."""
    detail: str
    """The result, in a few words."""
    seconds: float
    """Since the entry before; for a decision, since it was asked for."""
    audit_ref: str

    def to_row(self) -> dict[str, Any]:
        """The entry as a row of a table."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Timeline:
    """The record of one instance as a picture."""

    workflow: str
    workflow_id: str
    entries: tuple[Entry, ...]

    def to_rows(self) -> list[dict[str, Any]]:
        """A row for each entry, oldest first."""
        return [entry.to_row() for entry in self.entries]

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 -- an extra, imported when it is used
        except ImportError as error:
            raise InputError(
                "A DataFrame takes pandas, which is not installed. Install langgraph-interlock[notebook], or use to_rows().",
                code="not_installed",
            ) from error
        return pd.DataFrame(self.to_rows(), columns=list(Entry.__dataclass_fields__))

    @property
    def svg(self) -> str:
        """The figure as a whole SVG document: an entry a line, with the time since the one before as a bar."""
        height = 56 + _ROW * len(self.entries) + 12
        longest = max((entry.seconds for entry in self.entries), default=0.0) or 1.0
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" viewBox="0 0 {_WIDTH:g} {height:g}" '
            f'font-family="{FONT}" role="img">',
            f"<title>{escape(self.workflow)} {escape(self.workflow_id)}</title>",
            f'<rect x="0" y="0" width="{_WIDTH:g}" height="{height:g}" fill="{C.paper}"/>',
            _text(14, 24, self.workflow, 15, C.ink, bold=True),
            _text(20 + text_width(self.workflow, 16), 24, self.workflow_id, 11, C.faint),
            f'<path d="M{_LEFT + 10:g} 44 V{height - 16:g}" fill="none" stroke="{C.rule}" stroke-width="2"/>',
        ]
        for number, entry in enumerate(self.entries):
            parts += _line(entry, 56 + number * _ROW, longest)
        return themed("\n".join([*parts, "</svg>"]))

    def __str__(self) -> str:
        """A line for each entry."""
        head = line(f"{self.workflow} {self.workflow_id}")
        lines = [
            f"{entry.number:>4} {_ago(entry.seconds):>8}  {entry.kind:<16} {line(entry.tool or ''):<24} {line(entry.detail)}"
            for entry in self.entries
        ]
        return terminal("\n".join([head, *lines]))

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"image/svg+xml": self.svg, "text/plain": str(self)}


def timeline_of(workflow: str, workflow_id: str, records: Sequence[AuditRecord]) -> Timeline:
    """Make the timeline of an instance from its audit trail; a record with an erased payload shows only its kind."""
    asked: dict[str, int] = {}
    entries: list[Entry] = []
    state, before = "", records[0].recorded_at if records else 0
    for record in records:
        payload: dict[str, Any] = dict(record.payload or {})
        state = str(payload.get("currentState") or payload.get("state") or state)
        since = before
        approval = str(payload.get("approvalId"))
        if record.kind is AuditKind.APPROVAL:
            asked[approval] = record.recorded_at
        elif record.kind is AuditKind.DECISION:
            since = asked.get(approval, before)
        entries.append(
            Entry(
                number=record.number,
                at=moment_of(record.recorded_at),
                kind=record.kind.value,
                tool=record.tool,
                code=record.code,
                principal=record.principal_id,
                revision=record.revision,
                state=state,
                detail="(erased)" if record.is_erased else _detail(record, payload),
                seconds=(record.recorded_at - since) / 1_000_000,
                audit_ref=record.audit_ref,
            )
        )
        before = record.recorded_at
    return Timeline(workflow, workflow_id, tuple(entries))


def _detail(record: AuditRecord, payload: dict[str, Any]) -> str:
    match record.kind:
        case AuditKind.STARTED:
            return f"in {payload.get('state')}"
        case AuditKind.TRANSITION:
            return f"{payload.get('previousState')} → {payload.get('currentState')}"
        case AuditKind.DENIAL | AuditKind.REFUSAL:
            error = payload.get("error") or {}
            return f"{record.code}: {error.get('message', '')}"
        case AuditKind.DECISION:
            said = f": {payload['message']}" if payload.get("message") else ""
            return f"{payload.get('decision')} by {record.principal_id}{said}"
        case AuditKind.APPROVAL:
            return f"requested by {record.principal_id}"
        case AuditKind.EVENT_OUT | AuditKind.EVENT_IN:
            return str(payload.get("eventName", ""))
        case _:
            return str(payload.get("problem") or payload.get("reason") or "")


def _line(entry: Entry, y: float, longest: float) -> list[str]:
    mark, colour = _LOOKS.get(AuditKind(entry.kind), ("·", C.faint))
    bar = 56 * (entry.seconds / longest) ** 0.5
    detail = short(entry.detail, 76)
    return [
        f'<rect x="{_LEFT - 6 - bar:.1f}" y="{y + 4:g}" width="{bar:.1f}" height="4" rx="2" fill="{C.rule}"/>',
        _text(_LEFT - 6, y, _ago(entry.seconds), 10, C.faint, anchor="end"),
        f'<circle cx="{_LEFT + 10:g}" cy="{y:g}" r="8" fill="{C.paper}" stroke="{colour}" stroke-width="1.4"/>',
        _text(_LEFT + 10, y + 4, mark, 10, colour, anchor="middle"),
        _text(_LEFT + 28, y + 4, entry.kind.replace("_", " "), 11, C.faint),
        _text(_LEFT + 140, y + 4, entry.tool or "", 12, C.ink, bold=entry.kind == "transition"),
        _text(_LEFT + 330, y + 4, detail, 11, colour if entry.code else C.line),
    ]


def _ago(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= size:
            return f"+{seconds / size:.1f} {unit}"
    return f"+{seconds * 1000:.0f} ms"


def _text(x: float, y: float, text: str, size: float, fill: str, *, bold: bool = False, anchor: str = "") -> str:
    extra = (' font-weight="bold"' if bold else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}"{extra}>{escape(text)}</text>'
