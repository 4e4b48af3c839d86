"""The differences between two checkpoints of a thread: messages and workflow state."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import StateSnapshot

from ..tools.sinks import line, short, terminal
from ..tools.sinks import svg as escape
from .side_by_side import words_of
from .svg import FONT, C
from .themes import themed

_WIDTH, _LINE, _VALUES, _LETTERS = 860.0, 18.0, 236.0, 100
_GONE, _COME = "#b3261e", "#2f6b39"
_SHOWN = ("state", "revision", "next_allowed_tools", "data", "last_result")


@dataclass(frozen=True)
class Change:
    """One value that differs."""

    path: str
    """Such as `state` or `data.queueId`."""
    before: Any
    after: Any


@dataclass(frozen=True)
class Comparison:
    """The differences between two checkpoints."""

    before: str | None
    after: str | None
    """The ids of the two checkpoints."""
    changes: tuple[Change, ...]
    said: tuple[BaseMessage, ...]
    """Messages that only the later one has."""
    unsaid: tuple[BaseMessage, ...]
    """Messages that only the earlier one has."""

    def to_rows(self) -> list[dict[str, Any]]:
        """A row for each value that differs."""
        return [dict(change.__dict__) for change in self.changes]

    def __str__(self) -> str:
        """A line for each difference."""
        lines = [self._heading]
        lines += [line(f"  {change.path}: {change.before!r} -> {change.after!r}") for change in self.changes]
        lines += [line(f"  + {message.type}: {words_of(message)}") for message in self.said]
        lines += [line(f"  - {message.type}: {words_of(message)}") for message in self.unsaid]
        return terminal("\n".join(lines if len(lines) > 1 else [*lines, "  nothing differs"]))

    def __repr__(self) -> str:
        return str(self)

    @property
    def svg(self) -> str:
        """The figure as a complete SVG document: earlier and later values, and the messages between them."""
        lines = self._lines()
        height = 44 + _LINE * len(lines) + 10
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" viewBox="0 0 {_WIDTH:g} {height:g}" '
            f'font-family="{FONT}" role="img">',
            "<title>what differs between two checkpoints</title>",
            f'<rect x="0" y="0" width="{_WIDTH:g}" height="{height:g}" fill="{C.paper}"/>',
            f'<text x="14" y="24" font-size="12" fill="{C.faint}">{escape(self._heading)}</text>',
        ]
        for number, (label, sign, text) in enumerate(lines):
            y, colour = 50 + number * _LINE, {"-": _GONE, "+": _COME}.get(sign, C.faint)
            parts += [
                f'<text x="14" y="{y:g}" font-size="12" font-weight="bold" fill="{C.ink}">{escape(_cut(label, 34))}</text>',
                f'<text x="{_VALUES - 16:g}" y="{y:g}" font-size="12" fill="{colour}">{sign}</text>',
                f'<text x="{_VALUES:g}" y="{y:g}" font-size="12" fill="{colour}" xml:space="preserve">{escape(text)}</text>',
            ]
        return themed("\n".join([*parts, "</svg>"]))

    @property
    def _heading(self) -> str:
        return f"from checkpoint {self.before} to checkpoint {self.after}"

    def _lines(self) -> list[tuple[str, str, str]]:
        """A label, a sign and a text for each line. A value that only one checkpoint has takes one line."""
        found = []
        for change in self.changes:
            both = [("-", change.before), ("+", change.after)]
            there = [one for one in both if one[1] not in (None, "")] or both
            found += _labelled(change.path, [(sign, _shown(value)) for sign, value in there])
        messages = [("-", message) for message in self.unsaid] + [("+", message) for message in self.said]
        found += _labelled(
            "conversation", [(sign, _shown(f"{message.type}: {words_of(message)}")) for sign, message in messages]
        )
        return found or [("nothing differs", "", "")]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"image/svg+xml": self.svg, "text/plain": str(self)}


def compare(before: StateSnapshot, after: StateSnapshot) -> Comparison:
    """Compare two checkpoints from `get_state` or `get_state_history`."""
    changes = [change for name in _SHOWN for change in _changes(name, before.values.get(name), after.values.get(name))]
    earlier, later = before.values.get("messages", []), after.values.get("messages", [])
    known, kept = {message.id for message in earlier}, {message.id for message in later}
    return Comparison(
        _id(before),
        _id(after),
        tuple(changes),
        tuple(message for message in later if message.id not in known),
        tuple(message for message in earlier if message.id not in kept),
    )


def _changes(path: str, before: Any, after: Any) -> list[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [*before, *(key for key in after if key not in before)]
        return [change for key in keys for change in _changes(f"{path}.{key}", before.get(key), after.get(key))]
    return [] if before == after else [Change(path, before, after)]


def _labelled(label: str, lines: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """The lines with the label before the first."""
    return [(label if number == 0 else "", sign, text) for number, (sign, text) in enumerate(lines)]


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return short(text, _LETTERS) or "(nothing)"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _id(snapshot: StateSnapshot) -> str | None:
    found: str | None = snapshot.config.get("configurable", {}).get("checkpoint_id")
    return found
