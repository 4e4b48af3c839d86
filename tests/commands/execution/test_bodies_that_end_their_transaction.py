"""A tool's body cannot end the transaction that it is given: whatever it tries, nothing of a call that fails is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import Principal, SQLCheckpointer, ToolContext, Workflow, WorkflowStore, command
from interlock.tools.errors import InterlockError

HERE = {"configurable": {"thread_id": "t-1"}}
GRANTED = sa.table("granted", sa.column("name"))
WAYS: dict[str, Callable[[Any], Any]] = {
    "session.commit": lambda session: session.commit(),
    "session.rollback": lambda session: session.rollback(),
    "connection.commit": lambda session: session.connection().commit(),
    "transaction.commit": lambda session: session.connection().get_transaction().commit(),
    "COMMIT": lambda session: session.execute(sa.text("COMMIT")),
    "lower case, with a comment": lambda session: session.execute(sa.text("/* so */ commit")),
    "ROLLBACK": lambda session: session.execute(sa.text("ROLLBACK")),
    "BEGIN": lambda session: session.connection().exec_driver_sql("BEGIN"),
}


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLCheckpointer]:
    databases = {"postgresql": "postgres_worker_database", "mysql": "mysql_worker_database"}
    url = (
        f"sqlite:///{tmp_path / 'a.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue(databases[request.param])
    )
    with SQLCheckpointer(url) as saver:
        saver.setup()
        with saver.database.write() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS granted")
            connection.exec_driver_sql("CREATE TABLE granted (name VARCHAR(20))")
        yield saver


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("way", list(WAYS))
def test_a_body_that_tries_to_end_its_transaction_is_rolled_back(
    way: str, swallows: bool, saver: SQLCheckpointer, request: pytest.FixtureRequest
) -> None:
    @command("grant.give", effect="transactional")
    def give(ctx: ToolContext) -> str:
        """Give a grant."""
        ctx.session.execute(sa.insert(GRANTED).values(name=way[:20]))
        try:
            WAYS[way](ctx.session)
        except InterlockError:
            if not swallows:
                raise
        raise RuntimeError("after that")

    @command("grant.note", effect="transactional")
    def note(ctx: ToolContext) -> str:
        """Write a note."""
        ctx.session.execute(sa.insert(GRANTED).values(name="note"))
        return "noted"

    flow = Workflow("grants")
    flow.add_state("open")
    flow.add_edge("open", give, "open")
    flow.add_edge("open", note, "open")
    graph = flow.compile(saver)
    here = {"configurable": {"thread_id": f"{request.node.name}"[:200]}}
    graph.invoke({"messages": []}, here)

    result = graph.instances.execute(here, "grant.give", {})
    assert (result["ok"], result["error"]["code"]) == (False, "tool_failed")
    assert graph.instances.execute(here, "grant.note", {})["ok"] is True  # on the same connections

    with saver.database.read() as connection:
        assert connection.execute(sa.select(GRANTED.c.name)).scalars().all() == ["note"]


def test_on_sqlite_a_body_may_create_a_table_which_ends_no_transaction_there() -> None:
    @command("note.keep", effect="transactional")
    def keep(ctx: ToolContext) -> str:
        """Keep a note in a table of its own."""
        ctx.session.execute(sa.text("CREATE TABLE notes (note TEXT)"))
        ctx.session.execute(sa.text("INSERT INTO notes VALUES ('done')"))
        return "kept"

    flow = Workflow("notes").add_state("open").add_edge("open", keep, "open")
    graph = flow.compile(workflow_store=WorkflowStore.in_memory(), destructive_in_memory=True)
    workflow_id = graph.instances.start(principal=Principal("ann")).workflow_id
    assert graph.instances.execute(workflow_id, "note.keep", {}, principal=Principal("ann"))["ok"]
