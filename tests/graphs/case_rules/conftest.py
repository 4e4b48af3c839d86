"""Where the cases are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.graphs.case_rules.support import Place
from tests.support.databases import lent_database


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database and its clock."""
    kind = request.param
    made = Place(f"sqlite:///{tmp_path}/case.db" if kind == "sqlite" else lent_database(request, kind))
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Place]:
    """A database in a file, and its clock."""
    made = Place(f"sqlite:///{tmp_path}/case.db")
    yield made
    made.close()
