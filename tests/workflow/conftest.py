"""Homes and ways that tests of the core are run in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.support import HOMES, WAYS, Desk, Home, Runner


@pytest.fixture(params=WAYS)
def run(request: pytest.FixtureRequest) -> Runner:
    """Each way to run a graph in turn."""
    return Runner(request.param)


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """In memory, in one SQL database, and in a workflow store beside another saver."""
    home = Home(request.param, tmp_path)
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
