"""Whatever engine an application has: what was answered is there after the process was killed, and what failed is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import SQLCheckpointer, WorkflowStore
from tests.checkpointing.written_and_killed import ISOLATIONS, Case, cases, workflow
from tests.support.servers import temporary_mysql_database, temporary_postgres_database

ALL = [
    pytest.param(database, case, id=f"{database}: {case.thread}") for database in ISOLATIONS for case in cases(database)
]


class Killed:
    """A database in which a process wrote until it was killed."""

    def __init__(self, url: str) -> None:
        self.url = url
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE sold (thread VARCHAR(200), number INTEGER)")
        engine.dispose()
        done = subprocess.run(
            [sys.executable, "-m", "tests.checkpointing.written_and_killed", url],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr[-4000:]
        self.answered = {line["thread"]: line for line in map(json.loads, done.stdout.splitlines())}
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT thread, number FROM sold").all()
        engine.dispose()
        self.sold: dict[str, list[int]] = {}
        for thread, number in rows:
            self.sold.setdefault(thread, []).append(number)
        self.saver = SQLCheckpointer(url)
        self.store = WorkflowStore(self.saver.database)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Gives the database of each kind, written by one process for all cases."""
    made: dict[str, Killed | BaseException] = {}
    opened: list[Any] = []

    def of(database: str) -> Killed:
        if database not in made:
            if database == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('killed') / 'shop.db'}"
            else:
                opened.append(temporary_postgres_database() if database == "postgresql" else temporary_mysql_database())
                url = opened[-1].__enter__()
            try:
                made[database] = Killed(url)
            except BaseException as error:
                made[database] = error
        found = made[database]
        if isinstance(found, BaseException):
            raise found
        return found

    yield of
    for one in made.values():
        if isinstance(one, Killed):
            one.saver.close()
    for context in opened:
        context.__exit__(None, None, None)


@pytest.mark.xdist_group("engine matrix")
@pytest.mark.parametrize(("database", "case"), ALL)
def test_what_was_answered_outlives_the_process(database: str, case: Case, killed: Any) -> None:
    if not case.is_possible:
        pytest.skip("mysqlclient is not installed")
    there = killed(database)
    answered = there.answered[case.thread]
    assert answered["said"] == "sold"
    graph = workflow(case).compile(there.saver, workflow_store=there.store)
    state = graph.get_state({"configurable": {"thread_id": case.thread}})
    messages = state.values["messages"]
    assert len(messages) == answered["messages"]
    assert [json.loads(message.content)["ok"] for message in messages if message.type == "tool"] == [False, True, True]
    assert json.loads(messages[-2].content)["output"] == [7]
    assert there.sold[case.thread] == [7], "what a failed tool wrote is not kept, and what a tool wrote is kept once"
    assert state.values["state"] == "open"
    found = there.store.find(state.values["workflow_id"])
    assert found is not None
    assert found.revision == state.values["revision"] == 1
