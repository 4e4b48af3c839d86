"""What an application gives its engine holds for everything that Interlock does on it, or the engine is refused."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool

from interlock import SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import StoreError

KINDS = ["psycopg", "psycopg, asynchronous", "asyncpg"]


def make(kind: str, url: str, **options: Any) -> Any:
    """An engine of this kind."""
    driver = "asyncpg" if kind == "asyncpg" else "psycopg"
    of = sa.create_engine if kind == "psycopg" else create_async_engine
    return of(sa.make_url(url).set(drivername=f"postgresql+{driver}"), **options)


def heard(engine: Any) -> Any:
    """What listeners are attached to."""
    return getattr(engine, "sync_engine", engine)


def search_path(kind: str, schema: str) -> dict[str, Any]:
    return {"server_settings": {"search_path": schema}} if kind == "asyncpg" else {"options": f"-csearch_path={schema}"}


def sell(asynchronous: bool) -> Workflow[Any]:
    """A workflow with a read and a transactional tool."""
    if asynchronous:

        @command("sold.add", effect="transactional")
        async def add(ctx: ToolContext) -> int:
            """Sell."""
            return int(await ctx.session.scalar(sa.text("SELECT 7")))

        @read("sold.look")
        async def look(ctx: ToolContext) -> int:
            """Look."""
            return int(await ctx.session.scalar(sa.text("SELECT 8")))

    else:

        @command("sold.add", effect="transactional")
        def add(ctx: ToolContext) -> int:
            """Sell."""
            return int(ctx.session.scalar(sa.text("SELECT 7")))

        @read("sold.look")
        def look(ctx: ToolContext) -> int:
            """Look."""
            return int(ctx.session.scalar(sa.text("SELECT 8")))

    flow: Workflow[Any] = Workflow("shop", model=ScriptedChatModel([call("sold.look"), call("sold.add"), "sold"]))
    flow.add_state("open", tools=[look])
    flow.add_edge("open", add, "open")
    return flow


def use(engine: Any, **options: Any) -> None:
    """Run a workflow through it both ways, and take its thread away."""
    saver = SQLCheckpointer(engine, **options)
    saver.setup()
    message = {"messages": [("user", "Sell")]}

    async def both() -> Any:
        output = await sell(True).compile(saver).ainvoke(message, {"configurable": {"thread_id": "a"}})
        if not isinstance(engine, sa.Engine):
            await engine.dispose()
        return output

    outputs = [sell(False).compile(saver).invoke(message, {"configurable": {"thread_id": "s"}}), asyncio.run(both())]
    assert [output["messages"][-1].content for output in outputs] == ["sold", "sold"]
    assert len(list(saver.list({"configurable": {"thread_id": "s"}}))) > 3
    saver.delete_thread("s")
    saver.close()
    if isinstance(engine, sa.Engine):
        engine.dispose()


@pytest.mark.parametrize("kind", KINDS)
def test_an_async_tool_of_a_synchronous_run_leaves_the_pool_to_the_applications_loop(
    kind: str, empty_postgres_database: str
) -> None:
    engine = make(kind, empty_postgres_database)
    saver = SQLCheckpointer(engine)
    graph = sell(True).compile(saver)
    message = {"messages": [("user", "Sell")]}
    assert graph.invoke(message, {"configurable": {"thread_id": "s"}})["messages"][-1].content == "sold"
    if not isinstance(engine, sa.Engine):
        assert engine.sync_engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # nothing of another loop is in it
    saver.close()


@pytest.fixture
def shop(empty_postgres_database: str) -> Iterator[Callable[[], set[tuple[str, str]]]]:
    """Gives where the tables are, and whose: the database has a schema `shop`."""
    with psycopg.connect(empty_postgres_database.replace("+psycopg", ""), autocommit=True) as server:
        server.execute("CREATE SCHEMA shop")
        yield lambda: set(
            server.execute("SELECT schemaname, tableowner FROM pg_tables WHERE tablename LIKE 'workflow_%'").fetchall()
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_drivers_arguments_hold(kind: str, empty_postgres_database: str, shop: Callable[[], Any]) -> None:
    use(make(kind, empty_postgres_database, connect_args=search_path(kind, "shop")))
    assert {schema for schema, _ in shop()} == {"shop"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_translated_schema_holds_and_another_translation_stays(
    kind: str, empty_postgres_database: str, shop: Callable[[], Any]
) -> None:
    use(make(kind, empty_postgres_database).execution_options(schema_translate_map={None: "shop"}))
    assert {schema for schema, _ in shop()} == {"shop"}
    with SQLCheckpointer(
        make(kind, empty_postgres_database).execution_options(schema_translate_map={"tenant": "t7"}), schema="shop"
    ) as saver:
        assert saver.database.engine.get_execution_options()["schema_translate_map"] == {"tenant": "t7", None: "shop"}


@pytest.mark.parametrize("kind", KINDS)
def test_credentials_that_are_made_for_each_connection_are_used(
    kind: str, empty_postgres_database: str, shop: Callable[[], Any]
) -> None:
    role = f"interlock_{sa.make_url(empty_postgres_database).database}"[:60]
    with psycopg.connect(empty_postgres_database.replace("+psycopg", ""), autocommit=True) as server:
        server.execute(f"CREATE ROLE {role} LOGIN")
        server.execute(f"GRANT ALL ON SCHEMA public TO {role}")
        try:
            engine = make(kind, sa.make_url(empty_postgres_database).set(username="nobody").render_as_string(False))

            @sa.event.listens_for(heard(engine), "do_connect")
            def token(_dialect: Any, _record: Any, _args: Any, arguments: dict[str, Any]) -> None:
                arguments["user"] = role

            use(engine)
            assert {owner for _, owner in shop()} == {role}
        finally:
            server.execute(f"DROP OWNED BY {role} CASCADE")
            server.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("kind", KINDS)
def test_listeners_hear_every_connection_transaction_and_statement(kind: str, empty_postgres_database: str) -> None:
    engine = make(kind, empty_postgres_database)
    counted: dict[str, int] = dict.fromkeys(("connect", "begin", "commit", "before_cursor_execute"), 0)
    statements: list[str] = []

    def counting(name: str) -> Callable[..., None]:
        def count(*args: Any) -> None:
            counted[name] += 1
            if name == "before_cursor_execute":
                statements.append(args[2])

        return count

    for name in counted:
        sa.event.listen(heard(engine), name, counting(name))
    use(engine)
    assert all(counted.values()), counted
    for table in ("workflow_checkpoints", "conversation_messages", "workflow_instances", "workflow_ledger"):
        assert any(table in statement for statement in statements), table


def test_a_listener_may_rewrite_statements_and_set_what_holds_for_a_transaction(empty_postgres_database: str) -> None:
    engine = sa.create_engine(empty_postgres_database)
    seen: list[Any] = []

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def comment(*args: Any) -> Any:
        return f"{args[2]} /* of the shop */", args[3]

    @sa.event.listens_for(engine, "begin")
    def tenant(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SELECT set_config('shop.tenant', 't7', true)")

    saver = SQLCheckpointer(engine)
    saver.setup()
    with saver.database.raw_write() as cursor:
        cursor.execute("SELECT current_setting('shop.tenant'), current_query()")
        seen += cursor.fetchone()
    assert seen[0] == "t7"
    assert seen[1].endswith("/* of the shop */")
    engine.dispose()
    saver.close()


@pytest.mark.parametrize("driver", ["pysqlite", "aiosqlite"])
def test_a_connection_that_the_application_makes_and_sets_up_is_the_one_that_is_used(
    driver: str, tmp_path: Path
) -> None:
    file = tmp_path / "made.db"
    options: dict[str, Any] = {"poolclass": QueuePool}
    if driver == "pysqlite":
        engine: Any = sa.create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(file, check_same_thread=False), **options
        )
    else:
        engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    called: list[str] = []

    @sa.event.listens_for(heard(engine), "connect")
    def connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA cache_size=-1234")
        cursor.close()
        called.append("connect")

    use(engine)
    assert called
    with contextlib.closing(sqlite3.connect(file)) as there:
        assert there.execute("SELECT count(*) FROM workflow_checkpoints").fetchone()[0] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_that_commits_every_statement_still_gives_transactions(
    kind: str, empty_postgres_database: str
) -> None:
    """Set in a listener, where SQLAlchemy does not know of it."""
    engine = make(kind, empty_postgres_database)

    @sa.event.listens_for(heard(engine), "connect")
    def connect(connection: Any, _record: Any) -> None:
        if kind == "asyncpg":
            connection.set_isolation_level("autocommit")
        else:
            connection.autocommit = True

    saver = SQLCheckpointer(engine)
    saver.setup()

    def fail() -> None:
        with saver.database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE taken_back (number INTEGER)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with saver.database.read() as connection:
        assert not sa.inspect(connection).has_table("taken_back")
    use(engine)
    saver.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_of_one_connection_is_enough(kind: str, empty_postgres_database: str) -> None:
    use(make(kind, empty_postgres_database, pool_size=1, max_overflow=0, pool_timeout=5))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "one connection for all": (lambda: sa.create_engine("sqlite:///x.db", poolclass=StaticPool), "StaticPool"),
    "one for all, in memory": (
        lambda: sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}),
        "sqlite://",
    ),
    "one for each thread": (lambda: sa.create_engine("sqlite:///x.db", poolclass=SingletonThreadPool), "SingletonThreadPool"),
    "memory": (lambda: sa.create_engine("sqlite://"), "sqlite://"),
    "memory of each connection": (lambda: sa.create_engine("sqlite://", poolclass=NullPool), "in memory"),
    "memory, asynchronous": (lambda: create_async_engine("sqlite+aiosqlite://"), "sqlite://"),
    "one at a time": (lambda: sa.create_engine("postgresql+psycopg://u@h/x", poolclass=AssertionPool), "AssertionPool"),
    "what is not committed": (
        lambda: sa.create_engine("mysql+pymysql://u@h/x", isolation_level="READ UNCOMMITTED"), "READ UNCOMMITTED"
    ),
    "what is not committed, by an option": (
        lambda: sa.create_engine("mysql+pymysql://u@h/x").execution_options(isolation_level="READ UNCOMMITTED"),
        "READ UNCOMMITTED",
    ),
    "the inside of an asynchronous one": (
        lambda: create_async_engine("postgresql+asyncpg://u@h/x").sync_engine, "Give the AsyncEngine"
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
@pytest.mark.parametrize("opened_by", [SQLCheckpointer, WorkflowStore])
def test_an_engine_that_would_lose_data_is_refused_when_it_is_given(
    which: str, opened_by: Callable[[Any], Any]
) -> None:
    engine, why = REFUSED[which]
    with pytest.raises(StoreError, match=why):
        opened_by(engine())


def test_the_application_goes_on_with_its_engine_when_the_checkpointer_is_closed(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with SQLCheckpointer(engine) as saver:
        saver.setup()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM workflow_threads").scalar() == 0
    engine.dispose()
