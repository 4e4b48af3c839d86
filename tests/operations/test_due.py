"""Whoever lets runs go on later is told of them in the transaction that makes them due, be it ours or the application's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from interlock import Approval, ConflictError, EventService, SQLCheckpointer, WorkflowStore
from interlock.checkpointing import Encryption
from interlock.checkpointing.due import Due
from interlock.tools import DefinitionChanged, InputError, PrincipalError, UnknownState
from tests.commands.approvals import support as shop
from tests.events.support import Answered, Desk, envelope, eventually, waiting_flow


class Told:
    """What was said to be due, and that it may not be."""

    def __init__(self, store: WorkflowStore) -> None:
        self.causes: list[str] = []
        self.threads: list[str] = []
        store.when_due = self

    def __call__(self, connection: sa.Connection, due: Due) -> None:
        assert connection.in_transaction()
        self.causes.append(due.cause)
        self.threads.append(due.thread_id)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'a.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    )


@pytest.fixture
def home(url: str) -> Iterator[shop.Home]:
    made = shop.Home(url)
    yield made
    made.close()


def asking(home: shop.Home, **approval: Any) -> Any:
    flow = shop.Shop().workflow([], forever=shop.refund(), approval=Approval(role="supervisor", **approval))
    graph = home.compile(flow)
    graph.invoke(shop.said(), shop.thread(), context=shop.ADA)
    return graph


def test_a_decision_makes_a_run_due(home: shop.Home) -> None:
    graph = asking(home)
    told, approval = Told(graph.engine.store), shop.pending(graph, shop.thread())
    graph.instances.decide(approval, "approve", by=shop.BEN)
    assert (told.causes, told.threads) == ([f"approval/{approval}"], ["t-1"])


def test_a_decision_that_does_not_count_makes_nothing_due(home: shop.Home) -> None:
    graph = asking(home, count=2)
    told, approval = Told(graph.engine.store), shop.pending(graph, shop.thread())
    with pytest.raises(PrincipalError):
        graph.instances.decide(approval, "approve", by=shop.MALLORY)
    graph.instances.decide(approval, "approve", by=shop.BEN)
    assert told.causes == []
    graph.instances.decide(approval, "approve", by=shop.CAT)
    assert told.causes == [f"approval/{approval}"]


def test_a_deadline_that_expires_an_approval_makes_a_run_due(home: shop.Home) -> None:
    graph = asking(home, within="1h")
    told, approval = Told(graph.engine.store), shop.pending(graph, shop.thread())
    home.clock.advance(2 * shop.HOUR)
    graph.instances.tick(resume=False)
    assert told.causes == [f"approval/{approval}"]


def test_a_decision_in_a_transaction_of_the_applications_own_counts_when_that_is_committed(home: shop.Home) -> None:
    graph = asking(home)
    store = graph.engine.store
    told, approval = Told(store), shop.pending(graph, shop.thread())

    class Undone(Exception):
        pass

    with contextlib.suppress(Undone), store.write() as connection:
        graph.instances.decide(approval, "approve", by=shop.BEN, connection=connection)
        raise Undone
    assert shop.status(graph, approval) == "requested"
    with store.write() as connection:
        graph.instances.decide(approval, "approve", by=shop.BEN, connection=connection)
    assert shop.status(graph, approval) == "approved"
    assert told.causes == [f"approval/{approval}"] * 2


def test_a_decision_joins_a_transaction_of_the_applications_own_engine(postgres_database: str) -> None:
    home = shop.Home(postgres_database)
    graph = asking(home)
    approval = shop.pending(graph, shop.thread())
    engine = sa.create_engine(postgres_database)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE jobs (approval text)"))
        graph.instances.decide(approval, "approve", by=shop.BEN, connection=connection)
        connection.execute(sa.text("INSERT INTO jobs VALUES (:approval)"), {"approval": approval})
        assert shop.status(graph, approval) == "requested"
    assert shop.status(graph, approval) == "approved"
    with engine.begin() as connection, pytest.raises(ConflictError):
        graph.instances.decide(approval, "approve", by=shop.BEN, connection=connection)
    engine.dispose()
    home.close()


def test_a_connection_that_cannot_be_joined_is_refused(home: shop.Home, tmp_path: Path) -> None:
    graph = asking(home)
    approval = shop.pending(graph, shop.thread())
    elsewhere = sa.create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with elsewhere.begin() as connection, pytest.raises(InputError, match="another database"):
        graph.instances.decide(approval, "approve", by=shop.BEN, connection=connection)
    own = sa.create_engine(graph.engine.store.database.engine.url)
    with own.connect() as connection, pytest.raises(InputError, match="no transaction"):
        graph.instances.decide(approval, "approve", by=shop.BEN, connection=connection)
    with pytest.raises(InputError, match="Nothing was done"):
        graph.instances.decide(approval, "approve", by=shop.BEN, connection="a name")  # type: ignore[arg-type]
    elsewhere.dispose()
    own.dispose()
    assert shop.status(graph, approval) == "requested"


def test_a_connection_that_would_not_encrypt_is_refused(url: str) -> None:
    saver = SQLCheckpointer(url, encryption=Encryption({"1": b"k" * 32}))
    graph = (
        shop.Shop()
        .workflow([], forever=shop.refund(), approval=Approval(role="supervisor"))
        .compile(checkpointer=saver)
    )
    graph.invoke(shop.said(), shop.thread(), context=shop.ADA)
    engine = sa.create_engine(saver.database.engine.url)
    with engine.begin() as connection, pytest.raises(InputError, match="does not encrypt"):
        graph.instances.decide(shop.pending(graph, shop.thread()), "approve", by=shop.BEN, connection=connection)
    engine.dispose()
    saver.close()


@pytest.fixture
def desk(url: str) -> Iterator[Desk]:
    made = Desk(waiting_flow(), url)
    yield made
    made.close()


def test_an_event_that_ends_a_wait_makes_a_run_due_and_the_service_only_notes_it(desk: Desk) -> None:
    workflow_id = desk.ask()
    told = Told(desk.store)
    (wait,) = [one["waitId"] for one in desk.graph.instances.snapshot(workflow_id).waits]
    service = EventService(desk.graph, relay=False, tick=0.01, resume=False)
    with service:
        eventually(lambda: service.bus is not None)
        desk.deliveries.deliver(envelope(Answered(), workflow_id), resume=False)
        desk.clock.forward(hours=3)
        eventually(lambda: told.causes != [])
    assert told.causes == [f"wait/{wait}"]
    assert desk.state(workflow_id) == "answered"
    assert desk.shown().next == ("asked",), "the graph itself was left where it stood"


def test_a_service_that_only_notes_keeps_deadlines_and_takes_events_in(desk: Desk) -> None:
    late = desk.ask("t-1")
    told = Told(desk.store)
    with EventService(desk.graph, relay=False, tick=0.01, resume=False):
        desk.clock.forward(hours=3)
        eventually(lambda: desk.state(late) == "overdue")
        eventually(lambda: len(told.causes) == 1)
    assert desk.shown().next == ("asked",)
    assert asyncio.run(desk.graph.instances.atick()).resumed == [late]


def test_an_event_in_a_transaction_that_is_undone_was_never_delivered(desk: Desk) -> None:
    workflow_id = desk.ask()
    event = envelope(Answered(), workflow_id)

    class Undone(Exception):
        pass

    with contextlib.suppress(Undone), desk.store.write() as connection:
        assert desk.deliveries.deliver(event, connection=connection).status == "taken"
        raise Undone
    assert desk.state(workflow_id) == "asked"
    with desk.store.write() as connection:
        assert desk.deliveries.deliver(event, connection=connection).status == "taken"
    assert desk.state(workflow_id) == "answered"
    assert desk.shown().next == ("asked",), "what is not committed yet is not run on"


@pytest.mark.parametrize("kind", [DefinitionChanged, UnknownState])
def test_another_release_may_know_what_this_one_does_not(kind: type[Exception]) -> None:
    assert kind("Another release made it.").retryable is True  # type: ignore[attr-defined]
