"""Databases that one test after another is lent: the next one finds what a new one has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from sqlalchemy import create_engine, text

from interlock import SQLCheckpointer
from tests.support.databases import MySQL, Postgres
from tests.support.reused import Reused
from tests.support.servers import inside, mysql_url, postgres_url, run_sql

Urls = Callable[[str], str]
CHANGES = {
    "a column": "ALTER TABLE workflow_outbox ADD marker integer",
    "an index": "CREATE INDEX marker ON workflow_outbox (event_name)",
    "a view": "CREATE VIEW marker AS SELECT 1 AS one",
    "a default": "ALTER TABLE workflow_outbox ALTER event_name SET DEFAULT 'none'",
}
ON_POSTGRESQL = {
    "a schema": "CREATE SCHEMA marker",
    "a function": "CREATE FUNCTION marker() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "a right": "GRANT SELECT ON workflow_outbox TO public",
    "what the planner knows": "ANALYZE workflow_outbox",
    "a sequence": "CREATE SEQUENCE marker",
    "a table in another schema": "CREATE SCHEMA marker CREATE TABLE marker (id integer)",
    "a type": "CREATE TYPE marker AS ENUM ('one')",
    "row security": "ALTER TABLE workflow_outbox ENABLE ROW LEVEL SECURITY",
}


@pytest.fixture(params=["postgresql", "mysql"])
def databases(request: pytest.FixtureRequest) -> Iterator[tuple[Reused, Urls]]:
    """Databases of this test's own to lend, and the URL of each."""
    if request.param == "postgresql":
        made = Reused(Postgres(request.getfixturevalue("postgres_tables")))
        yield made, lambda name: inside(postgres_url(), name)
    else:
        made = Reused(MySQL())
        yield made, lambda name: inside(mysql_url(), name)
    made.close()


def _keep(url: str) -> tuple[int, int]:
    """Keep a checkpoint; the number of its thread, and the count of all threads."""
    with SQLCheckpointer(url) as saver:
        saver.put({"configurable": {"thread_id": "t-1", "checkpoint_ns": ""}}, empty_checkpoint(), {}, {})
        with saver.database.read() as connection:
            row = connection.execute(text("SELECT max(id), count(*) FROM workflow_threads")).one()
    return int(row[0]), int(row[1])


def test_who_is_lent_a_database_again_finds_it_as_new(databases: tuple[Reused, Urls]) -> None:
    lender, url_of = databases
    with lender.lent() as first:
        assert _keep(url_of(first)) == (1, 1)

    with lender.lent() as again:
        assert len(lender.idle) == 0
        assert _keep(url_of(again)) == (1, 1)


def test_tables_that_a_test_added_are_gone(databases: tuple[Reused, Urls]) -> None:
    lender, url_of = databases
    with lender.lent() as first:
        run_sql(url_of(first), "CREATE TABLE marker (id integer)")
    assert len(lender.idle) == 1

    with lender.lent() as again, pytest.raises(Exception, match=r"does not exist|doesn't exist"):
        run_sql(url_of(again), "SELECT * FROM marker")


def test_two_tests_at_once_have_two_databases(databases: tuple[Reused, Urls]) -> None:
    lender, _ = databases
    with lender.lent() as one, lender.lent() as other:
        assert one != other
    assert len(lender.idle) == 2


def test_a_transaction_that_was_left_open_ends(databases: tuple[Reused, Urls]) -> None:
    lender, url_of = databases
    with lender.lent() as first:
        engine = create_engine(url_of(first))
        left_open = engine.connect()
        left_open.execute(text("DELETE FROM workflow_outbox"))
    assert len(lender.idle) == 1

    with pytest.raises(Exception, match=r"terminat|closed|Lost connection|gone away|KILL|kill"):
        left_open.execute(text("SELECT 1"))
    left_open.invalidate()
    left_open.close()
    engine.dispose()


def _is_dropped_after(change: str, lender: Reused, url_of: Urls) -> None:
    with lender.lent() as first:
        run_sql(url_of(first), change)
    assert lender.idle == []
    with pytest.raises(Exception, match=r"does not exist|Unknown database"):
        run_sql(url_of(first), "SELECT 1")


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_beside_rows_is_not_lent_again(databases: tuple[Reused, Urls], change: str) -> None:
    _is_dropped_after(CHANGES[change], *databases)


@pytest.mark.parametrize("change", ON_POSTGRESQL)
def test_nor_is_what_only_postgresql_has(postgres_tables: str, change: str) -> None:
    lender = Reused(Postgres(postgres_tables))
    _is_dropped_after(ON_POSTGRESQL[change], lender, lambda name: inside(postgres_url(), name))
    lender.close()


def test_a_name_on_postgresql_is_not_given_twice(postgres_tables: str) -> None:
    lender = Reused(Postgres(postgres_tables))
    with lender.lent() as first:
        pass
    with lender.lent() as again:
        assert again != first
        with pytest.raises(Exception, match="does not exist"):
            run_sql(inside(postgres_url(), first), "SELECT 1")
    lender.close()
