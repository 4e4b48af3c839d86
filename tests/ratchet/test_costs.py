"""Each step costs so many statements, commits and bytes, and no commit more: on SQLite and PostgreSQL, in a graph and in an agent.

A commit is what a step waits longest for, so that a step that needs more of them than it is allowed is a fault. Statements and
bytes may change for a reason: change the numbers here then, and give the reason in the commit message.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from interlock import SQLCheckpointer, WorkflowStore
from interlock.checkpointing import Database
from interlock.checkpointing.statements import Prepared
from tests.ratchet.counting import Cost, metered
from tests.ratchet.steps import FORMS, STEPS, Turns
from tests.support.databases import lent_database

STATEMENTS = {
    ("sqlite", "graph"): {"begin": 8, "read": 8, "command": 8, "asked": 6, "approved": 16},
    ("postgresql", "graph"): {"begin": 7, "read": 8, "command": 6, "asked": 5, "approved": 14},
    ("sqlite", "middleware"): {"begin": 8, "read": 9, "command": 9, "asked": 7, "approved": 19},
    ("postgresql", "middleware"): {"begin": 7, "read": 9, "command": 7, "asked": 6, "approved": 17},
}
COMMITS = {"begin": 1, "read": 1, "command": 1, "asked": 1, "approved": 2}
BYTES = {
    "graph": {"begin": 1071, "read": 760, "command": 1683, "asked": 1746, "approved": 3723},
    "middleware": {"begin": 1071, "read": 760, "command": 1683, "asked": 1746, "approved": 3761},
}
SAVES = {
    "graph": {"begin": 5, "read": 9, "command": 9, "asked": 6, "approved": 6},
    "middleware": {"begin": 7, "read": 11, "command": 11, "asked": 8, "approved": 5},
}
"""What the checkpointer is given in a step, and the bytes of that."""
SAVED = {
    "graph": {"begin": 3200, "read": 13710, "command": 19285, "asked": 13610, "approved": 16680},
    "middleware": {"begin": 3175, "read": 11770, "command": 17800, "asked": 12890, "approved": 12570},
}
TOLERANCE = 0.02
"""How far bytes may be from those recorded: random digits of versions and ids are not always equally many."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The kind of a database, and its URL."""
    kind = str(request.param)
    return kind, f"sqlite:///{tmp_path}/desk.db" if kind == "sqlite" else lent_database(request, kind)


def costs(url: str, form: str, way: str) -> dict[str, Cost]:
    """What each step of a thread costs, once caches are warm."""
    spent: dict[str, Cost] = {}
    with metered() as meter:
        store = WorkflowStore(url)
        store.setup()
        for thread in ("warm-up", "counted"):
            runnable = FORMS[form](meter.saver, store)
            turns = Turns(runnable, {"configurable": {"thread_id": thread}}, way)
            for step, take in STEPS.items():
                with meter.measured() as cost:
                    output = take(turns)
                spent[step] = cost[0]
                assert ("__interrupt__" in output) == (step == "asked")
        assert "W1 5" in output["messages"][-2].text
        store.close()
    return spent


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("form", FORMS)
def test_a_step_costs_what_is_recorded_and_never_a_commit_more(database: tuple[str, str], form: str, way: str) -> None:
    kind, url = database

    spent = costs(url, form, way)

    assert {step: cost.commits for step, cost in spent.items()} == COMMITS
    assert {step: cost.statements for step, cost in spent.items()} == STATEMENTS[kind, form]
    assert {step: cost.bytes for step, cost in spent.items()} == pytest.approx(BYTES[form], rel=TOLERANCE)
    assert {step: cost.saves for step, cost in spent.items()} == SAVES[form]
    assert {step: cost.saved for step, cost in spent.items()} == pytest.approx(SAVED[form], rel=TOLERANCE)


@pytest.mark.parametrize("form", FORMS)
def test_with_checkpoints_in_the_same_database_a_step_commits_at_most_what_both_write(
    database: tuple[str, str], form: str
) -> None:
    _, url = database
    with metered() as meter, SQLCheckpointer(url) as saver:
        saver.setup()
        for thread in ("warm-up", "counted"):
            runnable = FORMS[form](saver, WorkflowStore(saver.database))
            turns = Turns(runnable, {"configurable": {"thread_id": thread}}, "invoke")
            spent: dict[str, int] = {}
            for step, take in STEPS.items():
                with meter.measured() as cost:
                    take(turns)
                spent[step] = cost[0].commits
        # Each save is in at most two: messages and the rest need not be written together. A new thread has rows of its own.
        most = {step: COMMITS[step] + 2 * SAVES[form][step] for step in STEPS}
        assert {step: commits for step, commits in spent.items() if not 0 < commits <= most[step]} == {}


def test_the_meter_counts_every_statement_and_only_commits_that_wrote(database: tuple[str, str]) -> None:
    _, url = database
    with metered() as meter:
        opened = Database.open(url)
        with opened.write() as connection:
            connection.exec_driver_sql("CREATE TABLE counted (name VARCHAR(20))")
        with (
            opened.raw_autocommit() as cursor
        ):  # opened before it is counted: SQLAlchemy asks a new connection about its server
            cursor.execute("SELECT 1")
        insert = Prepared(sa.text("INSERT INTO counted VALUES (:name)"))
        with meter.measured() as cost:
            with opened.write() as connection:
                insert.execute(connection, {"name": "four"})
                connection.execute(sa.text("UPDATE counted SET name = :name"), {"name": "seven77"})
            with opened.read() as connection:
                connection.exec_driver_sql("SELECT name FROM counted")
            # Connections that are opened now are not counted below: each asks its server something first.
        with opened.raw_autocommit() as cursor:
            cursor.execute("SELECT 1")
        with opened.read():
            pass
        insert = Prepared(sa.text("INSERT INTO counted VALUES (:name)"))
        with meter.measured() as cost:
            with opened.write() as connection:
                insert.execute(connection, {"name": "four"})
                connection.execute(sa.text("UPDATE counted SET name = :name"), {"name": "seven77"})
            with opened.read() as connection:
                connection.exec_driver_sql("SELECT name FROM counted")
            with opened.raw_autocommit() as cursor:
                cursor.execute("DELETE FROM counted")
            with pytest.raises(ZeroDivisionError), opened.write() as connection:
                raise ZeroDivisionError(insert.execute(connection, {"name": "lost"}))
        opened.close()

    assert cost == [Cost(statements=5, commits=2, bytes=15, saves=0, saved=0)]
