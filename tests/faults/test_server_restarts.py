"""A PostgreSQL server that is restarted in the middle of everything: no partial effect, and the workflow goes on afterwards."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from langchain_core.runnables import RunnableConfig

from interlock import SQLCheckpointer, ToolContext, Workflow, command
from interlock.testing import Fault, FaultPoint, injected
from interlock.tools import StoreUnavailable
from tests.support.own_postgres import OwnPostgres, Way, own_postgres

from .till import HERE, booked, till
from .workflows import CLERK, WORKFLOWS, Receipt, Till, bookings, prepare


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as running:
        yield running


@pytest.fixture
def saver(server: OwnPostgres) -> Iterator[SQLCheckpointer]:
    """A checkpointer on an empty database of the server."""
    admin = sa.create_engine(server.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS shop WITH (FORCE)")
        connection.exec_driver_sql("CREATE DATABASE shop")
    url = sa.make_url(server.url).set(database="shop").render_as_string(hide_password=False)
    prepare(url)
    with SQLCheckpointer(url) as opened:
        yield opened


@pytest.mark.parametrize("way", ["fast", "immediate"])
@pytest.mark.parametrize(
    "point", [FaultPoint.BEFORE_EFFECT, FaultPoint.AFTER_EFFECT, FaultPoint.AFTER_LEDGER, FaultPoint.BEFORE_COMMIT]
)
def test_a_command_that_the_server_restarts_in_leaves_nothing_and_is_carried_out_afterwards(
    point: str, way: Way, server: OwnPostgres, saver: SQLCheckpointer
) -> None:
    graph = till(saver)

    with (
        injected(Fault(lambda: server.restart(way), point)),
        pytest.raises(StoreUnavailable) as raised,
    ):
        graph.instances.execute(HERE, "till.open", {})

    assert raised.value.retryable
    instance = graph.instances.get(HERE)
    assert (instance.state, instance.revision) == ("closed", 0)
    assert booked(graph) == []
    assert [record.kind.value for record in graph.instances.audit(HERE)] == ["started"]
    assert graph.instances.execute(HERE, "till.open", {})["ok"]
    assert graph.instances.execute(HERE, "till.close", {})["ok"]
    assert booked(graph) == ["open", "close"]
    assert graph.engine.store.verify(instance.workflow_id) == []


@pytest.mark.parametrize("way", ["fast", "immediate"])
def test_what_was_committed_before_the_server_restarted_stays(
    way: Way, server: OwnPostgres, saver: SQLCheckpointer
) -> None:
    graph = till(saver)

    with injected(Fault(lambda: server.restart(way), FaultPoint.AFTER_COMMIT)):
        first = graph.instances.execute(HERE, "till.open", {}, idempotency_key="once")
    again = graph.instances.execute(HERE, "till.open", {}, idempotency_key="once")

    assert again == {**first, "replayed": True}
    assert booked(graph) == ["open"]


@pytest.mark.parametrize(
    ("name", "asynchronous"), [("transactions", False), ("transactions", True), ("coroutines", True)]
)
async def test_a_workflow_ends_as_undisturbed_whatever_the_server_restarts_in(
    name: str, asynchronous: bool, server: OwnPostgres, saver: SQLCheckpointer
) -> None:
    graph = WORKFLOWS[name](("", 0)).compile(saver)
    restarts = 0

    async def run(thread: str, given: Any) -> Any:
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        if asynchronous:
            return await graph.ainvoke(given, config, context=CLERK)
        return graph.invoke(given, config, context=CLERK)

    def started(thread: str) -> dict[str, Any]:
        return {"messages": [("user", "go on")], "data": {"thread": thread}}

    with injected() as reached:
        undisturbed = await run("undisturbed", started("undisturbed"))
    # One of each kind of place, each time at another one of the times that it is come to.
    plan = {point: 1 + number % reached.count(point) for number, point in enumerate(sorted(set(reached.points)))}
    for point, nth in plan.items():
        thread = f"{point}-{nth}"
        with injected(Fault(lambda: server.restart("immediate"), point, nth)):
            try:
                ended = await run(thread, started(thread))
            except StoreUnavailable:
                restarts += 1
                ended = None
        for _ in range(3):
            if ended is None or not ended.get("__interrupt__"):
                begun = (await graph.aget_state({"configurable": {"thread_id": thread}})).values
                ended = await run(thread, None if begun else started(thread))
        assert (ended["state"], ended["revision"]) == (undisturbed["state"], undisturbed["revision"])
        assert ended["data"]["done"] == undisturbed["data"]["done"]
        assert [one.type for one in ended["messages"]] == [one.type for one in undisturbed["messages"]]
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        assert graph.engine.store.verify(graph.instances.id_of(config)) == []
        with graph.engine.store.read() as connection:
            count = connection.scalar(
                sa.select(sa.func.count()).select_from(bookings).where(bookings.c.thread == thread)
            )
        assert count == len(ended["data"]["done"])
    assert restarts >= 3


def test_the_outcome_of_an_effect_waits_for_a_server_that_is_away(server: OwnPostgres, saver: SQLCheckpointer) -> None:
    happened: list[str] = []

    @command("parcel.hand_over", effect="at_most_once")
    def hand_over(ctx: ToolContext[Till]) -> Receipt:
        """Hand the parcel over, while the database is restarted."""
        happened.append(ctx.idempotency_key)
        server.restart("immediate")
        return Receipt(what="parcel")

    flow = Workflow("depot", data=Till)
    flow.add_state("packed", decide=lambda _: ("parcel.hand_over", {}))
    flow.add_state("gone", final=True)
    flow.add_edge("packed", hand_over, "gone")
    graph = flow.compile(saver)

    done = graph.invoke({"messages": [("user", "go on")]}, HERE)

    assert done["state"] == "gone"
    assert len(happened) == 1
    assert graph.engine.store.verify(graph.instances.id_of(HERE)) == []


def test_after_a_restart_one_step_fails_however_many_connections_were_open(
    server: OwnPostgres, saver: SQLCheckpointer
) -> None:
    graph = till(saver)
    gate = threading.Barrier(8)

    def many_open(number: int) -> None:
        config: RunnableConfig = {"configurable": {"thread_id": f"t-{number}"}}
        gate.wait(30)
        graph.invoke({"messages": [("user", "go on")], "data": {"thread": f"t-{number}"}}, config)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(many_open, range(8, 16)))
    server.restart("immediate")

    failed = 0
    for number in range(20):
        config: RunnableConfig = {"configurable": {"thread_id": f"after-{number}"}}
        try:
            graph.invoke({"messages": [("user", "go on")], "data": {"thread": f"after-{number}"}}, config)
        except StoreUnavailable:
            failed += 1
    assert failed <= 1


def test_a_server_that_takes_no_more_connections_is_a_retryable_error(
    server: OwnPostgres, saver: SQLCheckpointer
) -> None:
    graph = till(saver)
    plain = sa.make_url(server.url).set(drivername="postgresql").render_as_string(hide_password=False)
    with contextlib.ExitStack() as stack:
        saver.database.close()  # those that wait for their next use would still serve
        with contextlib.suppress(psycopg.OperationalError):
            for _ in range(server.connections + 1):
                stack.enter_context(contextlib.closing(psycopg.connect(plain)))
            pytest.fail("the server takes more connections than it was told to")
        with pytest.raises(StoreUnavailable) as raised:
            graph.instances.execute(HERE, "till.open", {})
        with pytest.raises(StoreUnavailable):
            graph.get_state(HERE)

    assert raised.value.retryable
    assert graph.instances.execute(HERE, "till.open", {})["ok"]


def test_a_server_that_is_away_is_a_retryable_error_and_nothing_else(
    server: OwnPostgres, saver: SQLCheckpointer
) -> None:
    graph = till(saver)
    server.stop("immediate")
    try:
        with pytest.raises(StoreUnavailable) as raised:
            graph.instances.execute(HERE, "till.open", {})
        with pytest.raises(StoreUnavailable):
            graph.invoke({"messages": [("user", "go on")]}, HERE)
        with pytest.raises(StoreUnavailable):
            graph.get_state(HERE)
    finally:
        server.start()

    assert raised.value.retryable
    assert graph.instances.execute(HERE, "till.open", {})["ok"]
