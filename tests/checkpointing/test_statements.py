"""Prepared statements: on the driver's cursor, in SQLAlchemy's transaction, with SQLAlchemy's errors, alone or several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig

from interlock import SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command
from interlock.checkpointing import Database
from interlock.checkpointing.statements import Prepared, write_all
from interlock.checkpointing.store import ledger as store_ledger
from interlock.commands.execution.looking import Looking
from interlock.tools.canonical import JsonObject
from interlock.tools.contracts import ToolContract
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


def test_it_is_shown_where_sqlalchemy_shows_its_own(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "sqlalchemy.engine"):
        with database.write() as connection:
            insert.execute(connection, {"name": "seen", "value": 1})
        with database.raw_read() as cursor:
            cursor.execute("SELECT value FROM counters")
            assert [tuple(row) for row in cursor] == [(1,)]
        with database.raw_query() as cursor:
            cursor.execute("SELECT name FROM counters")
            assert cursor.fetchone()[0] == "seen"
    for part in ("INSERT INTO counters", "'seen'", "SELECT value FROM counters", "SELECT name FROM counters"):
        assert part in caplog.text
    caplog.clear()
    with database.read() as connection:
        assert select.first(connection, {"name": "seen"}) == (1,)
    assert caplog.text == ""


def test_so_are_those_of_an_engine_that_echoes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'echo.db'}", echo=True, hide_parameters=True)
    with SQLCheckpointer(engine) as saver:
        saver.put_writes(
            {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "1"}},
            [("channel", "only for us")],
            "task",
        )
    engine.dispose()
    shown = capsys.readouterr().out
    assert "workflow_writes" in shown.rpartition("CREATE TABLE")[2]
    assert "INSERT INTO workflow_threads" in shown
    assert "only for us" not in shown


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


def test_very_many_writes_at_once_are_all_done(database: Database) -> None:
    names = [f"name {number}" for number in range(1_800)]
    with database.write() as connection:
        assert write_all(connection, [insert.given({"name": name, "value": 1}) for name in names]) == [1] * len(names)
        assert len(everything.all(connection, {})) == len(names)


def test_what_an_engine_hides_is_not_shown_in_errors(database_url: str) -> None:
    engine = sa.create_engine(database_url, hide_parameters=True)
    with engine.begin() as connection:
        tables.create_all(connection)
        insert.execute(connection, {"name": "SECRET", "value": 1})
    with pytest.raises(sa.exc.IntegrityError) as caught, engine.begin() as connection:
        insert.execute(connection, {"name": "SECRET", "value": 1})
    assert "SECRET" not in str(caught.value).replace(str(caught.value.orig), "")
    engine.dispose()


def test_a_lost_connection_costs_an_engine_of_the_applications_one_error() -> None:
    with temporary_postgres_database() as url:
        engine = sa.create_engine(url, pool_size=3)  # without asking connections whether they still are
        held = [engine.connect() for _ in range(3)]
        numbers = [connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() for connection in held]
        for connection in held:
            connection.close()
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
            for number in numbers:
                server.execute("SELECT pg_terminate_backend(%s, 5000)", (number,))
        one = Prepared(sa.select(sa.literal(1)))
        with pytest.raises(sa.exc.OperationalError), engine.connect() as connection:
            one.first(connection, {})
        for _ in range(3):
            with engine.connect() as connection:
                assert one.first(connection, {}) == (1,)
        engine.dispose()


BLOCKED = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


def is_blocked(database: Database) -> bool:
    """Whether some statement waits for a lock."""
    with database.read() as connection:
        return bool(connection.exec_driver_sql(BLOCKED[database.dialect.value]).scalar_one())


def test_a_statement_that_is_cancelled_stays_cancelled(server_database_url: str) -> None:
    """And its connection, which nobody can use any more, does not get into the way."""

    async def wait() -> None:
        database = Database.open(server_database_url)
        with database.write() as connection:
            tables.create_all(connection)
            insert.execute(connection, {"name": "a", "value": 1})
        lock = Prepared(sa.select(counters.c.value).with_for_update())
        ready = asyncio.Event()

        async def second() -> None:
            async with database.awrite() as connection:
                ready.set()
                await connection.run_sync(lambda sync: lock.all(sync, {}))

        async with database.awrite() as connection:
            await connection.run_sync(lambda sync: lock.all(sync, {}))
            waiting = asyncio.create_task(second())
            await ready.wait()
            assert await database.arun(lambda: WorkflowStore(database).wait_until(lambda: is_blocked(database), 10))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with database.awrite() as connection:
            assert await connection.run_sync(lambda sync: lock.all(sync, {})) in ([(1,)], ((1,),))
        database.close()

    asyncio.run(wait())


def test_who_waits_for_an_instance_is_given_what_was_committed_under_its_key_meanwhile(postgres_database: str) -> None:
    with SQLCheckpointer(postgres_database) as saver, ThreadPoolExecutor() as pool:
        saver.setup()

        @command("case.open", effect="transactional")
        def open_slowly() -> str:
            """Open a case, when somebody else waits to do the same."""
            second.append(pool.submit(execute))
            assert graph.engine.store.wait_until(lambda: is_blocked(saver.database), 20)
            return "opened"

        flow = Workflow("cases")
        flow.add_state("new")
        flow.add_edge("new", open_slowly, "open")
        flow.add_state("open", final=True)
        graph = flow.compile(saver)
        here: RunnableConfig = {"configurable": {"thread_id": "t-1"}}
        graph.invoke({"messages": []}, here)
        second: list[Future[JsonObject]] = []

        def execute() -> JsonObject:
            return graph.instances.execute(here, "case.open", {}, idempotency_key="once")

        first = execute()

        assert first["ok"]
        assert second[0].result(20) == {**first, "replayed": True}


def test_what_a_command_writes_is_one_statement_that_psycopg_parses_only_once(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    execute = psycopg.Cursor.execute

    def recorded(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
        if str(query).startswith("WITH"):
            given.append(params)
        return execute(cursor, query, params, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", recorded)
    flow = Workflow("counting")
    flow.add_state("open")
    flow.add_edge("open", count, "closed")
    flow.add_state("closed", final=True)
    with SQLCheckpointer(postgres_database) as saver:
        graph = flow.compile(saver)
        here: RunnableConfig = {"configurable": {"thread_id": "t-1"}}
        graph.invoke({"messages": []}, here)
        given.clear()

        assert graph.instances.execute(here, "case.count", {"name": "abc"})["ok"]

    assert len(given) == 1
    assert len(given[0]) <= 50, "it keeps no statement that has more parameters"


def test_what_a_look_writes_is_not_kept_by_a_read(database: Database) -> None:
    with database.read() as connection, Looking(connection, "check") as looking:
        looking.open().execute(sa.insert(counters).values(name="a", value=1))
    with database.read() as connection:
        assert everything.all(connection, {}) in ([], ())


def test_effects_that_wait_for_somebody_are_found_by_their_index(tmp_path: Path) -> None:
    with closing(WorkflowStore(f"sqlite:///{tmp_path / 'store.db'}")) as store, store.read() as connection:
        seen: list[str] = []
        sa.event.listen(connection, "before_cursor_execute", lambda *given: seen.append(given[2]))
        store_ledger.unsettled(connection, None, 10)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {seen[0]}", (10, 0)).all()
        assert "USING INDEX ix_workflow_ledger_unsettled" in str(plan)


@command("case.count", effect="transactional")
def count(name: str, ctx: ToolContext) -> int:
    """Count one up."""
    return int(ctx.session.scalar(sa.select(sa.literal(len(name)))))


@command("case.count", effect="transactional")
async def count_later(name: str, ctx: ToolContext) -> int:
    """Count one up."""
    return int(await ctx.session.scalar(sa.select(sa.literal(len(name)))))


@pytest.mark.parametrize("tool", [count, count_later], ids=["sync", "async"])
def test_a_workflow_runs_in_the_schema_that_its_tables_are_in(tool: ToolContract) -> None:
    with temporary_postgres_database() as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA il")
        flow = Workflow("counting")
        flow.add_state("open", decide=lambda _: ("case.count", {"name": "abc"}))
        flow.add_edge("open", tool, "closed")
        flow.add_state("closed", final=True)
        with SQLCheckpointer(url, schema="il") as saver:
            saver.setup()
            graph = flow.compile(saver)
            config = {"configurable": {"thread_id": "t-1"}}
            if tool.is_async:
                asyncio.run(graph.ainvoke({"messages": []}, config))  # type: ignore[arg-type]
            else:
                graph.invoke({"messages": []}, config)  # type: ignore[arg-type]

            assert graph.instances.get(config).state == "closed"  # type: ignore[arg-type]
            assert WorkflowStore(saver.database).verify(graph.instances.id_of(config)) == []  # type: ignore[arg-type]
        with engine.connect() as connection:
            schemas = connection.exec_driver_sql(
                "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE %(name)s", {"name": "workflow%"}
            ).scalars()
            assert [*schemas] == ["il"]
        engine.dispose()
