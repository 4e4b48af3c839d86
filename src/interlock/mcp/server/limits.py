"""Rate and size limits per caller of a server, in addition to those of the workflow and its gate."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from ...tools.codes import ErrorCode
from ...tools.errors import RunError
from ...tools.principal import Principal

MOST_CALLERS = 10_000
"""The maximum number of tracked callers; the least recently active are evicted."""


@dataclass(frozen=True)
class ServerLimits:
    """Limits per principal and minute, and on the size of a request. Each process counts separately."""

    requests_per_minute: int = 240
    """Requests of any kind: calls, lists, reads."""
    denials_per_minute: int = 20
    """Denied or refused calls. Above this number, the gate is not asked and nothing is recorded, until the minute is over."""
    request_bytes: int = 1_000_000
    """The maximum size of a request's body over HTTP, and of the arguments of one call on every transport."""


class Meter:
    """Counts the requests and the denials of each principal over the last minute.

    Args:
        limits: The limits.
        clock: A monotonic clock in seconds.
    """

    def __init__(self, limits: ServerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._requests: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._denials: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def request(self, by: Principal) -> None:
        """Count a request.

        Raises:
            RunError: There were too many in the last minute.
        """
        self._check(self._requests, by, self._limits.requests_per_minute, "requests", count=True)

    def call(self, by: Principal) -> None:
        """Check before a call that the principal has not exceeded the limit of denials.

        Raises:
            RunError: There were too many in the last minute.
        """
        self._check(self._denials, by, self._limits.denials_per_minute, "denied calls", count=False)

    def denied(self, by: Principal) -> None:
        """Count a call that was denied."""
        self._recent(self._denials, by).append(self._clock())

    def _check(
        self,
        counted: OrderedDict[tuple[str, str], deque[float]],
        by: Principal,
        most: int,
        what: str,
        *,
        count: bool,
    ) -> None:
        recent = self._recent(counted, by)
        if len(recent) >= most:
            wait = max(1, round(60 - (self._clock() - recent[0])))
            raise RunError(
                f"{by.id} made {len(recent)} {what} in the last minute, and the server takes {most}. Nothing was done with this one. "
                f"Wait {wait} seconds, then continue.",
                code=ErrorCode.LIMIT_REACHED,
                retryable=True,
                details={"retryAfterSeconds": wait},
            )
        if count:
            recent.append(self._clock())

    def _recent(self, counted: OrderedDict[tuple[str, str], deque[float]], by: Principal) -> deque[float]:
        key = (by.tenant, by.id)
        recent = counted.setdefault(key, deque())
        counted.move_to_end(key)
        while len(counted) > MOST_CALLERS:
            counted.popitem(last=False)
        since = self._clock() - 60
        while recent and recent[0] <= since:
            recent.popleft()
        return recent


__all__ = ["Meter", "ServerLimits"]
