"""SIGSTOP, takeover by another process, SIGCONT: the one that was away is refused at its next write."""

from __future__ import annotations

import asyncio
import functools
import pathlib

import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from interlock import ConflictError, Database, SQLCheckpointer, WorkflowGraph, WorkflowStore
from interlock.checkpointing.connecting import engines, patience
from interlock.testing import Child, FaultPoint
from interlock.tools import LeaseLost, StaleCheckpoint, StoreUnavailable
from tests.support.databases import lent_database
from tests.support.servers import temporary_postgres_database

from .kills import PRELOAD
from .outside import World
from .runs import left_behind, recover
from .workflows import BOSS, CLERK, WORKFLOWS, Address, prepare

LEASE = 0.4


@functools.cache
def quick(name: str, url: str, address: Address) -> WorkflowGraph:
    """A workflow whose leases are short, so that nobody has to wait long for a process that is stopped."""
    saver = SQLCheckpointer(url)
    return WORKFLOWS[name](address).compile(saver, workflow_store=WorkflowStore(saver.database, lease_seconds=LEASE))


def run(name: str, url: str, address: Address, thread: str) -> str:
    """Begin a workflow, and go on to its first interrupt or its end."""
    graph = quick(name, url, address)
    given = {"messages": [("user", "go on")], "data": {"thread": thread}}
    return str(graph.invoke(given, {"configurable": {"thread_id": thread}}, context=CLERK)["state"])


def hand_over(name: str, url: str, address: Address, thread: str) -> str:
    """Approve what waits, and go on."""
    graph = quick(name, url, address)
    config = {"configurable": {"thread_id": thread}}
    return str(graph.invoke(Command(resume={"type": "approve"}), config, context=BOSS)["state"])


@pytest.mark.parametrize(
    ("name", "point", "nth"),
    [
        ("transactions", FaultPoint.BEFORE_NODE, 2),
        ("transactions", FaultPoint.AFTER_COMMIT, 2),
        ("transactions", FaultPoint.AFTER_NODE, 2),
        ("effects", FaultPoint.BEFORE_NODE, 2),
        ("effects", FaultPoint.BEFORE_EFFECT, 1),
        ("effects", FaultPoint.AFTER_EFFECT, 1),
        ("effects", FaultPoint.AFTER_COMMIT, 3),
        ("messages", FaultPoint.AFTER_NODE, 1),
    ],
)
def test_a_stopped_process_is_refused_when_another_one_has_gone_on(
    name: str, point: str, nth: int, prepared_url: str, outside: World
) -> None:
    thread = f"{prepared_url[:6]}-{name}-{point}-{nth}"
    arguments = (name, prepared_url, outside.address, thread)
    with Child(run, *arguments, stop_at=(point, nth), preload=PRELOAD) as stopped:
        assert stopped.stopped()
        wait_for_lease(name, prepared_url, outside.address, thread)
        with Child(recover, name, prepared_url, outside, thread) as other:
            left = other.result()
        stopped.resume()
        with pytest.raises((ConflictError, StaleCheckpoint)):
            stopped.result()

    assert left == left_behind(name, prepared_url, outside.address, thread)
    assert left.state == "over"
    assert left.broken == []
    assert len(left.outbox) == len(left.data["done"])
    keys = [key for tool, key in outside.calls(thread) if tool == "label.buy"]
    assert len(set(keys)) <= 1


def test_an_effect_that_may_not_be_repeated_is_asked_about_when_its_process_stops(
    prepared_url: str, outside: World
) -> None:
    thread = f"{prepared_url[:6]}-stopped-parcel"
    arguments = ("effects", prepared_url, outside.address, thread)
    with Child(run, *arguments, preload=PRELOAD) as first:
        first.result()
    with Child(hand_over, *arguments, stop_at=(FaultPoint.AFTER_EFFECT, 1)) as stopped:
        assert stopped.stopped()
        wait_for_lease(*arguments)
        with Child(recover, "effects", prepared_url, outside, thread) as other:
            left = other.result()
        stopped.resume()
        with pytest.raises(LeaseLost, match="was taken over"):
            stopped.result()

    assert [tool for tool, _ in outside.calls(thread)] == ["label.buy", "parcel.hand_over"]
    assert left.state == "over"
    assert left.broken == []


@pytest.fixture(params=["postgresql", "mysql"])
def server_url(request: pytest.FixtureRequest) -> str:
    """A database with all tables on a server."""
    url = lent_database(request, request.param)
    prepare(url)
    return url


def bounded(url: str, *, lock: int | None = None, idle: int | None = None) -> str:
    """The same database, for those who are to be less patient: seconds."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        names = {"lock_timeout": lock, "idle_in_transaction_session_timeout": idle}
        options = " ".join(f"-c {name}={seconds}s" for name, seconds in names.items() if seconds is not None)
        parsed = parsed.update_query_dict({"options": options})
    else:
        names = {"innodb_lock_wait_timeout": lock, "idle_transaction_timeout": idle}
        given = ", ".join(f"SESSION {name} = {seconds}" for name, seconds in names.items() if seconds is not None)
        parsed = parsed.update_query_dict({"init_command": f"SET {given}"})
    return parsed.render_as_string(hide_password=False)


IN_TRANSACTION = [FaultPoint.BEFORE_EFFECT, FaultPoint.AFTER_EFFECT, FaultPoint.AFTER_LEDGER]


@pytest.mark.parametrize("point", IN_TRANSACTION)
def test_who_needs_what_a_stopped_transaction_holds_is_told_so_and_does_not_wait_for_ever(
    point: str, server_url: str, outside: World
) -> None:
    thread = f"held-{point}"
    arguments = ("transactions", bounded(server_url, lock=1), outside.address, thread)
    graph, config = quick(*arguments[:3]), {"configurable": {"thread_id": thread}}
    with Child(run, "transactions", server_url, outside.address, thread, stop_at=(point, 1), preload=PRELOAD) as child:
        assert child.stopped()
        with pytest.raises(StoreUnavailable, match="did not release it in time") as raised:
            graph.instances.execute(config, "till.open", {})
        assert raised.value.retryable
        assert graph.instances.get(config).state == "closed", "who only looks does not wait"
        child.kill()
    assert recover("transactions", server_url, outside, thread).state == "over"


@pytest.mark.parametrize("point", IN_TRANSACTION)
def test_a_process_that_stops_in_mid_transaction_loses_it_and_another_one_goes_on(
    point: str, server_url: str, outside: World
) -> None:
    thread = f"lost-{point}"
    impatient = bounded(server_url, idle=2)
    with Child(run, "transactions", impatient, outside.address, thread, stop_at=(point, 1), preload=PRELOAD) as stopped:
        assert stopped.stopped()
        left = recover("transactions", server_url, outside, thread)
        stopped.resume()
        with pytest.raises((StoreUnavailable, ConflictError)):
            stopped.result()

    assert left == left_behind("transactions", server_url, outside.address, thread)
    assert (left.state, left.broken) == ("over", [])
    assert [what for what, _ in left.bookings] == left.data["done"] == left.outbox


@pytest.mark.parametrize("point", [*IN_TRANSACTION, FaultPoint.BEFORE_COMMIT])
def test_a_process_that_stops_with_the_files_write_lock_keeps_others_out_for_no_longer_than_they_wait(
    point: str, tmp_path: pathlib.Path, outside: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, thread = f"sqlite:///{tmp_path / 'held.db'}", "held"
    prepare(url)
    nth = 2 if point == FaultPoint.BEFORE_COMMIT else 1
    with Child(run, "transactions", url, outside.address, thread, stop_at=(point, nth), preload=PRELOAD) as stopped:
        assert stopped.stopped()
        monkeypatch.setattr(engines, "BUSY_TIMEOUT_SECONDS", 0.1)
        graph, config = quick("transactions", url, outside.address), {"configurable": {"thread_id": thread}}
        with pytest.raises(StoreUnavailable, match="locked") as raised:
            graph.instances.execute(config, "till.open", {})
        assert raised.value.retryable
        assert graph.instances.get(config).state == "closed"
        stopped.resume()
        assert stopped.result() == "open"

    monkeypatch.undo()
    left = recover("transactions", url, outside, thread)
    assert (left.state, left.broken) == ("over", [])
    assert [what for what, _ in left.bookings] == left.data["done"] == left.outbox


def test_connections_to_a_server_are_bounded_where_nobody_bounded_them(server_url: str) -> None:
    names = {
        "postgresql": ("current_setting('lock_timeout')", "current_setting('idle_in_transaction_session_timeout')"),
        "mysql": ("@@innodb_lock_wait_timeout", "@@idle_transaction_timeout"),
    }[sa.make_url(server_url).get_backend_name()]

    async def seen_async(database: Database) -> list[str]:
        async with database.awrite() as connection:
            return [str(value) for value in (await connection.exec_driver_sql(f"SELECT {', '.join(names)}")).one()]

    def seen(url: str) -> list[str]:
        database = Database.open(url)
        with database.write() as connection:
            found = [str(value) for value in connection.exec_driver_sql(f"SELECT {', '.join(names)}").one()]
        with database.raw_write() as cursor:
            cursor.execute(f"SELECT {', '.join(names)}")
            assert [str(value) for value in cursor.fetchone()] == found
        assert asyncio.run(seen_async(database)) == found
        database.close()
        return found

    assert seen(server_url) in (["30s", "1min"], ["50", "60"])
    assert (patience.LOCK_SECONDS, patience.IDLE_SECONDS) == (30, 60)
    assert seen(bounded(server_url, lock=7, idle=8)) in (["7s", "8s"], ["7", "8"])


def test_who_only_reads_on_postgresql_may_take_as_long_as_they_like() -> None:
    with temporary_postgres_database() as url:
        database = Database.open(url)
        with database.read_only() as connection:
            shown = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
        assert shown == "0"
        with database.read() as connection:
            assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "1min"
        database.close()


def say_that_it_did_not_happen(name: str, url: str, address: Address, thread: str) -> None:
    """Go on, and say of the effect that nobody knows of that it did not happen and is to be tried again."""
    graph = quick(name, url, address)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    graph.invoke(None, config, context=CLERK)
    graph.instances.resolve(config, "retry", by=BOSS, note="they know nothing of it")


def test_a_process_that_stops_before_an_effect_does_not_begin_it_once_a_person_has_said_that_it_did_not_happen(
    prepared_url: str, outside: World
) -> None:
    thread = f"{prepared_url[:6]}-stopped-before"
    arguments = ("effects", prepared_url, outside.address, thread)
    with Child(run, *arguments, preload=PRELOAD) as first:
        first.result()
    with Child(hand_over, *arguments, stop_at=(FaultPoint.BEFORE_EFFECT, 1)) as stopped:
        assert stopped.stopped()
        wait_for_lease(*arguments)
        with Child(say_that_it_did_not_happen, *arguments) as person:
            person.result()
        with Child(recover, "effects", prepared_url, outside, thread) as other:
            left = other.result()
        stopped.resume()
        with pytest.raises(LeaseLost, match="was taken over"):
            stopped.result()

    assert [tool for tool, _ in outside.calls(thread)] == ["label.buy", "parcel.hand_over"]
    assert (left.state, left.broken) == ("over", [])


def test_a_process_that_stops_before_an_effect_and_was_not_missed_begins_it_under_a_new_lease(
    prepared_url: str, outside: World
) -> None:
    thread = f"{prepared_url[:6]}-not-missed"
    arguments = ("effects", prepared_url, outside.address, thread)
    with Child(run, *arguments, preload=PRELOAD) as first:
        first.result()
    with Child(hand_over, *arguments, stop_at=(FaultPoint.BEFORE_EFFECT, 1)) as stopped:
        assert stopped.stopped()
        wait_for_lease(*arguments)
        stopped.resume()
        assert stopped.result() == "over"

    assert [tool for tool, _ in outside.calls(thread)] == ["label.buy", "parcel.hand_over"]
    graph = quick("effects", prepared_url, outside.address)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    attempts = [record for record in graph.instances.audit(config) if record.kind.value == "attempt"]
    assert [record.payload["afterProblem"] for record in attempts if record.payload] == [None, None, "NotBegun"]


def wait_for_lease(name: str, url: str, address: Address, thread: str) -> None:
    """Wait until the lease of whoever is at it has run out, by the database's clock."""
    graph = quick(name, url, address)
    store, config = graph.engine.store, {"configurable": {"thread_id": thread}}
    found = store.find(graph.instances.id_of(config))
    until = None if found is None else found.lease_until
    if until is not None:
        with store.read() as connection:
            before = store.now(connection)
        assert until - before < LEASE * 1_000_000

        def over() -> bool:
            with store.read() as connection:
                return store.now(connection) > until

        assert store.wait_until(over, 20)
