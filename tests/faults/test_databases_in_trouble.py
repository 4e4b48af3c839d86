"""Databases that go away, are locked or are full in the middle of a command: no partial effect, and the workflow goes on afterwards."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import Principal, SQLCheckpointer, ToolContext, Workflow, WorkflowGraph, command
from interlock.checkpointing.connecting import engines
from interlock.testing import Child, Fault, FaultPoint, delay, injected
from interlock.tools import StoreError, StoreUnavailable
from tests.support.servers import temporary_postgres_database

from .kills import PRELOAD
from .till import HERE, booked, till
from .workflows import CLERK, Receipt, Till, bookings, prepare, transactions


@pytest.fixture
def postgres() -> Iterator[SQLCheckpointer]:
    with temporary_postgres_database() as url:
        prepare(url)
        with SQLCheckpointer(url) as saver:
            yield saver


def nothing_happened(graph: WorkflowGraph) -> None:
    instance = graph.instances.get(HERE)
    assert (instance.state, instance.revision) == ("closed", 0)
    assert booked(graph) == []
    assert [record.kind.value for record in graph.instances.audit(HERE)] == ["started"]


def resumes(graph: WorkflowGraph) -> None:
    assert graph.instances.execute(HERE, "till.open", {})["ok"]
    assert graph.instances.execute(HERE, "till.close", {})["ok"]
    assert booked(graph) == ["open", "close"]
    assert graph.engine.store.verify(graph.instances.id_of(HERE)) == []


@pytest.mark.parametrize(
    "point", [FaultPoint.BEFORE_EFFECT, FaultPoint.AFTER_EFFECT, FaultPoint.AFTER_LEDGER, FaultPoint.BEFORE_COMMIT]
)
def test_a_connection_that_the_server_ends_in_mid_command_leaves_nothing(point: str, postgres: SQLCheckpointer) -> None:
    graph = till(postgres)
    url = postgres.database.engine.url

    def terminate() -> None:
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as other:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            other.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    with injected(Fault(terminate, point)), pytest.raises(StoreUnavailable) as raised:
        graph.instances.execute(HERE, "till.open", {})

    assert raised.value.retryable
    nothing_happened(graph)
    resumes(graph)


@command("till.insist", effect="transactional")
def insist(ctx: ToolContext[Till], nested: bool) -> Receipt:
    """Book twice under one number, and take no notice of the second time."""
    for what in ("first", "second"):
        with contextlib.suppress(sa.exc.IntegrityError), ctx.session.begin_nested() if nested else nullcontext():
            ctx.session.execute(sa.insert(bookings).values(number=1, thread="t-1", what=what, amount="1"))
    return Receipt(what="first")


def test_a_tool_that_goes_on_after_a_statement_that_failed_is_told_how(postgres: SQLCheckpointer) -> None:
    flow = Workflow("till", data=Till)
    flow.add_state("open")
    flow.add_edge("open", insist, "open")
    graph = flow.compile(postgres)
    graph.invoke({"messages": []}, HERE)

    with pytest.raises(StoreError, match=r"begin_nested\(\)") as raised:
        graph.instances.execute(HERE, "till.insist", {"nested": False})

    assert (raised.value.code, raised.value.retryable) == ("transaction_aborted", False)
    assert booked(graph) == []
    assert graph.instances.execute(HERE, "till.insist", {"nested": True})["ok"]
    assert booked(graph) == ["first"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@nowhere.invalid:5432/shop",
        "postgresql://postgres@127.0.0.1:1/shop?connect_timeout=2",
        "mysql://root@nowhere.invalid:3306/shop",
        "mysql://root@127.0.0.1:1/shop",
    ],
)
def test_a_server_that_is_not_there_is_a_retryable_error(url: str) -> None:
    with SQLCheckpointer(url) as saver, pytest.raises(StoreUnavailable) as raised:
        saver.get_tuple(HERE)
    assert raised.value.retryable


def test_a_file_that_is_locked_for_longer_than_the_busy_timeout_is_a_retryable_error(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_SECONDS", 0.1)
    with SQLCheckpointer(sqlite_url) as saver:
        graph = till(saver)
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable) as raised:
                graph.instances.execute(HERE, "till.open", {})
            assert raised.value.retryable
            other.execute("ROLLBACK")
        nothing_happened(graph)
        resumes(graph)


def test_a_file_that_may_not_grow_any_more_keeps_what_it_had(sqlite_url: str) -> None:
    with SQLCheckpointer(sqlite_url) as saver:
        graph = till(saver)
        limit = {"pages": 0}

        @sa.event.listens_for(saver.database.engine, "checkout")
        def bound(connection: Any, _record: Any, _proxy: Any) -> None:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA max_page_count={limit['pages'] or 1_000_000}")
            cursor.close()

        with saver.database.read() as connection:
            limit["pages"] = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        with pytest.raises(StoreUnavailable, match="full"):
            deny_until_full(graph)

        limit["pages"] = 0
        assert graph.instances.get(HERE).state == "closed"
        assert booked(graph) == []
        resumes(graph)


class SmallDisk:
    """A file system of a few megabytes that can be filled to its last byte."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[SmallDisk]:
    """One that only root can make; a limit on the size of files, which anybody can set, is tried below."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    "point", [FaultPoint.BEFORE_EFFECT, FaultPoint.AFTER_EFFECT, FaultPoint.AFTER_LEDGER, FaultPoint.BEFORE_COMMIT]
)
def test_a_disk_that_fills_up_in_mid_command_keeps_nothing_of_it(point: str, small_disk: SmallDisk) -> None:
    url = f"sqlite:///{small_disk.folder / 'till.db'}"
    prepare(url)
    with SQLCheckpointer(url) as saver:
        graph = till(saver)
        with injected(Fault(small_disk.fill, point)), pytest.raises(StoreUnavailable, match="full") as raised:
            graph.instances.execute(HERE, "till.open", {})

        assert raised.value.retryable
        nothing_happened(graph)
        with pytest.raises(StoreUnavailable, match="full"):
            graph.instances.execute(HERE, "till.open", {})
        small_disk.free()
        resumes(graph)


@pytest.mark.parametrize("point", FaultPoint)
def test_a_workflow_whose_disk_fills_up_anywhere_ends_as_undisturbed_once_there_is_room(
    point: str, small_disk: SmallDisk
) -> None:
    url = f"sqlite:///{small_disk.folder / 'till.db'}"
    prepare(url)
    with SQLCheckpointer(url) as saver:
        graph = transactions(("", 0)).compile(saver)
        given = {"messages": [("user", "go on")], "data": {"thread": "t-1"}}
        with (
            injected(Fault(small_disk.fill, point, 2)) as reached,
            contextlib.suppress(StoreUnavailable),
        ):
            graph.invoke(given, HERE, context=CLERK)
        assert reached.count(point) >= 2
        small_disk.free()
        if not graph.get_state(HERE).interrupts:  # what was not even taken in is sent again
            graph.invoke(given if graph.get_state(HERE).metadata is None else None, HERE, context=CLERK)

        assert graph.get_state(HERE).interrupts[0].value["tool"] == "till.close"
        assert booked(graph) == graph.instances.get(HERE).data["done"] == ["open", "tea"]
        assert graph.engine.store.verify(graph.instances.id_of(HERE)) == []


def write_up_to(url: str, spare: int) -> tuple[str, list[str], int]:
    """In a process whose files may grow by so many bytes and no more: open the till, then again without the limit."""
    import resource

    with SQLCheckpointer(url) as saver:
        graph = till(saver)
        path = url.removeprefix("sqlite:///")
        size = max(os.path.getsize(path), os.path.getsize(f"{path}-wal"))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + spare, before[1]))
        told = "nothing"
        for _ in range(200):
            try:
                graph.instances.execute(HERE, "till.close", {"why": "x" * 400})
            except StoreUnavailable as error:
                told = error.message
                break
        try:
            graph.instances.execute(HERE, "till.open", {})
        except StoreUnavailable:
            told += " twice"
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert graph.instances.get(HERE).state == "closed"
        assert booked(graph) == []
        resumes(graph)
        return told, booked(graph), len(graph.instances.audit(HERE))


@pytest.mark.parametrize("spare", [0, 5000, 40_000])
def test_files_that_may_not_grow_keep_what_they_had(spare: int, sqlite_url: str) -> None:
    with Child(write_up_to, sqlite_url, spare, preload=PRELOAD) as child:
        told, done, _ = child.result()

    assert told.endswith("twice")
    assert done == ["open", "close"]


def test_a_writer_waits_for_another_one_that_is_slow(sqlite_url: str) -> None:
    with SQLCheckpointer(sqlite_url) as saver:
        graph = till(saver)
        go, begun = threading.Event(), threading.Event()
        slow = threading.Thread(target=lambda: graph.instances.execute(HERE, "till.open", {}))
        with injected(Fault(begun.set, FaultPoint.BEFORE_EFFECT), delay(go, FaultPoint.BEFORE_EFFECT)):
            slow.start()
            assert begun.wait(30)
            threading.Timer(0.05, go.set).start()
            assert (
                graph.engine.store.erase_audit(graph.instances.id_of(HERE), by=Principal("nobody"), reason="test") == 3
            )
            slow.join()

        assert graph.instances.get(HERE).state == "open"


def deny_until_full(graph: WorkflowGraph) -> None:
    """Let denials be recorded until there is no room for another one."""
    for _ in range(200):
        graph.instances.execute(HERE, "till.close", {"why": "x" * 400})
