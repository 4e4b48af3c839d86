"""A service hands runs to the queue where there is one, and lets them go on itself where there is none."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from fastapi.testclient import TestClient

from interlock import Principal
from interlock.engines import Runs, queue_of
from interlock.serving import service
from tests.cli.support import run
from tests.engines.support import ADA, BEN, Paid, compiled, until, working
from tests.events.support import envelope

PEOPLE = {"ben": BEN, "olga": Principal("olga", roles=frozenset({"operator"}))}


def decided(app: FastAPI, approval_id: str) -> bool:
    """Whether the thread went on in the request of its decision."""
    with TestClient(app) as client:
        answer = client.post(
            f"/v1/approvals/{approval_id}/decision", json={"decision": "approve"}, headers={"who": "ben"}
        )
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["resumed"])


async def test_what_a_service_decides_and_delivers_is_run_by_the_workers(postgres_database: str) -> None:
    graph = compiled(postgres_database)
    given = {"messages": [("user", "please")]}
    for thread_id in ("by-itself", "by-workers"):
        await graph.ainvoke(given, {"configurable": {"thread_id": thread_id}}, context=ADA)
    first, second = (one.approval_id for one in graph.instances.approvals().approvals)

    def app() -> FastAPI:
        return service(graph, principal=lambda request: PEOPLE.get(request.headers.get("who", "")), deadlines=False)

    assert queue_of([graph]) is None
    assert await asyncio.to_thread(decided, app(), first)

    elsewhere = compiled(postgres_database)
    workers = Runs([elsewhere], postgres_database)
    workers.setup()
    queue = queue_of([graph])
    assert queue is not None
    assert not await asyncio.to_thread(decided, app(), second)
    (due,) = workers.list(status="due")
    workflow_id = graph.engine.store.approval(second).workflow_id
    async with working(workers):
        await until(lambda: graph.engine.store.get(workflow_id).state == "waiting")

        def deliver() -> None:
            event = envelope(Paid(), workflow_id).to_json()
            with TestClient(app()) as client:
                answer = client.post("/v1/events", json={"event": event}, headers={"who": "olga"})
                assert answer.json()["deliveries"][0]["status"] == "taken", answer.text

        await asyncio.to_thread(deliver)
        await until(lambda: graph.engine.store.get(workflow_id).state == "closed")
    assert due.job.thread_id == "by-workers"
    queue.close()
    workers.close()
    for one in (elsewhere, graph):
        one.checkpointer.close()


def test_the_doctor_says_how_many_processes_the_server_has_room_for(postgres_database: str) -> None:
    said = run("doctor", "--db", postgres_database)
    assert "a process takes up to" in said.stdout
    assert "room for" in said.stdout
