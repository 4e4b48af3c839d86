"""Injects faults at fault points: kill or stop the process, drop its connection, or delay it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..checkpointing.fault_points import hang, reach
from ..tools.errors import StoreUnavailable

Action = Callable[[], object]


@dataclass(frozen=True)
class Fault:
    """Something that happens when a fault point is reached.

    `kill`, `stop`, `drop` and `delay` make the usual ones.
    """

    action: Action
    point: str | None = None
    """The fault point; None for any."""
    nth: int = 1
    """At which visit of the point the fault happens, counted from 1."""


@dataclass
class Reached:
    """The fault points that were reached, in order."""

    points: list[str] = field(default_factory=list)

    def count(self, point: str) -> int:
        """How many times a point was reached."""
        return Counter(self.points)[point]


def kill(point: str | None = None, nth: int = 1) -> Fault:
    """Return a fault that ends this process at the point as `kill -9` does, without any clean-up."""
    return Fault(lambda: os.kill(os.getpid(), signal.SIGKILL), point, nth)


def stop(point: str | None = None, nth: int = 1) -> Fault:
    """Return a fault that stops this process with all its threads at the point, until it receives SIGCONT."""
    return Fault(lambda: os.kill(os.getpid(), signal.SIGSTOP), point, nth)


def drop(point: str | None = None, nth: int = 1, error: BaseException | None = None) -> Fault:
    """Return a fault that raises at the point, as a lost connection would.

    Args:
        point: The fault point; None for any.
        nth: At which visit of the point, counted from 1.
        error: The exception; by default the error for a database that cannot be reached.
    """
    raised = error or StoreUnavailable(
        "The connection was dropped by a test. Nothing of this step was kept; run it again."
    )

    def act() -> None:
        raise raised

    return Fault(act, point, nth)


def delay(until: threading.Event, point: str | None = None, nth: int = 1, seconds: float = 30.0) -> Fault:
    """Return a fault that makes the thread wait at the point until the event is set, for at most `seconds`."""
    return Fault(lambda: until.wait(seconds), point, nth)


@contextlib.contextmanager
def injected(*faults: Fault) -> Iterator[Reached]:
    """Inject faults into this process while the block runs. Without faults, only record which points are reached.

    Your own tools can have fault points as well: call `interlock.testing.reach("payment.sent")` in the tool. It does nothing unless a fault
    is injected.
    """
    reached = Reached()
    times: Counter[str | None] = Counter()
    guard = threading.Lock()

    def hook(point: str) -> None:
        with guard:
            reached.points.append(str(point))
            times[point] += 1
            times[None] += 1
            due = [fault for fault in faults if fault.point in {None, point} and fault.nth == times[fault.point]]
        for fault in due:
            fault.action()
        if before is not None:
            before(point)  # faults of enclosing blocks stay active

    before = hang(None)
    hang(hook)
    try:
        yield reached
    finally:
        hang(before)


__all__ = ["Fault", "Reached", "delay", "drop", "injected", "kill", "reach", "stop"]
