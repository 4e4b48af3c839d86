"""The row of a lease: extended by its owner in its epoch alone; and whose an instance's records are."""

from __future__ import annotations

import pytest

from interlock import Principal, Workflow, WorkflowGraph, WorkflowStore, command
from interlock.checkpointing.store import leases
from tests.events.support import Clock


@command("desk.note", effect="transactional")
def note(text: str) -> str:
    """Write something down."""
    return text


@pytest.fixture
def graph() -> WorkflowGraph:
    flow = Workflow("desk").add_state("open").add_edge("open", note, "open")
    return flow.compile(workflow_store=WorkflowStore.in_memory(clock=Clock()), destructive_in_memory=True)


@pytest.mark.parametrize(
    ("owner", "epoch", "is_theirs"), [("a", 3, True), ("b", 3, False), ("a", 2, False), ("a", 4, False)]
)
def test_a_lease_is_extended_by_its_owner_in_its_epoch_alone(
    graph: WorkflowGraph, owner: str, epoch: int, is_theirs: bool
) -> None:
    ids = [graph.instances.start(principal=Principal(name)).workflow_id for name in ("ada", "bo")]
    store = graph.engine.store
    with store.write() as connection:
        for workflow_id in ids:
            unit = store.unit(connection, workflow_id)
            assert unit is not None
            unit.set(lease_owner="a", lease_epoch=3, lease_until=100)
            unit.flush()
        assert leases.renew(connection, ids[0], owner=owner, epoch=epoch, until=200) is is_theirs
    assert [store.get(one).lease_until for one in ids] == [200 if is_theirs else 100, 100]


def test_every_record_of_an_instance_is_of_its_tenant(graph: WorkflowGraph) -> None:
    ada = Principal("ada", tenant="acme")
    workflow_id = graph.instances.start(principal=ada).workflow_id
    graph.instances.execute(workflow_id, note, {"text": "x"}, principal=ada)
    trail = graph.engine.store.audit(workflow_id)
    assert [record.kind.value for record in trail] == ["started", "transition"]
    assert {record.tenant for record in trail} == {"acme"}
