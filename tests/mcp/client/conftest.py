"""A bank for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock import SQLCheckpointer
from tests.mcp.client.support import Bank


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank.at(tmp_path / "bank")


@pytest.fixture
def open_bank(tmp_path: Path) -> Callable[..., Bank]:
    return lambda **behaviour: Bank.at(tmp_path / "other", **behaviour)


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'desk.db'}") as saver:
        yield saver
