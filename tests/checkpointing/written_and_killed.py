"""A process that writes through every kind of engine, says what was answered, and is killed: `python -m … URL`.

One line of JSON is printed for each case once everything of it was answered. Nothing is closed: engines stay as they are until the end.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from interlock import SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command, read
from interlock.testing import ScriptedChatModel, call

SYNCHRONOUS = {
    "sqlite": ("pysqlite",),
    "postgresql": ("psycopg",),
    "mysql": ("pymysql", *(("mysqldb",) if importlib.util.find_spec("MySQLdb") else ())),
}
ASYNCHRONOUS = {"sqlite": ("aiosqlite",), "postgresql": ("psycopg", "asyncpg"), "mysql": ("asyncmy",)}
ISOLATIONS = {
    "sqlite": ("default", "SERIALIZABLE", "AUTOCOMMIT"),
    "postgresql": ("default", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"),
    "mysql": ("default", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"),
}
POOLS: dict[str, dict[str, Any]] = {
    "its own pool": {},
    "a pool of two": {"pool_size": 1, "max_overflow": 1, "pool_pre_ping": True},
    "no pool": {"poolclass": NullPool},
}


@dataclass(frozen=True)
class Case:
    """One way to run a workflow."""

    engine: str
    """`url`, or the kind of engine and its driver."""
    isolation: str
    pool: str
    called: str
    """How: `sync` or `async`."""

    @property
    def is_possible(self) -> bool:
        """Whether its driver is installed: mysqlclient has to be built, and so it is only tested where it is there."""
        return not self.engine.endswith("mysqldb") or importlib.util.find_spec("MySQLdb") is not None

    @property
    def thread(self) -> str:
        """The thread that this case writes."""
        return f"{self.engine}, {self.isolation}, {self.pool}, {self.called}"


def cases(database: str) -> Iterator[Case]:
    """Every case of one database."""
    for called in ("sync", "async"):
        yield Case("url", "default", "its own pool", called)
    engines = [f"Engine {driver}" for driver in SYNCHRONOUS[database]]
    engines += [f"AsyncEngine {driver}" for driver in ASYNCHRONOUS[database]]
    for engine, called in itertools.product(engines, ("sync", "async")):
        for isolation in ISOLATIONS[database]:
            yield Case(engine, isolation, "its own pool", called)
        for pool in list(POOLS)[1:] if called == "sync" else ():
            yield Case(engine, "default", pool, called)


def target(url: str, case: Case) -> Any:
    """What the saver and the store are given."""
    if case.engine == "url":
        return url
    kind, driver = case.engine.split()
    options = dict(POOLS[case.pool])
    if case.isolation != "default":
        options["isolation_level"] = case.isolation
    of_driver = sa.make_url(url).set(drivername=f"{sa.make_url(url).get_backend_name()}+{driver}")
    return (sa.create_engine if kind == "Engine" else create_async_engine)(of_driver, **options)


def workflow(case: Case) -> Workflow[Any]:
    """A workflow that sells: one sale fails after it wrote, one is kept, and both are read."""
    sale = sa.text("INSERT INTO sold (thread, number) VALUES (:thread, :number)")
    sales = sa.text("SELECT number FROM sold WHERE thread = :thread")

    def record(number: int) -> int:
        if number < 0:
            raise ValueError("no such number")
        return number

    if case.called == "sync":

        @command("sold.add", effect="transactional")
        def add(number: int, ctx: ToolContext) -> int:
            """Sell."""
            ctx.session.execute(sale, {"thread": case.thread, "number": number})
            return record(number)

        @read("sold.list")
        def list_sold(ctx: ToolContext) -> list[int]:
            """What was sold."""
            return [row[0] for row in ctx.session.execute(sales, {"thread": case.thread})]

    else:

        @command("sold.add", effect="transactional")
        async def add(number: int, ctx: ToolContext) -> int:
            """Sell."""
            await ctx.session.execute(sale, {"thread": case.thread, "number": number})
            return record(number)

        @read("sold.list")
        async def list_sold(ctx: ToolContext) -> list[int]:
            """What was sold."""
            return [row[0] for row in await ctx.session.execute(sales, {"thread": case.thread})]

    steps = [call("sold.add", number=-1), call("sold.add", number=7), call("sold.list"), "sold"]
    flow: Workflow[Any] = Workflow("shop", model=ScriptedChatModel(steps))
    flow.add_state("open", tools=[list_sold])
    flow.add_edge("open", add, "open")
    return flow


def run(url: str, case: Case) -> None:
    """Run a case, and say what was answered."""
    where = target(url, case)
    saver = SQLCheckpointer(where)
    # One engine for both: the store is not given the saver's database.
    store = WorkflowStore(where)
    saver.setup()
    graph = workflow(case).compile(saver, workflow_store=store)
    config = {"configurable": {"thread_id": case.thread}}
    message = {"messages": [("user", "Sell 7")]}

    async def both() -> Any:
        answered = await graph.ainvoke(message, config)
        if not isinstance(where, (str, sa.Engine)):
            await where.dispose()  # its connections belong to this loop
        return answered

    answered = graph.invoke(message, config) if case.called == "sync" else asyncio.run(both())
    kept.append((saver, store, graph))
    said = [message.content for message in answered["messages"]]
    print(json.dumps({"thread": case.thread, "said": said[-1], "messages": len(said)}), flush=True)


kept: list[Any] = []


def main() -> None:
    """Run every case, and die."""
    url = sys.argv[1]
    for case in cases(sa.make_url(url).get_backend_name()):
        if not case.is_possible:
            continue
        run(url, case)
        if len(kept) > 4:  # servers have a hundred connections, and the last few engines stay open
            saver, store, _ = kept.pop(0)
            saver.close()
            store.database.close()
            if saver.database.keeps_connections:
                continue
            saver.database.engine.dispose()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
