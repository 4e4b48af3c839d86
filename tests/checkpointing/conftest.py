"""The databases that the checkpointer is tested on."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from interlock.checkpointing import Database, SQLCheckpointer, schema
from interlock.checkpointing.tables.columns import metadata
from tests.support.databases import lent_database
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
def server_database_url(request: pytest.FixtureRequest) -> str:
    """A database with empty tables on each of the two servers in turn."""
    return lent_database(request, request.param)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def set_up_database_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """A database with empty tables on each of the three in turn; on the servers one for many tests, which is much faster."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'interlock.db'}"
        return
    url: str = request.getfixturevalue(
        "postgres_worker_database" if request.param == "postgresql" else "mysql_worker_database"
    )
    database = Database.open(url)
    schema.setup(database)
    try:
        with database.write() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        yield url
    finally:
        database.close()


@pytest.fixture
def saver(set_up_database_url: str) -> Iterator[SQLCheckpointer]:
    """A checkpointer on each of the three in turn."""
    with SQLCheckpointer(set_up_database_url) as checkpointer:
        yield checkpointer
