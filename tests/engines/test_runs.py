"""Runs on the queue, with a worker: started, decided elsewhere, woken by an event, ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from interlock import ConflictError, Principal, adeliver
from interlock.engines import Runs
from interlock.engines.queue.listing import RunStatus
from interlock.tools import InputError, InvalidInput, PrincipalError, RunError
from tests.engines.support import ADA, BEN, Paid, compiled, said, shop_flow, until, working
from tests.events.support import envelope

HELLO = {"messages": [("user", "please")]}


@pytest.fixture
def runs(postgres_database: str) -> Iterator[Runs]:
    made = Runs([shop_flow()], postgres_database, per_tenant=4)
    made.setup()
    yield made
    made.close()


def graph_of(runs: Runs):  # type: ignore[no-untyped-def]
    return runs.run_once.graphs["shop"]


async def test_a_run_goes_from_its_start_to_its_end_with_everything_decided_elsewhere(
    runs: Runs, postgres_database: str
) -> None:
    elsewhere = compiled(postgres_database)  # another process, with a queue that it only writes
    there = Runs([elsewhere], postgres_database)
    async with working(runs):
        enqueued = await there.astart("shop", HELLO, principal=ADA, key="k-1")
        config = {"configurable": {"thread_id": enqueued.thread_id}}
        page = await until(lambda: elsewhere.instances.approvals().approvals)
        await asyncio.to_thread(elsewhere.instances.decide, page[0].approval_id, "approve", by=BEN)
        workflow_id = page[0].workflow_id
        await until(lambda: elsewhere.engine.store.get(workflow_id).state == "waiting")
        await adeliver(envelope(Paid(), workflow_id), elsewhere, resume=False)
        await until(lambda: elsewhere.engine.store.get(workflow_id).finished)
        await until(lambda: not runs.list(status="due") and not runs.list(status="running"))
    assert elsewhere.engine.store.get(workflow_id).state == "closed"
    assert said((await elsewhere.aget_state(config)).values["messages"]) == (1, 3)
    assert elsewhere.engine.store.verify(workflow_id) == []
    assert {run.status for run in runs.list()} == {RunStatus.DONE}
    with runs.database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM interlock_inputs")).scalar_one() == 0
    there.close()
    elsewhere.checkpointer.close()


def test_the_same_key_is_one_run(runs: Runs) -> None:
    first = runs.start("shop", HELLO, principal=ADA, key="k-1")
    again = runs.start("shop", HELLO, principal=ADA, key="k-1")
    other = runs.start("shop", HELLO, principal=ADA, key="k-2")
    assert (first.is_new, again.is_new, other.is_new) == (True, False, True)
    assert (again.number, again.thread_id) == (first.number, first.thread_id)
    assert other.thread_id != first.thread_id
    elsewhere = runs.start("shop", HELLO, principal=Principal("ada", tenant="other"), key="k-1")
    assert elsewhere.is_new


def test_a_run_is_there_when_the_applications_transaction_is_committed(runs: Runs) -> None:
    class Undone(Exception):
        pass

    with contextlib.suppress(Undone), runs.database.write() as connection:
        runs.start("shop", HELLO, principal=ADA, key="k-1", connection=connection)
        raise Undone
    assert runs.list() == []
    with runs.database.write() as connection:
        runs.start("shop", HELLO, principal=ADA, key="k-1", connection=connection)
        assert runs.list() == []
    assert [run.status for run in runs.list()] == [RunStatus.DUE]


def test_a_job_holds_no_word_of_the_conversation(runs: Runs) -> None:
    runs.start("shop", {"messages": [("user", "marker-4711")], "data": {"notes": 77}}, principal=ADA, key="k-1")
    with runs.database.read() as connection:
        rows = connection.execute(sa.text("SELECT j::text FROM procrastinate_jobs j")).scalars().all()
    assert rows
    assert not any("marker-4711" in row or "77" in row.split("args")[-1] for row in rows if "marker" in row)


def test_what_cannot_be_enqueued_is_refused(runs: Runs) -> None:
    with pytest.raises(InputError, match="know no workflow 'x'"):
        runs.start("x", HELLO, principal=ADA, key="k")
    with pytest.raises(InvalidInput):
        runs.start("shop", "hello", principal=ADA, key="k")
    with pytest.raises(InvalidInput):
        runs.start("shop", {"messages": [], "data": {"notes": object()}}, principal=ADA, key="k")
    with pytest.raises(InputError):
        runs.start("shop", HELLO, principal=ADA, key="")
    with pytest.raises(InputError):
        runs.wake("shop", "wf_none")
    assert runs.list() == []


async def test_strangers_enqueue_nothing_on_somebody_elses_thread(runs: Runs) -> None:
    graph = graph_of(runs)
    config = {"configurable": {"thread_id": "t-1"}}
    await graph.ainvoke(HELLO, config, context=ADA)
    with pytest.raises(PrincipalError):
        await runs.astart("shop", HELLO, principal=Principal("mallory"), key="k", thread_id="t-1")
    with pytest.raises(RunError):
        await runs.astart("shop", HELLO, principal=Principal("ada", tenant="x"), key="k", thread_id="t-1")
    with pytest.raises(PrincipalError):
        await runs.aresume("shop", config, {"type": "approve"}, by=Principal("mallory"), key="k")
    with pytest.raises(PrincipalError):
        await runs.awake("shop", config, by=Principal("mallory"))
    assert runs.list() == []


async def test_an_answer_is_given_once_and_by_who_gave_it(runs: Runs) -> None:
    graph = graph_of(runs)
    config = {"configurable": {"thread_id": "t-1"}}
    await graph.ainvoke(HELLO, config, context=ADA)
    workflow_id = graph.instances.id_of(config)
    graph_rules = Principal("ben", roles=frozenset({"supervisor"}))
    enqueued = await runs.aresume("shop", config, {"type": "approve"}, by=ADA, key="k-0")
    assert enqueued.is_new
    async with working(runs):
        await until(lambda: runs.list(status="person") or runs.list(status="done"))
        assert graph.engine.store.get(workflow_id).state == "noted", "nobody approves their own"
        await asyncio.to_thread(
            graph.instances.decide, graph.instances.approvals().approvals[0].approval_id, "approve", by=graph_rules
        )
        await until(lambda: graph.engine.store.get(workflow_id).state == "waiting")


def test_a_run_that_is_cancelled_is_retried_when_a_person_says_so(runs: Runs) -> None:
    number = runs.start("shop", HELLO, principal=ADA, key="k-1").number
    with pytest.raises(ConflictError, match="was not retried"):
        runs.retry(number)
    assert runs.cancel(number).status is RunStatus.CANCELLED
    with pytest.raises(ConflictError, match="was not cancelled"):
        runs.cancel(number)
    assert runs.retry(number).status is RunStatus.DUE
    with pytest.raises(InputError, match="no run"):
        runs.cancel(number, tenant="other")
    with pytest.raises(InputError, match="no run"):
        runs.retry(4711)


def test_the_number_of_runs_per_tenant_is_the_same_in_every_process(runs: Runs, postgres_database: str) -> None:
    runs.start("shop", HELLO, principal=ADA, key="k-1")
    other = Runs([shop_flow()], postgres_database, per_tenant=2)
    with pytest.raises(InputError, match="per_tenant=4"):
        other.setup()
    other.close()
    same = Runs([shop_flow()], postgres_database)
    assert same.per_tenant == 4
    same.close()


@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
def test_other_databases_are_refused_with_advice(kind: str, request: pytest.FixtureRequest, tmp_path) -> None:  # type: ignore[no-untyped-def]
    url = f"sqlite:///{tmp_path / 'a.db'}" if kind == "sqlite" else request.getfixturevalue("mysql_database")
    with pytest.raises(InputError, match="interlock tick"):
        Runs([shop_flow()], url)


async def test_a_deadline_is_kept_by_the_workers(postgres_database: str) -> None:
    runs = Runs([shop_flow(within="1s")], postgres_database)
    graph = graph_of(runs)
    async with working(runs):
        await runs.astart("shop", HELLO, principal=ADA, key="k-1")
        page = await until(lambda: graph.instances.approvals().approvals)
        await graph.instances.adecide(page[0].approval_id, "approve", by=BEN)
        await until(lambda: graph.engine.store.get(page[0].workflow_id).state == "overdue")
    runs.close()


async def test_what_was_decided_without_a_queue_is_taken_up(runs: Runs, postgres_database: str) -> None:
    graph = graph_of(runs)
    elsewhere = compiled(postgres_database)  # knows of no queue
    async with working(runs):
        await runs.astart("shop", HELLO, principal=ADA, key="k-1")
        page = await until(lambda: elsewhere.instances.approvals().approvals)
        await asyncio.to_thread(elsewhere.instances.decide, page[0].approval_id, "approve", by=BEN)
        await until(lambda: graph.engine.store.get(page[0].workflow_id).state == "waiting")
    elsewhere.checkpointer.close()
