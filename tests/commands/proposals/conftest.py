"""Where the tests of proposals from outside the graph keep their workflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.approvals.support import Home, Shop


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A database in a file, with a clock that the test moves."""
    home = Home.in_file(tmp_path)
    yield home
    home.close()


@pytest.fixture
def shop() -> Shop:
    return Shop()
