"""A limit counts an effect that is under way, and one of unknown outcome: either may be the last one allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlock import LimitPerPeriod, Principal, Workflow, WorkflowGraph, WorkflowStore, command
from interlock.tools import OutcomeUnknown
from tests.commands.approvals.support import Clock

ADA = Principal("ada")


def limited(send: Callable[[], str]) -> tuple[WorkflowGraph, str, str]:
    """A workflow that sends once in a day, with two instances."""

    @command("parcel.send", effect="at_most_once")
    def sending() -> str:
        """Send it."""
        return send()

    policy = LimitPerPeriod(1, "24h", [sending], per="tenant")
    flow = Workflow("depot", policies=[policy]).add_state("open").add_edge("open", sending, "open")
    store = WorkflowStore.in_memory(clock=Clock())
    graph = flow.compile(workflow_store=store, destructive_in_memory=True)
    first, second = (graph.instances.start(principal=ADA).workflow_id for _ in range(2))
    return graph, first, second


def code(result: Any) -> str:
    return "ok" if result["ok"] else str(result["error"]["code"])


def test_an_effect_of_unknown_outcome_counts() -> None:
    def send() -> str:
        raise ConnectionError

    graph, first, second = limited(send)
    with pytest.raises(OutcomeUnknown):
        graph.instances.execute(first, "parcel.send", {}, principal=ADA)
    assert code(graph.instances.execute(second, "parcel.send", {}, principal=ADA)) == "policy_denied"


def test_an_effect_that_is_under_way_counts() -> None:
    seen: list[str] = []

    def send() -> str:
        if not seen:
            seen.append("under way")
            seen.append(code(graph.instances.execute(second, "parcel.send", {}, principal=ADA)))
        return "sent"

    graph, first, second = limited(send)
    assert code(graph.instances.execute(first, "parcel.send", {}, principal=ADA)) == "ok"
    assert seen == ["under way", "policy_denied"]
