"""What a checkpointer or a store can be opened with: a URL, an engine of either kind, or a database that is open."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from interlock import Database, SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call
from interlock.tools.errors import StoreError


def test_every_way_to_name_a_database_opens_the_same_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    asynchronous = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite"))
    own = sa.create_engine(url)
    targets: list[Any] = [url, sa.make_url(url), own, asynchronous, Database.open(url)]
    for number, target in enumerate(targets):
        with SQLCheckpointer(target) as saver:
            saver.put_writes(
                {"configurable": {"thread_id": str(number), "checkpoint_ns": "", "checkpoint_id": "1"}}, [("a", 1)], "t"
            )
            with saver.database.read() as connection:
                assert connection.scalar(sa.text("SELECT count(*) FROM workflow_threads")) == number + 1
    own.dispose()


@pytest.mark.parametrize("target", ["shop.db", "", None, 3])
def test_what_names_no_database_is_refused_with_an_example(target: Any) -> None:
    with pytest.raises(StoreError, match="such as sqlite:"):
        WorkflowStore(target)


def begins_itself(path: Path, how: str) -> sa.Engine:
    """SQLAlchemy's recipe for transactions with SQLite's driver: the driver begins none, and the application does."""
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(how)

    return engine


ENGINES: dict[str, Callable[[Path], sa.Engine]] = {
    "the application begins": lambda path: begins_itself(path, "BEGIN"),
    "the application begins to write": lambda path: begins_itself(path, "BEGIN IMMEDIATE"),
}


@pytest.mark.parametrize("which", ENGINES)
def test_a_workflow_lives_in_an_engine_of_the_applications_that_begins_transactions_itself(
    which: str, tmp_path: Path
) -> None:
    engine = ENGINES[which](tmp_path / "shop.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE sold (number INTEGER)")

    @read("sold.count")
    def count(ctx: ToolContext) -> int:
        """How many were sold."""
        return int(ctx.session.scalar(sa.text("SELECT count(*) FROM sold")))

    @command("sold.add", effect="transactional")
    def add(number: int, ctx: ToolContext) -> int:
        """Sell one."""
        ctx.session.execute(sa.text("INSERT INTO sold VALUES (:number)"), {"number": number})
        if number < 0:
            raise ValueError("no such number")
        return number

    steps = [call("sold.count"), call("sold.add", number=1), call("sold.add", number=-1), call("sold.count"), "done"]
    flow = Workflow("shop", model=ScriptedChatModel(steps))
    flow.add_state("open", tools=[count])
    flow.add_edge("open", add, "open")
    with SQLCheckpointer(engine) as saver:
        saver.setup()
        graph = flow.compile(saver)
        output = graph.invoke({"messages": [("user", "go on")]}, {"configurable": {"thread_id": "t"}})
        assert output["messages"][-1].content == "done"
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM sold")) == 1
    engine.dispose()


@pytest.mark.parametrize("which", ENGINES)
def test_those_who_write_with_such_an_engine_wait_for_each_other(which: str, tmp_path: Path) -> None:
    """A transaction that began by reading cannot write once another one has: so the lock is taken at its beginning."""
    engine = ENGINES[which](tmp_path / "shop.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE sold (number INTEGER)")
        connection.exec_driver_sql("INSERT INTO sold VALUES (0)")
    database = Database.open(engine)
    database.write_lock = None  # as if each of them were a process of its own

    def sell() -> None:
        for _ in range(20):
            with database.write() as connection:
                number = connection.scalar(sa.text("SELECT number FROM sold"))
                connection.execute(sa.text("UPDATE sold SET number = :number"), {"number": number + 1})

    sellers = [threading.Thread(target=sell) for _ in range(4)]
    for seller in sellers:
        seller.start()
    for seller in sellers:
        seller.join()
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT number FROM sold")) == 80
    engine.dispose()
