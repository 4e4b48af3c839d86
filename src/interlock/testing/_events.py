"""A check for an application's own tests: no event breaks those who listen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..events.schemas import breaking_changes, known_events
from ..tools.events import Event


def assert_events_compatible(folder: str | Path, events: Iterable[type[Event]] | None = None) -> None:
    """Check that no event has changed since its schema was exported in a way that breaks those who listen.

    Args:
        folder: What `interlock events export` wrote at the last release.
        events: Those to look at; by default every event class that was imported.

    Raises:
        AssertionError: One has; the message says which, and what to do.
    """
    found = breaking_changes(known_events() if events is None else events, Path(folder))
    if found:
        lines = [f"  {name}: {change}" for name, changes in found.items() for change in changes]
        raise AssertionError(
            "Events changed in a way that breaks those who listen:\n" + "\n".join(lines) + "\nDeclare a new version "
            "(class ...(Event, name=..., version=N + 1)) beside the old one."
        )
