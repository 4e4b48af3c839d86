"""Inputs that wait in the queue: erased with their thread or their conversation, and encrypted again with a new key."""

from __future__ import annotations

from interlock import SQLCheckpointer
from interlock.checkpointing import Encryption
from interlock.engines import Runs
from interlock.engines.queue.listing import RunStatus
from tests.engines.support import ADA, said, shop_flow, until, working

HELLO = {"messages": [("user", "please, secretly")]}
OLD, NEW = b"o" * 32, b"n" * 32


def bodies(runs: Runs) -> list[str]:
    with runs.database.read() as connection:
        return [str(row[0]) for row in connection.exec_driver_sql("SELECT body FROM interlock_inputs")]


async def test_an_input_is_erased_with_its_thread_and_its_run_ends_quietly(postgres_database: str) -> None:
    runs = Runs([shop_flow()], postgres_database)
    graph = runs.run_once.graphs["shop"]
    for thread_id in ("gone", "forgotten", "kept"):
        await runs.astart("shop", HELLO, principal=ADA, key=thread_id, thread_id=thread_id)
    saver = graph.checkpointer
    assert isinstance(saver, SQLCheckpointer)

    saver.delete_thread("gone")
    saver.erase_conversation("forgotten")

    assert len(bodies(runs)) == 1
    async with working(runs):
        await until(lambda: len(runs.list(status="done")) == 3)
    assert {run.status for run in runs.list()} == {RunStatus.DONE}
    assert {one.thread_id for one in graph.engine.store.instances()} == {"kept"}
    runs.close()


async def test_an_input_is_encrypted_again_with_a_new_key_and_taken(postgres_database: str) -> None:
    old = Encryption({"old": OLD})
    runs = Runs([shop_flow()], postgres_database, encryption=old)
    await runs.astart("shop", HELLO, principal=ADA, key="k", thread_id="t")
    assert "secretly" not in bodies(runs)[0]
    runs.close()

    with SQLCheckpointer(postgres_database, encryption=Encryption({"new": NEW, "old": OLD})) as saver:
        report = await saver.areencrypt()
    assert report.rows >= 1

    runs = Runs([shop_flow()], postgres_database, encryption=Encryption({"new": NEW}))
    assert ":new:" in bodies(runs)[0]
    async with working(runs):
        await until(lambda: runs.list(status="done"))
    state = await runs.run_once.graphs["shop"].aget_state({"configurable": {"thread_id": "t"}})
    assert said(state.values["messages"])[0] == 1
    runs.close()


async def test_a_store_in_a_schema_of_its_own_has_its_queue_beside_it(postgres_database: str) -> None:
    with SQLCheckpointer(postgres_database, schema="desk") as saver:
        runs = Runs([shop_flow().compile(saver)], postgres_database)
        await runs.astart("shop", HELLO, principal=ADA, key="k", thread_id="t")
        await runs.astart("shop", HELLO, principal=ADA, key="l", thread_id="u")
        saver.delete_thread("u")
        assert len(bodies(runs)) == 1
        async with working(runs):
            await until(lambda: len(runs.list(status="done")) == 2)
        runs.close()
