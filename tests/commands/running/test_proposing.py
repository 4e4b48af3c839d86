"""Who becomes the proposer of an instance by writing into its conversation."""

from __future__ import annotations

from interlock import Principal, Workflow, WorkflowStore, command
from interlock.commands.running.proposing import take_turn

ANN, BOB = Principal("ann", tenant="acme"), Principal("bob", tenant="acme")


@command("order.note", effect="transactional")
def note() -> str:
    """Note it."""
    return "noted"


def test_only_somebody_of_the_same_tenant_becomes_the_proposer_and_is_written_once() -> None:
    store = WorkflowStore.in_memory()
    graph = (
        Workflow("orders")
        .add_state("open")
        .add_edge("open", note, "open")
        .compile(workflow_store=store, destructive_in_memory=True)
    )
    workflow_id = graph.instances.start(principal=ANN).workflow_id
    begun = graph.instances.get(workflow_id)

    take_turn(store, begun, Principal("bob", tenant="other"))
    assert graph.instances.get(workflow_id).proposer_text == begun.proposer_text
    take_turn(store, begun, BOB)
    taken = graph.instances.get(workflow_id)
    assert "bob" in str(taken.proposer_text)
    take_turn(store, begun, BOB)
    assert graph.instances.get(workflow_id) == taken
