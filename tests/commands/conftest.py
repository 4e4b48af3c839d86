"""A store on SQLite and on PostgreSQL, with the clock that a folder's own `time` gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock import WorkflowStore
from interlock.testing import Clock


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def store(url: str, time: Clock) -> Iterator[WorkflowStore]:
    opened = WorkflowStore(url, clock=time)
    opened.setup()
    yield opened
    opened.close()
