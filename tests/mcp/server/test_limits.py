"""Bounds on what one caller may ask."""

from __future__ import annotations

import pytest

from interlock import Principal
from interlock.mcp.server import limits
from interlock.mcp.server.limits import Meter, ServerLimits
from interlock.tools.errors import RunError

ADA, BOB = Principal("ada"), Principal("bob")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_caller_has_so_many_requests_in_a_minute_and_others_have_their_own() -> None:
    clock = Clock()
    meter = Meter(ServerLimits(requests_per_minute=3), clock)
    for _ in range(3):
        meter.request(ADA)
        clock.now += 10

    with pytest.raises(RunError, match="3 requests in the last minute") as refused:
        meter.request(ADA)
    meter.request(BOB)
    meter.request(Principal("ada", tenant="elsewhere"))
    assert (refused.value.code, refused.value.retryable) == ("limit_reached", True)
    assert refused.value.details == {"retryAfterSeconds": 30}

    clock.now += 30
    meter.request(ADA)
    with pytest.raises(RunError):
        meter.request(ADA)


def test_who_was_denied_too_often_waits() -> None:
    clock = Clock()
    meter = Meter(ServerLimits(denials_per_minute=2), clock)
    for _ in range(2):
        meter.call(ADA)
        meter.denied(ADA)

    with pytest.raises(RunError, match="2 denied calls"):
        meter.call(ADA)
    meter.call(BOB)
    clock.now += 60
    meter.call(ADA)


def test_callers_are_forgotten_so_that_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CALLERS", 10)
    meter = Meter(ServerLimits(), Clock())
    for number in range(50):
        meter.request(Principal(f"caller-{number}"))
    assert len(meter._requests) == 10
