"""A clock and instance facts that tests set by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Clock:
    """A clock for a workflow store, which deadlines, rules and tools then use. The time does not change until `advance` is called.

    clock = Clock("2026-05-01T09:00:00+00:00")
    store = WorkflowStore("sqlite:///desk.db", clock=clock)
    clock.advance(days=7)

    Args:
        at: The initial time: a datetime with a time zone, or its ISO form.
    """

    def __init__(self, at: dt.datetime | str = "2026-05-01T09:00:00+00:00") -> None:
        self._now = _aware(dt.datetime.fromisoformat(at) if isinstance(at, str) else at)

    def __call__(self, _connection: Any = None) -> int:
        """Return the time in microseconds since 1970 UTC, in the form that a store uses."""
        return (self._now - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)

    @property
    def now(self) -> dt.datetime:
        """The time in UTC."""
        return self._now

    def advance(self, by: dt.timedelta | None = None, **parts: float) -> dt.datetime:
        """Move the clock forward by a timedelta, or by parts of one, such as `days=7`. Return the new time."""
        self._now += dt.timedelta(**parts) if by is None else by
        return self._now


@dataclass
class Facts:
    """The facts of a view that a test creates by hand, to test a guard in isolation.

    view = GuardView("wf", "open", data, principal, 0, Facts(calls={"order.cancel": [{"orderId": "7"}]}))
    """

    at: dt.datetime = field(default_factory=lambda: Clock().now)
    """The value of `view.now`."""
    calls: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The executed calls, by the tool's canonical name, each with its arguments."""

    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return Clock(self.at)()

    def carried_out(self, tool: str, arguments: Mapping[str, Any]) -> int:
        """How many of the calls have these arguments."""
        return sum(
            all(call.get(name) == value for name, value in arguments.items()) for call in self.calls.get(tool, ())
        )


def _aware(moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no zone; write for instance '2026-05-01T09:00:00+00:00'")
    return moment.astimezone(dt.UTC)


__all__ = ["Clock", "Facts"]
