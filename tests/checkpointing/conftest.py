"""The databases that the checkpointer is tested on."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.support.servers import temporary_mysql_database, temporary_postgres_database


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def database_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """An empty database on each of the three in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'interlock.db'}"
    elif request.param == "postgresql":
        with temporary_postgres_database() as url:
            yield url
    else:
        with temporary_mysql_database() as url:
            yield url


@pytest.fixture(params=["postgresql", "mysql"])
def server_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database on each of the two servers in turn."""
    with temporary_postgres_database() if request.param == "postgresql" else temporary_mysql_database() as url:
        yield url
