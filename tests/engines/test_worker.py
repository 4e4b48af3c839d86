"""A worker: what fails is tried again and holds up nobody, what needs a person is listed, tenants take turns."""

from __future__ import annotations

import asyncio
import datetime as dt
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from interlock import Principal, Workflow
from interlock.engines import Runs
from interlock.engines.health import Health
from interlock.engines.queue import app as queue_app
from interlock.engines.queue.listing import RunStatus
from interlock.engines.worker import Worker
from interlock.testing import ScriptedChatModel, call
from interlock.tools import InputError
from tests.engines.support import ADA, Trouble, until, working

HELLO = {"messages": [("user", "please")]}


class Poisoned(ScriptedChatModel):
    """A model whose provider fails for some of what it is asked."""

    def _generate(self, messages: Any, *args: Any, **options: Any) -> Any:
        if any("poison" in str(one.content) for one in messages):
            raise ConnectionError("the provider is away")
        return super()._generate(messages, *args, **options)


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


def made(url: str, *flows: Workflow, **options: Any) -> Runs:
    runs = Runs(flows, url, **options)
    runs.setup()
    return runs


@pytest.fixture
def runs(postgres_database: str, trouble: Trouble) -> Iterator[Runs]:
    flows = trouble.flow(model=Poisoned(forever=call("job.do"))), trouble.flow("risky", "job.risk")
    opened = made(postgres_database, *flows, per_tenant=1, attempts=2)
    yield opened
    opened.close()


async def test_what_fails_holds_up_nobody_behind_it_and_comes_to_the_dead_letter_list(runs: Runs) -> None:
    poisoned = runs.start("job", {"messages": [("user", "poison")]}, principal=ADA, key="p")
    sound = [runs.start("job", HELLO, principal=ADA, key=f"k-{number}") for number in range(5)]
    async with working(runs) as worker:
        await until(lambda: len(runs.list(status="done")) == len(sound))
        (dead,) = await until(lambda: runs.list(status="person"))
        assert worker.counted.again >= 1
    assert (dead.number, dead.attempts, dead.why, dead.unknown) == (poisoned.number, 2, "ConnectionError", False)


async def test_a_worker_whose_clock_is_hours_ahead_tries_again_in_time(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    skew = dt.timedelta(hours=5)
    monkeypatch.setattr(queue_app, "_now", lambda: dt.datetime.now(dt.UTC) + skew)
    runs.start("job", {"messages": [("user", "poison")]}, principal=ADA, key="p")
    async with working(runs):
        (dead,) = await until(lambda: runs.list(status="person"))
    assert dead.attempts == 2


async def test_an_unknown_outcome_waits_for_a_person_and_leaves_the_list_when_it_is_resolved(runs: Runs) -> None:
    enqueued = runs.start("risky", HELLO, principal=ADA, key="k")
    graph = runs.run_once.graphs["risky"]
    config = {"configurable": {"thread_id": enqueued.thread_id}}
    async with working(runs):
        (waits,) = await until(lambda: runs.list(status="person"))
        assert waits.unknown
        by = Principal("operator", roles=frozenset({"operator"}))
        await asyncio.to_thread(graph.instances.resolve, config, "happened", by=by, output=1)
        await until(lambda: runs.list(status="done"))
        await until(lambda: not runs.list(status="person"))
    assert graph.engine.store.get(graph.instances.id_of(config)).finished
    assert {run.status for run in runs.list()} == {RunStatus.DONE, RunStatus.CANCELLED}


async def test_a_tenant_with_few_runs_does_not_wait_behind_one_with_many(runs: Runs) -> None:
    small = Principal("ada", tenant="small")
    for number in range(30):
        runs.start("job", HELLO, principal=Principal("ada", tenant="large"), key=f"k-{number}")
    for number in range(3):
        runs.start("job", HELLO, principal=small, key=f"k-{number}")
    async with working(runs, concurrency=1):
        await until(lambda: len(runs.list(status="done", tenant="small")) == 3)
        of_large = len(runs.list(status="done", tenant="large"))
        await until(lambda: len(runs.list(status="done", tenant=None)) == 33)
    assert of_large <= 8, "they take turns"


async def test_no_more_runs_of_a_tenant_go_on_at_once_than_it_may_have(
    postgres_database: str, trouble: Trouble
) -> None:
    runs = made(postgres_database, trouble.flow(), per_tenant=2)
    trouble.go_on.clear()
    for number in range(12):
        runs.start("job", HELLO, principal=ADA, key=f"k-{number}")
    async with working(runs, concurrency=8) as worker:
        await until(lambda: worker.counted.running == 2)
        for _ in range(5):
            await asyncio.sleep(0.05)
            assert len(await runs.alist(status="running")) <= 2
        trouble.go_on.set()
        await until(lambda: len(runs.list(status="done")) == 12)
    runs.close()


async def test_a_worker_that_is_told_to_stop_lets_what_goes_on_end(postgres_database: str, trouble: Trouble) -> None:
    runs = made(postgres_database, trouble.flow())
    trouble.go_on.clear()
    for number in range(4):
        runs.start("job", HELLO, principal=ADA, key=f"k-{number}")
    worker, stop = Worker(runs, concurrency=1, deadlines=1), asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    await until(lambda: worker.counted.running == 1)
    stop.set()
    trouble.go_on.set()
    await task
    assert len(runs.list(status="done")) == 1
    assert len(runs.list(status="due")) == 3
    runs.close()


async def test_a_run_that_does_not_end_in_time_is_put_back_when_the_worker_stops(
    postgres_database: str, trouble: Trouble
) -> None:
    runs = made(postgres_database, trouble.flow())
    trouble.go_on.clear()
    runs.start("job", HELLO, principal=ADA, key="k")
    worker, stop = Worker(runs, concurrency=1, deadlines=1, drain=0.2), asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    await until(lambda: worker.counted.running == 1)
    stop.set()
    await task
    assert [run.status for run in runs.list()] == [RunStatus.DUE]
    trouble.go_on.set()
    async with working(runs):
        await until(lambda: runs.list(status="done"))
    runs.close()


async def test_a_workflow_that_this_release_does_not_know_is_left_for_another(
    postgres_database: str, trouble: Trouble
) -> None:
    newer = made(postgres_database, trouble.flow("new"), trouble.flow())
    older = Runs([trouble.flow()], postgres_database)
    newer.start("new", HELLO, principal=ADA, key="k")
    async with working(older):
        (left,) = await until(lambda: older.list(status="again"))
        assert left.why == "unknown workflow"
    async with working(newer):
        await until(lambda: newer.list(status="done"))
    older.close()
    newer.close()


async def test_readiness_and_metrics_are_served(runs: Runs) -> None:
    runs.start("job", HELLO, principal=ADA, key="k")
    async with working(runs) as worker, Health(lambda: worker.is_ready, worker.metrics, "127.0.0.1:0") as health:
        await until(lambda: runs.list(status="done"))
        assert await asyncio.to_thread(_get, health.port, "/ready") == (200, "ready\n")
        status, text = await asyncio.to_thread(_get, health.port, "/metrics")
        assert status == 200
        assert "interlock_worker_runs_done_total 1\n" in text
        assert "interlock_queue_due 0\n" in text
        assert (await asyncio.to_thread(_get, health.port, "/other"))[0] == 404
    async with Health(lambda: worker.is_ready, worker.metrics, "127.0.0.1:0") as health:
        assert (await asyncio.to_thread(_get, health.port, "/ready"))[0] == 503
    with pytest.raises(InputError, match="not an address"):
        Health(lambda: True, worker.metrics, "nowhere")


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
