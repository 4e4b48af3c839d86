"""A check for an application's own tests that no event breaks its consumers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..events.schemas import breaking_changes, known_events
from ..tools.events import Event


def assert_events_compatible(folder: str | Path, events: Iterable[type[Event]] | None = None) -> None:
    """Check that no event has changed, since its schema was exported, in a way that breaks consumers.

    Args:
        folder: The folder that `interlock events export` wrote at the last release.
        events: The event classes to check; by default all that were imported.

    Raises:
        AssertionError: An event has changed; the message names it and says what to do.
    """
    found = breaking_changes(known_events() if events is None else events, Path(folder))
    if found:
        lines = [f"  {name}: {change}" for name, changes in found.items() for change in changes]
        raise AssertionError(
            "Events changed in a way that breaks those who listen:\n" + "\n".join(lines) + "\nDeclare a new version "
            "(class ...(Event, name=..., version=N + 1)) beside the old one."
        )
