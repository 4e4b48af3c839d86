"""The databases and the world outside that workflows are disturbed on."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from .outside import World, world
from .workflows import prepare


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world outside the database."""
    with world(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def prepared_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """A database with all tables."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'workflows.db'}"
        prepare(url)
        yield url
        return
    url = str(request.getfixturevalue("postgres_database"))
    prepare(url)
    yield url


@pytest.fixture
def sqlite_url(tmp_path: pathlib.Path) -> str:
    """A SQLite file with all tables."""
    url = f"sqlite:///{tmp_path / 'workflows.db'}"
    prepare(url)
    return url
