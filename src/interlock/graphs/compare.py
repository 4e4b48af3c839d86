"""What differs between two checkpoints of a thread: what was said in between, and what became of the workflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import StateSnapshot

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
    """What differs between two checkpoints."""

    before: str | None
    after: str | None
    """Their checkpoint ids."""
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
        lines = [f"from {self.before} to {self.after}"]
        lines += [f"  {change.path}: {change.before!r} -> {change.after!r}" for change in self.changes]
        lines += [f"  + {message.type}: {message.text}" for message in self.said]
        lines += [f"  - {message.type}: {message.text}" for message in self.unsaid]
        return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing differs"])

    def __repr__(self) -> str:
        return str(self)


def compare(before: StateSnapshot, after: StateSnapshot) -> Comparison:
    """Compare two checkpoints, as `get_state` and `get_state_history` give them."""
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


def _id(snapshot: StateSnapshot) -> str | None:
    found: str | None = snapshot.config.get("configurable", {}).get("checkpoint_id")
    return found
