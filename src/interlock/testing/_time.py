"""The time as a test sets it, and a view of an instance made by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Clock:
    """The one clock of a workflow's store: deadlines, rules and tools go by it. It does not move until it is moved.

    clock = Clock("2026-05-01T09:00:00+00:00")
    store = WorkflowStore("sqlite:///desk.db", clock=clock)
    clock.advance(days=7)

    Args:
        at: Where it begins: a time with its zone, or its ISO form.
    """

    def __init__(self, at: dt.datetime | str = "2026-05-01T09:00:00+00:00") -> None:
        self._now = _aware(dt.datetime.fromisoformat(at) if isinstance(at, str) else at)

    def __call__(self, _connection: Any = None) -> int:
        """The time in microseconds since 1970 UTC, as a store asks for it."""
        return (self._now - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)

    @property
    def now(self) -> dt.datetime:
        """The time in UTC."""
        return self._now

    def advance(self, by: dt.timedelta | None = None, **parts: float) -> dt.datetime:
        """Move it forward by a timedelta, or by parts of one, such as `days=7`; gives the time that it says then."""
        self._now += dt.timedelta(**parts) if by is None else by
        return self._now


@dataclass
class Facts:
    """What a view that is made by hand looks up, to test a guard alone.

    view = GuardView("wf", "open", data, principal, 0, Facts(calls={"order.cancel": [{"orderId": "7"}]}))
    """

    at: dt.datetime = field(default_factory=lambda: Clock().now)
    """What `view.now` is."""
    calls: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """The calls that were carried out, by the tool's canonical name: each with its arguments."""

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
