"""Time limits: a duration, a moment, or a function of the view that returns either."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from ..canonical import JsonObject
from ..contracts.yes_or_no import is_deferred
from ..errors import ContractError

Fixed = str | dt.timedelta | dt.datetime | None
"""A duration (`"24h"`, `"1h30m"`, a timedelta), a moment with its time zone, or None for no limit."""
Within = Fixed | Callable[[Any], Fixed]
"""As `Fixed`, or a function of the view that returns one of these."""

_LONGEST = 100 * 365.25 * 86400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FUNCTION = "…"
"""The mark for a function in JSON."""


def duration(value: object) -> float:
    """Parse a duration such as `"30m"`, `"1h30m"` or a timedelta, to seconds.

    Raises:
        ContractError: It is invalid, not positive, or longer than a hundred years.
    """
    if isinstance(value, dt.timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str) and re.fullmatch(r"(?:\d+(?:\.\d+)?[smhdw])+", value):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)([smhdw])", value))
    else:
        raise ContractError(
            f"{value!r} is not a duration; write for instance '90s', '30m', '24h', '1h30m', '7d', or give a timedelta."
        )
    if seconds <= 0:
        raise ContractError(f"The duration {value!r} is not positive.")
    if seconds > _LONGEST:
        raise ContractError(f"The duration {value!r} is longer than a hundred years.")
    return seconds


def check_within(within: Within) -> None:
    """Check that a time limit can be enforced, as far as it is known in advance.

    Raises:
        ContractError: It is neither a duration nor a function, or a moment without a time zone.
    """
    if callable(within) and is_deferred(within):
        raise ContractError(
            f"A deadline is given by {within!r:.200}, which is async or yields; give a plain function of the view, or a duration such as '24h'."
        )
    if within is None or callable(within):
        return
    if not isinstance(within, dt.datetime):
        duration(within)
    elif within.tzinfo is None:
        raise ContractError(
            f"The moment {within.isoformat()} has no zone, and means another time on each machine; give it one, such as datetime.UTC."
        )


def seconds_of(within: Within) -> float | None:
    """A duration in seconds; None for a moment, a function, or no limit."""
    return None if within is None or callable(within) or isinstance(within, dt.datetime) else duration(within)


def due(within: Within, now: int) -> int | None:
    """The deadline of something that is opened now, in microseconds since 1970 UTC; None for no deadline.

    Raises:
        TypeError: It is still a function, which has to be evaluated first; a bug in Interlock.
    """
    if callable(within):
        raise TypeError("a deadline that is a function of the case is asked before it is kept")
    if isinstance(within, dt.datetime):
        return (within - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)
    seconds = seconds_of(within)
    return None if seconds is None else now + int(seconds * 1_000_000)


def within_to_json(within: Within) -> JsonObject:
    """The keys for JSON: `seconds`, and `until` for a moment."""
    if isinstance(within, dt.datetime):
        return {"seconds": None, "until": within.astimezone(dt.UTC).isoformat()}
    return {"seconds": _FUNCTION if callable(within) else seconds_of(within)}


def within_from_json(data: JsonObject) -> Fixed:
    """Parse what `within_to_json` returned."""
    if data.get("until") is not None:
        return dt.datetime.fromisoformat(str(data["until"]))
    seconds = data["seconds"]
    return None if seconds is None else dt.timedelta(seconds=float(str(seconds)))


__all__ = [
    "Fixed",
    "Within",
    "check_within",
    "due",
    "duration",
    "seconds_of",
    "within_from_json",
    "within_to_json",
]
