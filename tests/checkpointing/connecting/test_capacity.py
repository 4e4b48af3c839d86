"""How many threads and connections a process takes, and that slow tools hold up nobody but themselves."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from interlock import Capacity, Database, SQLCheckpointer, Workflow, command, read
from interlock.checkpointing.connecting.capacity import ServerLimit, server_limit
from interlock.testing import ScriptedChatModel, call
from interlock.tools import InputError, StoreUnavailable
from tests.graphs.support import said, thread


class Slow:
    """A workflow with a body that takes as long as the test wants, and one that takes no time."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)

        @read("probe.look")
        def look() -> int:
            """Look, slowly."""
            return self.wait()

        @command("probe.send", effect="idempotent")
        def send() -> int:
            """Send, slowly."""
            return self.wait()

        @command("probe.write", effect="transactional")
        def write() -> int:
            """Write."""
            return 1

        self.look, self.send, self.write = look, send, write

    def wait(self) -> int:
        self.begun.release()
        self.go_on.wait(60)
        return 1

    def graph(self, saver: SQLCheckpointer, tool: str) -> Any:
        flow = Workflow("probe", model=ScriptedChatModel(forever=call(tool)))
        flow.add_state("open")
        flow.add_state("looked", final=True)
        flow.add_state("sent", final=True)
        flow.add_state("written", final=True)
        flow.add_edge("open", self.look, "looked")
        flow.add_edge("open", self.send, "sent")
        flow.add_edge("open", self.write, "written")
        return flow.compile(checkpointer=saver)


async def test_more_runs_than_threads_begin_at_once(tmp_path: Path) -> None:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'a.db'}", capacity=Capacity(threads=2)) as saver:
        graph = Slow().graph(saver, "probe.write")
        async with asyncio.timeout(60):
            done = await asyncio.gather(*(graph.ainvoke(said(), thread(f"t-{number}")) for number in range(12)))
    assert [one["state"] for one in done] == ["written"] * 12


@pytest.mark.parametrize("tool", ["probe.send", "probe.look"])
async def test_slow_sync_bodies_keep_no_other_run_waiting(tmp_path: Path, tool: str) -> None:
    slow = Slow()
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'a.db'}") as saver:
        hung = slow.graph(saver, tool)
        quick = slow.graph(saver, "probe.write")
        runs = [asyncio.create_task(hung.ainvoke(said(), thread(f"slow-{number}"))) for number in range(24)]
        try:
            async with asyncio.timeout(60):
                for _ in runs:
                    assert await asyncio.to_thread(slow.begun.acquire, timeout=20), [one for one in runs if one.done()]
                done = await quick.ainvoke(said(), thread("quick"))
            assert done["state"] == "written"
        finally:
            slow.go_on.set()
            await asyncio.gather(*runs)


def test_a_process_opens_no_more_connections_than_its_capacity(postgres_database: str) -> None:
    capacity = Capacity(connections=8)
    database = Database.open(postgres_database, capacity=capacity)
    both, seen = threading.Barrier(8), []

    def work(number: int) -> None:
        with database.raw_write() as cursor:
            cursor.execute("SELECT 1")
            both.wait(30)
            both.wait(30)
        with database.read():
            seen.append(number)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(work, number) for number in range(7)]
        both.wait(30)
        assert _connections(postgres_database) <= 8
        both.wait(30)
        for one in running:
            one.result()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work_once(database), range(200)))
    assert _connections(postgres_database) <= 8
    database.close()


def work_once(database: Database) -> Any:
    def work(number: int) -> None:
        if number % 3 == 0:
            with database.raw_write() as cursor:
                cursor.execute("SELECT 1")
        elif number % 3 == 1:
            with database.raw_autocommit() as cursor:
                cursor.execute("SELECT 1")
        else:
            with database.read() as connection:
                connection.exec_driver_sql("SELECT 1")

    return work


def _connections(url: str) -> int:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_broken_connection_gives_its_place_back(postgres_database: str) -> None:
    database = Database.open(postgres_database, capacity=Capacity(connections=4))
    for _ in range(12):
        with pytest.raises(StoreUnavailable), database.raw_write() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    with database.raw_write() as cursor:
        cursor.execute("SELECT 1")
    assert _connections(postgres_database) <= 4
    database.close()


def test_the_server_says_how_many_connections_it_allows(postgres_database: str, tmp_path: Path) -> None:
    limit = _limit(postgres_database)
    assert limit is not None
    assert limit.allowed >= limit.taken >= 1
    assert _limit(f"sqlite:///{tmp_path / 'a.db'}") is None


def test_mysql_says_how_many_connections_it_allows(mysql_database: str) -> None:
    limit = _limit(mysql_database)
    assert limit is not None
    assert limit.allowed >= limit.taken >= 1


def _limit(url: str) -> ServerLimit | None:
    with contextlib.closing(Database.open(url)) as database, database.read() as connection:
        return server_limit(connection)


@pytest.mark.parametrize("given", [{"connections": 3}, {"threads": 0}, {"tool_threads": 0}])
def test_a_capacity_that_cannot_work_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(InputError, match="Nothing was opened"):
        Capacity(**given)
