"""Homes and ways that tests of the core are run in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.graphs.support import SETTINGS, Desk, Home, Runner


@pytest.fixture(params=SETTINGS, ids="-".join)
def setting(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Every home and every way, in the pairs that differ most."""
    home, way = request.param
    return home, way


@pytest.fixture
def run(setting: tuple[str, str]) -> Runner:
    """Each way to run a graph in turn."""
    return Runner(setting[1])


@pytest.fixture
def home(setting: tuple[str, str], tmp_path: Path) -> Iterator[Home]:
    """In memory, in one SQL database, and in a workflow store beside another saver."""
    home = Home(setting[0], tmp_path)
    yield home
    home.close()


@pytest.fixture
def memory(tmp_path: Path) -> Home:
    """In this process's memory, for what does not depend on where things are kept."""
    return Home("memory", tmp_path)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Home]:
    """In one SQL database."""
    home = Home("sql", tmp_path)
    yield home
    home.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()
