"""PostgreSQL behind pgbouncer in transaction mode: each transaction may run on another server connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from interlock import Database, SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import StoreError
from tests.support.pgbouncer import pgbouncer
from tests.support.servers import temporary_postgres_database

THREADS, TURNS = 4, 4


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The database behind the pooler, reached directly."""
    with temporary_postgres_database() as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE sold (thread TEXT, number INTEGER)")
        engine.dispose()
        yield url


@pytest.fixture(scope="module")
def pooled(database: str) -> Iterator[str]:
    """The same through pgbouncer, whose clients share two server connections."""
    with pgbouncer(database) as url:
        yield url


NOTHING_PREPARED = {"prepare_threshold": None}
TARGETS: dict[str, Callable[[str], Any]] = {
    "a URL": lambda url: url,
    "a URL that says it": lambda url: f"{url}?prepare_threshold=none",
    "a URL as asyncpg has it": lambda url: url.replace("+psycopg", "+asyncpg") + "?prepared_statement_cache_size=0",
    "an engine": lambda url: sa.create_engine(url, connect_args=NOTHING_PREPARED, poolclass=NullPool),
    "an engine with a pool": lambda url: sa.create_engine(url, connect_args=NOTHING_PREPARED),
    "an engine that commits by itself": lambda url: sa.create_engine(
        url, connect_args=NOTHING_PREPARED, isolation_level="AUTOCOMMIT"
    ),
    "an asynchronous engine": lambda url: create_async_engine(url, connect_args=NOTHING_PREPARED, poolclass=NullPool),
}


@command("sold.add", effect="transactional")
def add(number: int, ctx: ToolContext) -> int:
    """Sell."""
    ctx.session.execute(
        sa.text("INSERT INTO sold VALUES (:thread, :number)"), {"thread": ctx.workflow_id, "number": number}
    )
    return number


@read("sold.list")
def list_sold(ctx: ToolContext) -> list[int]:
    """What was sold."""
    statement = sa.text("SELECT number FROM sold WHERE thread = :thread ORDER BY number")
    return [row[0] for row in ctx.session.execute(statement, {"thread": ctx.workflow_id})]


def shop() -> Workflow[Any]:
    steps = [step for number in range(TURNS) for step in (call("sold.add", number=number), call("sold.list"), "sold")]
    flow: Workflow[Any] = Workflow("shop", model=ScriptedChatModel(steps))
    flow.add_state("open", tools=[list_sold])
    flow.add_edge("open", add, "open")
    return flow


@pytest.mark.parametrize("kind", TARGETS)
def test_workflows_run_at_once_behind_a_pooler_in_transaction_mode(kind: str, pooled: str, database: str) -> None:
    target = TARGETS[kind](pooled)
    saver = SQLCheckpointer(target)
    saver.setup()
    store = WorkflowStore(saver.database)
    problems: list[BaseException] = []

    def work(thread: str) -> None:
        try:
            graph = shop().compile(saver, workflow_store=store)
            for _ in range(TURNS):
                graph.invoke({"messages": [("user", "Sell")]}, {"configurable": {"thread_id": thread}})
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(f"{kind} {number}",)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saver.close()
    if isinstance(target, sa.Engine):
        target.dispose()
    assert not problems, problems[0]
    with SQLCheckpointer(database) as directly:
        for number in range(THREADS):
            state = shop().compile(directly).get_state({"configurable": {"thread_id": f"{kind} {number}"}})
            assert len(state.values["messages"]) == 6 * TURNS
            assert '"output":[0,1,2,3]' in state.values["messages"][-2].content.replace(" ", "")


def test_async_tools_run_behind_a_pooler(pooled: str) -> None:
    @command("sold.add", effect="transactional")
    async def sell(number: int, ctx: ToolContext) -> int:
        """Sell."""
        for _ in range(8):  # more than the driver runs before it prepares a statement
            await ctx.session.execute(sa.text("INSERT INTO sold VALUES ('async', :number)"), {"number": number})
        return number

    flow: Workflow[Any] = Workflow("shop", model=ScriptedChatModel([call("sold.add", number=1), "sold"] * 5))
    flow.add_state("open")
    flow.add_edge("open", sell, "open")
    with SQLCheckpointer(pooled) as saver:
        saver.setup()
        graph = flow.compile(saver)

        async def run() -> list[Any]:
            configs = [{"configurable": {"thread_id": f"async {number}"}} for number in range(5)]
            return await asyncio.gather(*(graph.ainvoke({"messages": [("user", "Sell")]}, one) for one in configs))

        assert [output["state"] for output in asyncio.run(run())] == ["open"] * 5


def test_nothing_is_left_behind_on_the_server_connections_that_others_get(pooled: str) -> None:
    database = Database.open(pooled)
    with database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    database.close()
    plain = sa.make_url(pooled).set(drivername="postgresql").render_as_string(hide_password=False)
    for _ in range(4):
        with psycopg.connect(plain, autocommit=True) as another:
            row = another.execute(
                "SELECT current_setting('lock_timeout'), count(*) FROM pg_prepared_statements"
            ).fetchone()
            assert row == ("0", 0)


def test_a_server_without_a_pooler_still_has_its_statements_prepared_and_its_waiting_bounded(database: str) -> None:
    opened = Database.open(database)
    try:
        with opened.raw_query() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            assert cursor.fetchone() == ("30s",)
            assert cursor.connection.prepare_threshold == 5
    finally:
        opened.close()


def test_options_that_a_pooler_refuses_are_an_error_that_says_where_they_belong(pooled: str) -> None:
    with (
        pytest.raises(StoreError, match="ALTER ROLE") as refused,
        SQLCheckpointer(f"{pooled}?options=-c%20lock_timeout%3D5s") as saver,
    ):
        saver.setup()
    assert refused.value.code == "refused_by_pooler"
    assert not refused.value.retryable


def test_options_that_a_pooler_is_told_to_ignore_do_no_harm(database: str) -> None:
    with (
        pgbouncer(database, ignored="options") as pooled,
        SQLCheckpointer(f"{pooled}?options=-c%20lock_timeout%3D5s") as saver,
    ):
        saver.setup()
        assert saver.get_tuple({"configurable": {"thread_id": "nobody's"}}) is None
