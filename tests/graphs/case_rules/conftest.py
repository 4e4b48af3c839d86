"""Where the cases are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.graphs.case_rules.support import Place, place


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database and its clock."""
    with place(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Place]:
    """A database in a file, and its clock."""
    with place("sqlite", tmp_path) as made:
        yield made
