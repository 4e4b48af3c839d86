"""What the queue's own statements cost, and what follows when the server loses one of them."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa

from interlock.engines import Runs
from interlock.engines.queue import app as queue_app
from interlock.engines.queue.schema import QUEUE
from interlock.engines.queue.slots import Slots
from interlock.engines.worker import Worker
from tests.engines.support import ADA, Trouble, until

HELLO = {"messages": [("user", "please")]}
LOSE_THE_CLAIM = sa.text(
    "UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL WHERE status = 'doing' AND queue_name = :queue"
).bindparams(queue=QUEUE)
"""Of the run; the upkeep may be under way as well."""


async def test_a_claim_that_the_server_lost_lets_another_worker_finish_the_run_without_repeating_the_effect(
    postgres_database: str,
) -> None:
    trouble = Trouble()
    trouble.go_on.clear()
    runs = Runs([trouble.flow()], postgres_database)
    runs.setup()
    run = runs.start("job", HELLO, principal=ADA, key="k")
    graph = runs.run_once.graphs["job"]
    workers = [Worker(runs, concurrency=1, deadlines=59) for _ in range(2)]
    stops = [asyncio.Event() for _ in workers]
    tasks = [asyncio.create_task(workers[0].run(stops[0]))]
    await until(trouble.begun.is_set)
    with runs.database.write() as connection:
        assert connection.execute(LOSE_THE_CLAIM).rowcount == 1
    tasks.append(asyncio.create_task(workers[1].run(stops[1])))
    await until(lambda: workers[1].counted.again)  # the instance belongs to the first worker until its lease ends
    trouble.go_on.set()
    await until(lambda: runs.list(status="done"))
    for stop in stops:
        stop.set()
    await asyncio.gather(*tasks)
    assert trouble.times == 1
    assert graph.engine.store.get(graph.instances.id_of({"configurable": {"thread_id": run.thread_id}})).finished
    assert [one.status.value for one in runs.list()] == ["done"]
    runs.close()


async def test_a_claim_does_not_wait_for_the_disk_and_the_end_of_a_run_does(postgres_database: str) -> None:
    runs = Runs([Trouble().flow()], postgres_database)
    runs.setup()
    runs.start("job", HELLO, principal=ADA, key="k")
    app = queue_app.build(
        runs.database.engine.url,
        runs.run_once,
        per_tenant=8,
        connections=2,
        counted=queue_app.Counted(),
        slots=Slots(1),
    )
    async with app.open_async():
        worker: Any = await app.job_manager.register_worker()
        async with app.connector.pool.connection() as connection:  # type: ignore[attr-defined]
            assert connection.autocommit, "a statement of the queue is one round trip"
        seen = queue_app.CLAIM.replace("SELECT id", "SELECT current_setting('synchronous_commit') AS waits, id", 1)
        claim = await app.connector.execute_query_one_async(seen, queues=["interlock"], worker_id=worker)
        assert (claim["waits"], claim["status"]) == ("off", "doing")
        after = await app.connector.execute_query_one_async("SELECT current_setting('synchronous_commit') AS waits")
        assert after["waits"] == "on"
    runs.close()


async def test_a_slot_that_nobody_waits_for_is_taken_at_once_and_a_stopped_worker_takes_none() -> None:
    slots = Slots(2)
    assert await slots.take()
    assert await slots.take()
    waiting = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.free()
    assert await waiting
    waiting = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    slots.stop()
    assert not await waiting
    slots.free()
    assert not await slots.take()


async def test_a_wait_for_a_slot_that_is_cancelled_takes_none() -> None:
    slots = Slots(1)
    assert await slots.take()
    waiting = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slots.free()
    assert await slots.take()
