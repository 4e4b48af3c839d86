"""A strict request holds for the revision at which it was made: whatever moves the instance before it runs makes it void."""

from __future__ import annotations

from typing import Any

import pytest

from interlock import Approval, WorkflowGraph, WorkflowStore
from tests.commands.approvals.support import ADA, BEN, Clock, Home, Shop, answers, pending, refund, said, status, thread

REFUND = {"orderId": "1", "amount": "5"}


def asked(shop: Shop, rule: Approval) -> tuple[WorkflowGraph, str, str]:
    """A refund at the door that waits for its decision."""
    store = WorkflowStore.in_memory(clock=Clock())
    graph = shop.workflow([], approval=rule).compile(workflow_store=store, destructive_in_memory=True)
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    answer = graph.instances.propose(workflow_id, "order.refund", REFUND, principal=ADA, key="k-1")
    assert answer.pending is not None
    return graph, workflow_id, answer.pending.proposal_id


def move(graph: WorkflowGraph, workflow_id: str) -> None:
    """Another command, after which the instance is in the same state at another revision."""
    moved: Any = graph.instances.execute(workflow_id, "order.cancel", {"orderId": "2"}, principal=ADA)
    assert moved["ok"]


@pytest.mark.parametrize("strict", [True, False])
def test_what_was_granted_before_another_command_runs_only_where_it_is_not_strict(shop: Shop, strict: bool) -> None:
    graph, workflow_id, approval_id = asked(shop, Approval(role="supervisor", strict=strict))
    graph.instances.decide(approval_id, "approve", by=BEN)
    move(graph, workflow_id)
    answer = graph.instances.proposal(approval_id, by=ADA)
    assert answer.ok is not strict
    assert status(graph, approval_id) == ("void" if strict else "used")
    assert shop.ran == ["cancel 2", *([] if strict else ["refund 1 5"])]


def test_what_is_strict_runs_while_nothing_moved(shop: Shop) -> None:
    graph, _, approval_id = asked(shop, Approval(role="supervisor", strict=True))
    graph.instances.decide(approval_id, "approve", by=BEN)
    assert graph.instances.proposal(approval_id, by=ADA).ok
    assert shop.ran == ["refund 1 5"]


@pytest.mark.parametrize("strict", [True, False])
def test_it_is_the_same_where_a_graph_asked(shop: Shop, home: Home, strict: bool) -> None:
    graph = home.compile(shop.workflow([refund()], approval=Approval(role="supervisor", strict=strict)))
    graph.invoke(said(), thread(), context=ADA)
    approval_id = pending(graph, thread())
    graph.instances.decide(approval_id, "approve", by=BEN)
    move(graph, graph.instances.id_of(thread()))
    output = graph.instances.resume(thread())
    assert answers(output) == ["approval_void" if strict else "ok"]
    assert status(graph, approval_id) == ("void" if strict else "used")
