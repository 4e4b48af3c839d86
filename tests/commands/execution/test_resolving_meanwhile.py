"""A person resolves an attempt only once nobody is at it any more, and whoever comes back to it then writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlock import Principal, Workflow, WorkflowGraph, WorkflowStore, command
from interlock.tools import ConflictError, LeaseLost, OutcomeUnknown, PrincipalError
from tests.events.support import Clock

ADA, BOSS = Principal("ada"), Principal("boss")


def sending(meanwhile: Callable[[], object]) -> tuple[WorkflowGraph, str, Clock]:
    @command("parcel.send", effect="at_most_once")
    def send() -> str:
        """Send it."""
        meanwhile()
        return "sent"

    clock = Clock()
    flow = Workflow("depot").add_state("open").add_edge("open", send, "open")
    graph = flow.compile(workflow_store=WorkflowStore.in_memory(clock=clock), destructive_in_memory=True)
    return graph, graph.instances.start(principal=ADA).workflow_id, clock


@pytest.mark.parametrize("found", ["happened", "failed", "retry"])
def test_an_attempt_that_is_under_way_is_not_resolved(found: Any) -> None:
    def meanwhile() -> None:
        with pytest.raises(ConflictError, match="still running"):
            graph.instances.resolve(workflow_id, found, by=BOSS, output="sent" if found == "happened" else None)

    graph, workflow_id, _ = sending(meanwhile)
    assert graph.instances.execute(workflow_id, "parcel.send", {}, principal=ADA)["ok"]
    kinds = [record.kind.value for record in graph.instances.audit(workflow_id)]
    assert kinds == ["started", "attempt", "transition"]


def test_whoever_was_away_while_it_was_resolved_writes_nothing() -> None:
    def meanwhile() -> None:
        clock.forward(seconds=31)
        graph.instances.resolve(workflow_id, "failed", by=BOSS)

    graph, workflow_id, clock = sending(meanwhile)
    with pytest.raises(LeaseLost, match="was taken over") as lost:
        graph.instances.execute(workflow_id, "parcel.send", {}, principal=ADA)
    assert lost.value.details == {"workflowId": workflow_id, "epoch": 1, "now": 2}
    kinds = [record.kind.value for record in graph.instances.audit(workflow_id)]
    assert kinds == ["started", "attempt", "resolution", "refusal"]


def test_whoever_may_not_resolve_is_refused_before_anything_is_written() -> None:
    def meanwhile() -> None:
        raise TimeoutError("no answer")

    graph, workflow_id, _ = sending(meanwhile)
    with pytest.raises(OutcomeUnknown):
        graph.instances.execute(workflow_id, "parcel.send", {}, principal=ADA)
    with pytest.raises(PrincipalError, match="may not resolve") as refused:
        graph.instances.resolve(workflow_id, "failed", by=ADA)
    assert refused.value.code == "not_entitled"
    assert "resolution" not in [record.kind.value for record in graph.instances.audit(workflow_id)]
    graph.instances.resolve(workflow_id, "failed", by=BOSS)
    assert "resolution" in [record.kind.value for record in graph.instances.audit(workflow_id)]
