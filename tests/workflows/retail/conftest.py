"""Shops to work on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from interlock.workflows.retail.sample_shop import load_sample_shop
from interlock.workflows.retail.shop import create_tables, load
from tests.workflows.retail import tau2


@pytest.fixture
def session() -> Iterator[Session]:
    """A session on the sample shop, on SQLite in memory."""
    engine = create_engine("sqlite://")
    create_tables(engine)
    with Session(engine) as session:
        load_sample_shop(session)
        session.commit()
        yield session
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def any_engine(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Engine]:
    """An engine on an empty database with the shop's tables, on each kind of database in turn."""
    match request.param:
        case "postgresql":
            url = str(request.getfixturevalue("postgres_database"))
        case "mysql":
            url = str(request.getfixturevalue("mysql_database"))
        case _:
            url = f"sqlite:///{tmp_path}/shop.db"
    engine = create_engine(url)
    create_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def tau2_engine() -> Iterator[Engine]:
    """The benchmark's shop, on SQLite in memory. Roll back whatever is done to it."""
    engine = create_engine("sqlite://")
    create_tables(engine)
    with engine.begin() as connection:
        load(connection, tau2.shop_json())
    yield engine
    engine.dispose()


@pytest.fixture
def tau2_session(tau2_engine: Engine) -> Iterator[Session]:
    """A session on the benchmark's shop; what the test does is rolled back."""
    with Session(tau2_engine) as session:
        yield session
        session.rollback()
