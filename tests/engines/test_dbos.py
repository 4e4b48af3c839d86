"""`RunOnce` on a second engine, DBOS, as the recipe of docs/scaling.md has it. `make dbos` runs this where DBOS is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from interlock import deliver
from interlock.engines import RunOnce
from tests.engines.on_dbos import launched
from tests.engines.support import ADA, BEN, Paid, compiled, said, until
from tests.events.support import envelope

dbos: Any = pytest.importorskip("dbos", reason="DBOS has an environment of its own: make dbos")


def wait(happened: Callable[[], Any]) -> Any:
    """Wait for something that DBOS does on its own loop: it is launched where none runs."""
    return asyncio.run(until(happened))


HELLO = {"messages": [("user", "please")]}


def test_a_run_goes_from_its_start_to_its_end_with_everything_decided_elsewhere(postgres_database: str) -> None:
    graph, elsewhere = compiled(postgres_database), compiled(postgres_database)
    store = elsewhere.engine.store
    with launched(dbos, postgres_database, RunOnce([graph]), store) as (runs, due):
        thread_id = runs.start(store, "shop", HELLO, principal=ADA, key="k-1")
        (asked,) = wait(lambda: elsewhere.instances.approvals().approvals)
        elsewhere.instances.decide(asked.approval_id, "approve", by=BEN)
        for one in due():
            runs.enqueue_due(one)
            runs.enqueue_due(one)  # once for each cause, however often it is enqueued
        wait(lambda: store.get(asked.workflow_id).state == "waiting")
        deliver(envelope(Paid(), asked.workflow_id), elsewhere, resume=False)
        for one in due():
            runs.enqueue_due(one)
        wait(lambda: store.get(asked.workflow_id).finished)
        wait(lambda: runs.done == 3)
    state = elsewhere.get_state({"configurable": {"thread_id": thread_id}})
    assert said(state.values["messages"]) == (1, 3)
    assert store.verify(asked.workflow_id) == []
    for one in (graph, elsewhere):
        one.checkpointer.close()


def test_what_another_release_may_know_is_tried_again(postgres_database: str) -> None:
    graph = compiled(postgres_database)
    run_once = RunOnce([])  # a release that does not know the workflow yet
    with launched(dbos, postgres_database, run_once, graph.engine.store) as (runs, _):
        runs.start(graph.engine.store, "shop", HELLO, principal=ADA, key="k-1")
        wait(lambda: runs.attempts == [0])
        run_once.graphs["shop"] = graph
        wait(lambda: runs.done == 1)
    assert runs.attempts == [0, 1]
    graph.checkpointer.close()
