"""Trips in a store, with a clock that the test moves."""

from __future__ import annotations

import pytest

from interlock import WorkflowStore
from interlock.testing import Clock

from .support import Trips, clock


@pytest.fixture
def time() -> Clock:
    return clock()


@pytest.fixture
def trips(store: WorkflowStore) -> Trips:
    return Trips(store)
