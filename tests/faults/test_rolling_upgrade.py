"""Two releases on one database: the older one that still runs goes on with tables that a newer one has added to."""

from __future__ import annotations

import asyncio
import pathlib

import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from interlock import SQLCheckpointer
from interlock.checkpointing.tables.columns import metadata
from interlock.events import InProcessBus, Message, Relay
from interlock.tools import SchemaMismatch
from tests.support.databases import lent_database

from .runs import go, left_behind
from .workflows import BOSS, CLERK, WORKFLOWS, Booked, built, prepare, transactions

HERE: RunnableConfig = {"configurable": {"thread_id": "t-1"}}
NOWHERE = ("", 0)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """A database with all tables."""
    found = (
        f"sqlite:///{tmp_path / 'workflows.db'}" if request.param == "sqlite" else lent_database(request, request.param)
    )
    prepare(found)
    return found


def upgraded(url: str) -> None:
    """Do to the tables what the migrations of a newer release may do: add columns and tables, and say that they are newer."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN noted_later VARCHAR(64)")
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN counted_later INTEGER NOT NULL DEFAULT 7")
        connection.exec_driver_sql("CREATE TABLE workflow_newer (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("UPDATE workflow_schema SET version_num = '9999'")
    engine.dispose()


def test_an_older_release_that_still_runs_goes_on_and_what_it_writes_is_whole(url: str) -> None:
    with SQLCheckpointer(url) as saver:
        graph = transactions(NOWHERE).compile(saver)
        graph.invoke({"messages": [("user", "go on")], "data": {"thread": "t-1"}}, HERE, context=CLERK)

        upgraded(url)

        done = graph.invoke(Command(resume={"type": "approve"}), HERE, context=BOSS)
        assert (done["state"], done["data"]["done"]) == ("over", ["open", "tea", "close"])
        new: RunnableConfig = {"configurable": {"thread_id": "t-2"}}
        graph.invoke({"messages": [("user", "go on")], "data": {"thread": "t-2"}}, new, context=CLERK)
        assert graph.invoke(Command(resume={"type": "approve"}), new, context=BOSS)["state"] == "over"
        past = [*graph.get_state_history(new)][-3].config
        forked = graph.instances.fork(past, thread_id="t-3", principal=CLERK)
        store = graph.engine.store
        for config in (HERE, new, forked):
            workflow_id = graph.instances.id_of(config)
            store.erase_audit(workflow_id, by=CLERK, reason="asked for", numbers=[1])
            assert store.verify(workflow_id) == []
            assert store.export_audit(workflow_id)
        got: list[Message] = []

        async def relay() -> None:
            bus = InProcessBus()
            async with bus, bus.subscribe([Booked.name_on_wire], got.append, consumer="reader"):
                await Relay(store, bus).drain()

        asyncio.run(relay())
        assert len(got) == 6


@pytest.mark.parametrize("name", sorted(WORKFLOWS.keys() - {"effects", "coroutines"}))
def test_every_kind_of_step_works_on_tables_that_were_added_to(name: str, url: str) -> None:
    graph = built(name, url, NOWHERE)
    config: RunnableConfig = {"configurable": {"thread_id": "t-1"}}
    graph.invoke({"messages": [("user", "go on")], "data": {"thread": "t-1"}}, config, context=CLERK)

    upgraded(url)

    assert go(name, url, NOWHERE, "t-1") == "over"
    left = left_behind(name, url, NOWHERE, "t-1")
    assert left.data["done"] == [what for what, _ in left.bookings] == left.outbox
    assert left.broken == []


def test_an_older_release_that_starts_anew_says_that_the_tables_are_newer(url: str) -> None:
    upgraded(url)

    with SQLCheckpointer(url) as saver, pytest.raises(SchemaMismatch, match="newer release"):
        transactions(NOWHERE).compile(saver).invoke({"messages": []}, HERE)
