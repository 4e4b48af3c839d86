"""A bank for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mcp.client.support import Bank


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank.at(tmp_path / "bank")


@pytest.fixture
def open_bank(tmp_path: Path) -> Callable[..., Bank]:
    return lambda **behaviour: Bank.at(tmp_path / "other", **behaviour)
