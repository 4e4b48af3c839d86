"""Prepared statements: on the driver's cursor, in SQLAlchemy's transaction, with SQLAlchemy's errors, alone or several at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from interlock import SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command
from interlock.checkpointing import Database
from interlock.checkpointing.statements import Prepared, write_all
from tests.support.servers import temporary_postgres_database

tables = sa.MetaData()
counters = sa.Table(
    "counters",
    tables,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)
insert = Prepared(sa.insert(counters))
select = Prepared(sa.select(counters.c.value).where(counters.c.name == sa.bindparam("name")))
everything = Prepared(sa.select(counters.c.name, counters.c.value).order_by(counters.c.name))
raise_by = Prepared(
    sa.update(counters)
    .where(counters.c.name == sa.bindparam("by_name"))
    .values(value=counters.c.value + sa.bindparam("step", type_=sa.Integer))
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    with opened.write() as connection:
        tables.create_all(connection)
    yield opened
    opened.close()


def test_what_it_writes_is_committed_and_rolled_back_with_the_transaction(database: Database) -> None:
    with database.write() as connection:
        assert insert.execute(connection, {"name": "kept", "value": 1}) == 1
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        raise ZeroDivisionError(insert.execute(connection, {"name": "lost", "value": 1}))

    with database.read() as connection:
        assert [tuple(row) for row in everything.all(connection, {})] == [("kept", 1)]
        assert select.first(connection, {"name": "lost"}) is None


def test_it_stands_in_one_transaction_with_statements_of_sqlalchemy(database: Database) -> None:
    with database.write() as connection:
        insert.execute(connection, {"name": "a", "value": 1})
        connection.execute(sa.update(counters).values(value=5))
        assert select.first(connection, {"name": "a"}) == (5,)


def test_several_writes_at_once_say_how_many_rows_each_wrote(database: Database) -> None:
    with database.write() as connection:
        insert.execute(connection, {"name": "a", "value": 1})
        written = write_all(
            connection,
            [
                insert.given({"name": "b", "value": 10}),
                raise_by.given({"by_name": "a", "step": 2}),
                raise_by.given({"by_name": "nobody", "step": 2}),
                insert.given({"name": "%(name)s", "value": 5}),
            ],
        )

    assert written == [1, 1, 0, 1]
    with database.read() as connection:
        assert [tuple(row) for row in everything.all(connection, {})] == [("%(name)s", 5), ("a", 3), ("b", 10)]


@pytest.mark.parametrize("first", [True, False])
def test_a_double_key_is_sqlalchemys_integrity_error_and_nothing_of_the_transaction_stays(
    database: Database, first: bool
) -> None:
    double, other = insert.given({"name": "a", "value": 2}), insert.given({"name": "b", "value": 2})
    with database.write() as connection:
        insert.execute(connection, {"name": "a", "value": 1})

    with database.write() as connection:
        with pytest.raises(sa.exc.IntegrityError):
            write_all(connection, [double, other] if first else [other, double])
        connection.rollback()

    with database.read() as connection:
        assert [tuple(row) for row in everything.all(connection, {})] == [("a", 1)]
    with database.write() as connection:
        write_all(
            connection, [other, raise_by.given({"by_name": "a", "step": 1})]
        )  # the connection is as good as before
        assert select.first(connection, {"name": "a"}) == (2,)


def test_many_rows_go_in_by_one_statement(database: Database) -> None:
    with database.write() as connection:
        insert.execute_many(connection, [{"name": str(number), "value": number} for number in range(5)])
        insert.execute_many(connection, [])
        assert len(everything.all(connection, {})) == 5


@command("case.count", effect="transactional")
def count(name: str, ctx: ToolContext) -> int:
    """Count one up."""
    return int(ctx.session.scalar(sa.select(sa.literal(len(name)))))


def test_a_workflow_runs_in_the_schema_that_its_tables_are_in() -> None:
    with temporary_postgres_database() as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA il")
        flow = Workflow("counting")
        flow.add_state("open", decide=lambda _: ("case.count", {"name": "abc"}))
        flow.add_edge("open", count, "closed")
        flow.add_state("closed", final=True)
        with SQLCheckpointer(url, schema="il") as saver:
            saver.setup()
            graph = flow.compile(saver)
            config = {"configurable": {"thread_id": "t-1"}}
            graph.invoke({"messages": []}, config)  # type: ignore[arg-type]

            assert graph.instances.get(config).state == "closed"  # type: ignore[arg-type]
            assert WorkflowStore(saver.database).verify(graph.instances.id_of(config)) == []  # type: ignore[arg-type]
        with engine.connect() as connection:
            schemas = connection.exec_driver_sql(
                "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE %(name)s", {"name": "workflow%"}
            ).scalars()
            assert [*schemas] == ["il"]
        engine.dispose()
