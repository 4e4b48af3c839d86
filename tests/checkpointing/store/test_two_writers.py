"""What two that write one instance at once meet: whoever comes second keeps nothing, also without the lock of its row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interlock import Principal, SQLCheckpointer, Workflow, WorkflowGraph, command
from interlock.checkpointing.store import LedgerStatus, instances, ledger
from interlock.commands.execution.ledger_status import is_running
from interlock.tools import InProgress, RevisionConflict

ADA = Principal("ada")
HERE = {"configurable": {"thread_id": "t-1"}}


@command("parcel.weigh", effect="transactional")
def weigh(grams: int) -> int:
    """Weigh a parcel."""
    return grams


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[WorkflowGraph]:
    flow = Workflow("depot")
    flow.add_state("packed")
    flow.add_edge("packed", weigh, "packed")
    with SQLCheckpointer(f"sqlite:///{tmp_path}/depot.db") as saver:
        graph = flow.compile(saver)
        graph.invoke({"messages": []}, HERE, context=ADA)
        yield graph


def test_of_two_that_move_an_instance_at_once_the_second_keeps_nothing(graph: WorkflowGraph) -> None:
    store, workflow_id = graph.engine.store, graph.instances.id_of(HERE)
    with store.write() as connection:
        first, second = (store.unit(connection, workflow_id) for _ in range(2))
        assert first is not None
        assert second is not None
        first.move(state="packed", data={}, finished=False)
        first.flush()

        second.move(state="packed", data={}, finished=True)
        with pytest.raises(RevisionConflict, match="by someone else during this run"):
            second.flush()

    after = store.get(workflow_id)
    assert (after.revision, after.finished) == (1, False)


def test_of_two_that_take_one_attempt_over_the_second_keeps_nothing(graph: WorkflowGraph) -> None:
    store, workflow_id = graph.engine.store, graph.instances.id_of(HERE)
    graph.instances.execute(HERE, "parcel.weigh", {"grams": 1}, idempotency_key="k", principal=ADA)
    with store.write() as connection:
        entry = ledger.load(connection, workflow_id, "k")
        assert entry is not None
        first, second = (store.unit(connection, workflow_id) for _ in range(2))
        assert first is not None
        assert second is not None
        begun = replace(entry, status=LedgerStatus.STARTED, attempt=entry.attempt + 1, owner="one")
        first.enter(entry, begun)
        first.flush()

        second.enter(entry, replace(begun, owner="other"))
        with pytest.raises(InProgress, match="taken over"):
            second.flush()

        now = ledger.load(connection, workflow_id, "k")
        assert now is not None
        assert now.owner == "one"


@pytest.mark.parametrize(
    "first_does",
    [
        pytest.param({"status": LedgerStatus.COMPLETED}, id="ends the attempt"),
        pytest.param({"attempt": 2, "owner": "other"}, id="takes the attempt over"),
    ],
)
def test_a_runner_does_not_end_an_attempt_that_another_one_ended_or_took_over(
    graph: WorkflowGraph, first_does: dict[str, Any]
) -> None:
    store, workflow_id = graph.engine.store, graph.instances.id_of(HERE)
    graph.instances.execute(HERE, "parcel.weigh", {"grams": 1}, idempotency_key="k", principal=ADA)
    with store.write() as connection:
        entry = ledger.load(connection, workflow_id, "k")
        assert entry is not None
        begun = replace(entry, status=LedgerStatus.STARTED, attempt=1, owner="one")
        units = [store.unit(connection, workflow_id) for _ in range(3)]
        assert units[0] is not None
        assert units[1] is not None
        assert units[2] is not None
        units[0].enter(entry, begun)
        units[0].flush()
        units[1].enter(begun, replace(begun, **first_does))
        units[1].flush()

        units[2].enter(begun, replace(begun, status=LedgerStatus.FAILED))
        with pytest.raises(InProgress, match="taken over"):
            units[2].flush()

        now = ledger.load(connection, workflow_id, "k")
        assert now is not None
        assert now.status is first_does.get("status", LedgerStatus.STARTED)


@pytest.mark.parametrize(("later", "runs"), [(-1, True), (0, False), (1, False)])
def test_an_attempt_runs_until_the_moment_in_which_its_lease_ends(graph: WorkflowGraph, later: int, runs: bool) -> None:
    store, workflow_id = graph.engine.store, graph.instances.id_of(HERE)
    graph.instances.execute(HERE, "parcel.weigh", {"grams": 1}, idempotency_key="k", principal=ADA)
    with store.read() as connection:
        entry = ledger.load(connection, workflow_id, "k")
        instance = instances.load(connection, workflow_id)
    assert entry is not None
    assert instance is not None
    until = instance.updated_at + 1_000
    held = replace(instance, lease_owner="a machine far away", lease_until=until)
    unit: Any = SimpleNamespace(instance=held, now=until + later)
    assert is_running(unit, replace(entry, owner="a machine far away")) is runs
