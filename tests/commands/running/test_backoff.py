"""Pauses between attempts grow to the longest one, and are never longer than that: jitter only shortens them."""

from __future__ import annotations

import pytest

from interlock.commands.running.backoff import Backoff
from interlock.tools.contracts.retry import RetryPolicy

ERROR = ConnectionError("away")


def pauses(**policy: float) -> list[float | None]:
    backoff = Backoff(RetryPolicy(**policy))  # type: ignore[arg-type]
    return [backoff.after(ERROR) for _ in range(int(policy["attempts"]))]


def test_pauses_grow_by_the_multiplier_up_to_the_longest_and_the_last_attempt_has_none_after_it() -> None:
    assert pauses(attempts=6, initial=1, multiplier=3, maximum=10, jitter=0) == [1, 3, 9, 10, 10, None]
    assert pauses(attempts=1, jitter=0) == [None]


@pytest.mark.parametrize("jitter", [0.25, 0.5, 1])
def test_jitter_takes_a_random_share_off_and_adds_nothing(jitter: float) -> None:
    found = [pauses(attempts=3, initial=2, multiplier=2, maximum=3, jitter=jitter)[:2] for _ in range(200)]
    for place, whole in enumerate((2.0, 3.0)):
        shares = [(one[place] or 0.0) / whole for one in found]
        assert 1 - jitter <= min(shares) < 1 - jitter / 2 < max(shares) <= 1
