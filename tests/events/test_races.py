"""An event and a deadline at the same moment: exactly one of them moves the workflow."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interlock import DeliveryStatus, SQLCheckpointer, WorkflowStore
from interlock.checkpointing.store import AuditKind
from interlock.checkpointing.store import waits as wait_rows
from interlock.checkpointing.store.waits import WaitStatus
from interlock.commands.instances.starting import ensure_instance
from interlock.commands.waits.delivery import settle, take_in
from interlock.tools import Principal
from tests.events.support import Answered, Desk, ask, envelope, waiting_flow

SECOND = 1_000_000


class Turning:
    """A clock that stands before the deadline for one thread and at it for the other, so that both are entitled."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND
        self.ahead = threading.local()

    def __call__(self, _: object) -> int:
        return self.now + int(getattr(self.ahead, "by", 0))


def race(desk: Desk, clock: Turning, workflow_id: str) -> tuple[bool, bool]:
    """Let an event and a deadline loose on one wait at the same time; whether each says that it ended it."""
    with desk.store.read() as connection:
        wait = wait_rows.open_of(connection, workflow_id)
    assert wait is not None
    start = threading.Barrier(2)

    def event() -> bool:
        start.wait()
        return bool(take_in(desk.graph.engine, envelope(Answered(), workflow_id)).ended)

    def deadline() -> bool:
        clock.ahead.by = 3 * 3600 * SECOND
        start.wait()
        return settle(desk.graph.engine, wait) is not None

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(event), pool.submit(deadline)
        return first.result(), second.result()


def run_races(desk: Desk, clock: Turning, count: int) -> Counter[str]:
    """Race so many times, and check each time that exactly one branch was taken."""
    branches: Counter[str] = Counter()
    for number in range(count):
        workflow_id = f"wf_{number}"
        begun(desk, workflow_id)
        won = race(desk, clock, workflow_id)
        assert sum(won) == 1, won
        instance = desk.store.get(workflow_id)
        assert instance.state == ("answered" if won[0] else "overdue")
        moved = [one for one in desk.store.audit(workflow_id) if one.kind is AuditKind.TRANSITION]
        assert [one.payload["currentState"] for one in moved] == ["asked", instance.state]  # type: ignore[index]
        assert instance.revision == 2
        with desk.store.read() as connection:
            (wait,) = wait_rows.of_instance(connection, workflow_id)
        assert wait.status is (WaitStatus.DONE if won[0] else WaitStatus.TIMED_OUT)
        branches[instance.state] += 1
    return branches


def begun(desk: Desk, workflow_id: str) -> None:
    """Make an instance that waits, without a graph: what races is in SQL alone."""
    from interlock.commands.running.scope import outside_scope

    with desk.store.write() as connection:
        scope = outside_scope(workflow_id, Principal.ANONYMOUS)
        ensure_instance(desk.graph.engine, connection, scope, Principal.ANONYMOUS, None)
    assert desk.graph.instances.execute(workflow_id, ask, {})["ok"]


def test_an_event_racing_its_deadline_a_thousand_times_takes_one_branch_each() -> None:
    clock = Turning()
    desk = Desk(waiting_flow(), clock=clock)  # type: ignore[arg-type]

    branches = run_races(desk, clock, 1_000)

    assert branches.total() == 1_000
    assert min(branches.values()) > 0  # both of them win at times, or nothing raced
    desk.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mysql"])
def test_the_same_between_connections_of_a_real_database(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = (
        f"sqlite:///{tmp_path / 'race.db'}"
        if kind == "sqlite"
        else str(request.getfixturevalue(f"{'postgres' if kind == 'postgresql' else kind}_database"))
    )
    clock = Turning()
    desk = Desk(waiting_flow(), url, clock)  # type: ignore[arg-type]

    assert run_races(desk, clock, 60).total() == 60
    desk.close()


def test_of_many_who_deliver_one_event_at_once_one_does(tmp_path: Path) -> None:
    saver = SQLCheckpointer(f"sqlite:///{tmp_path / 'once.db'}")
    desk = Desk(waiting_flow(expect=2), saver.database, None)
    for number in range(20):
        workflow_id = f"wf_{number}"
        begun(desk, workflow_id)
        event = envelope(Answered(), workflow_id)
        start = threading.Barrier(8)

        def deliver(event: object = event, start: threading.Barrier = start) -> DeliveryStatus:
            start.wait()
            return take_in(desk.graph.engine, event).status  # type: ignore[arg-type]

        with ThreadPoolExecutor(8) as pool:
            found = Counter(future.result() for future in [pool.submit(deliver) for _ in range(8)])

        assert found == {DeliveryStatus.TAKEN: 1, DeliveryStatus.DUPLICATE: 7}
    desk.close()


def test_an_event_racing_the_wait_that_expects_it_is_never_missed(postgres_database: str) -> None:
    store = WorkflowStore(postgres_database)
    store.close()
    desk = Desk(waiting_flow(), postgres_database, None)
    for number in range(60):
        workflow_id = f"wf_{number}"
        with desk.store.write() as connection:
            from interlock.commands.running.scope import outside_scope

            scope = outside_scope(workflow_id, Principal.ANONYMOUS)
            ensure_instance(desk.graph.engine, connection, scope, Principal.ANONYMOUS, None)
        start = threading.Barrier(2)

        def event(workflow_id: str = workflow_id, start: threading.Barrier = start) -> object:
            start.wait()
            return take_in(desk.graph.engine, envelope(Answered(), workflow_id))

        def transition(workflow_id: str = workflow_id, start: threading.Barrier = start) -> object:
            start.wait()
            return desk.graph.instances.execute(workflow_id, ask, {})

        with ThreadPoolExecutor(2) as pool:
            found = [future.result() for future in [pool.submit(event), pool.submit(transition)]]

        assert desk.state(workflow_id) == "answered", found
    desk.close()
