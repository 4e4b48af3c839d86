"""An engine that dies between a commit and the answer to it: whoever comes next finds what was committed, and does it no second time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
import sqlalchemy as sa

from interlock import adeliver
from interlock.checkpointing.tables.workflow import ledger
from interlock.engines import Runs
from interlock.tools.errors import CommitUnknown
from tests.engines.support import ADA, BEN, Paid, compiled, said, shop_flow, until, working
from tests.events.support import envelope

HELLO = {"messages": [("user", "please")]}


def killed(url: str, moment: str, which: int) -> None:
    """A worker of its own process, until it has killed itself."""
    command = [sys.executable, "-m", "tests.engines.dying", url, moment, str(which)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": os.getcwd()}, timeout=150, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("moment", "which"), [("commit", 1), ("commit", 3), ("commit", 5), ("answer", 1)])
async def test_a_worker_that_dies_after_a_commit_is_followed_by_one_that_does_the_rest_once(
    postgres_database: str, moment: str, which: int
) -> None:
    graph = compiled(postgres_database)
    runs = Runs([graph], postgres_database)
    enqueued = await runs.astart("shop", HELLO, principal=ADA, key="k-1")
    await asyncio.to_thread(killed, postgres_database, moment, which)
    async with working(runs):
        (asked,) = await until(lambda: graph.instances.approvals().approvals)
        await asyncio.to_thread(graph.instances.decide, asked.approval_id, "approve", by=BEN)
        await until(lambda: graph.engine.store.get(asked.workflow_id).state == "waiting")
        await adeliver(envelope(Paid(), asked.workflow_id), graph, resume=False)
        await until(lambda: graph.engine.store.get(asked.workflow_id).finished)
        await until(lambda: not runs.list(status="due") and not runs.list(status="running"))
    with graph.engine.store.read() as connection:
        calls = Counter(map(tuple, connection.execute(sa.select(ledger.c.tool, ledger.c.status))))
    done = {"shop.note", "shop.refund", "shop.finish"}
    assert calls == {(tool, "completed"): 1 for tool in done}
    state = await graph.aget_state({"configurable": {"thread_id": enqueued.thread_id}})
    assert said(state.values["messages"]) == (1, 3)
    assert graph.engine.store.get(asked.workflow_id).data == {"notes": 1, "refunded": "5"}
    assert graph.engine.store.verify(asked.workflow_id) == []
    assert runs.list(status="person") == []
    runs.close()
    graph.checkpointer.close()


def test_a_run_whose_commit_was_not_answered_is_enqueued_once_when_it_is_enqueued_again(postgres_database: str) -> None:
    runs = Runs([shop_flow()], postgres_database)
    runs.setup()
    engine, lost = runs.database.engine, list[str]()

    @sa.event.listens_for(engine, "commit")
    def committed(connection: sa.Connection) -> None:
        if lost:
            return
        rows = connection.exec_driver_sql("SELECT count(*) FROM interlock_inputs").scalar_one()
        if rows:
            lost.append("its answer")
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.commit()
            driver.close()  # the server has it, and the answer never came

    with pytest.raises(CommitUnknown):
        runs.start("shop", HELLO, principal=ADA, key="k-1")
    again = runs.start("shop", HELLO, principal=ADA, key="k-1")
    assert not again.is_new
    assert [one.number for one in runs.list()] == [again.number]
    with runs.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM interlock_inputs").scalar_one() == 1
    runs.close()
