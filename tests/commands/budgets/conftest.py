"""The time that the budgets' store goes by."""

from __future__ import annotations

import pytest

from interlock.testing import Clock


@pytest.fixture
def time() -> Clock:
    return Clock("2026-05-01T09:00:00+00:00")
