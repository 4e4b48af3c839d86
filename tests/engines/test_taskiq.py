"""`RunOnce` on Taskiq with Redis, as the recipe of docs/scaling.md has it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from interlock import SQLCheckpointer, deliver
from interlock.checkpointing.due import Due
from interlock.engines import RunOnce
from tests.engines.given import prepare, start_of, wake_of
from tests.engines.on_taskiq import TaskiqRuns
from tests.engines.support import ADA, BEN, Paid, compiled, said, shop_flow, until
from tests.events.support import envelope
from tests.support.servers import redis_url

HELLO = {"messages": [("user", "please")]}


@pytest.fixture
async def name() -> AsyncIterator[str]:
    """The name of a stream of the test's own; whatever begins with it is gone afterwards."""
    found = f"interlock-test-{uuid.uuid4().hex[:12]}"
    yield found
    async with redis.asyncio.from_url(redis_url()) as client:
        keys = [key async for key in client.scan_iter(f"*{found}*")]
        if keys:
            await client.delete(*keys)


async def test_a_run_goes_from_its_start_to_its_end_with_everything_decided_elsewhere(
    postgres_database: str, name: str
) -> None:
    graph, elsewhere = compiled(postgres_database), compiled(postgres_database)
    store, due = elsewhere.engine.store, list[Due]()
    prepare(store)
    store.when_due = lambda _, one: due.append(one)
    runs = TaskiqRuns(RunOnce([graph]), redis_url(), name=name)
    async with runs.open(), runs.working():
        job = start_of(store, "shop", HELLO, principal=ADA, key="k-1")
        await runs.enqueue(job)
        (asked,) = await until(lambda: elsewhere.instances.approvals().approvals)
        await until(lambda: runs.done == 1)
        await runs.enqueue(job)  # it may come again: an answer was lost, or a worker died before it acknowledged
        await until(lambda: runs.done == 2)
        await asyncio.to_thread(elsewhere.instances.decide, asked.approval_id, "approve", by=BEN)
        await runs.enqueue(wake_of(due.pop()))
        await until(lambda: store.get(asked.workflow_id).state == "waiting")
        await asyncio.to_thread(lambda: deliver(envelope(Paid(), asked.workflow_id), elsewhere, resume=False))
        await runs.enqueue(wake_of(due.pop()))
        await until(lambda: store.get(asked.workflow_id).finished)
        await until(lambda: runs.done == 4)
    state = await elsewhere.aget_state({"configurable": {"thread_id": job.thread_id}})
    assert said(state.values["messages"]) == (1, 3)
    assert store.get(asked.workflow_id).data == {"notes": 1, "refunded": "5"}
    assert store.verify(asked.workflow_id) == []
    for one in (graph, elsewhere):
        one.checkpointer.close()


async def test_what_another_release_may_know_is_tried_again(postgres_database: str, name: str) -> None:
    graph = shop_flow().compile(SQLCheckpointer(postgres_database))
    prepare(graph.engine.store)
    run_once = RunOnce([])  # a release that does not know the workflow yet
    runs = TaskiqRuns(run_once, redis_url(), name=name)
    async with runs.open(), runs.working():
        await runs.enqueue(start_of(graph.engine.store, "shop", HELLO, principal=ADA, key="k-1"))
        await until(lambda: runs.attempts == [0])
        run_once.graphs["shop"] = graph
        await until(lambda: runs.done == 1)
    assert runs.attempts == [0, 1]
    graph.checkpointer.close()
