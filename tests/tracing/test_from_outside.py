"""Commands that are carried out without a graph are traced too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langsmith import traceable

from interlock.testing import ScriptedChatModel, TraceSink
from interlock.tracing import reference_in
from tests.tracing.support import ADA, PLANTED, Shop, arrived, config


@pytest.mark.parametrize("way", ["execute", "aexecute"])
def test_a_command_from_outside_is_a_run_below_its_caller(sink: TraceSink, traced: Any, way: str) -> None:
    graph = Shop().flow(ScriptedChatModel(["hello"])).compile()
    graph.invoke({"messages": [("user", "hi")]}, config(), context=ADA)
    arrived(sink, traced)
    sink.clear()

    @traceable(name="endpoint")
    def endpoint() -> Any:
        given: Any = (config(), "order.get", {"orderId": "W1"})
        if way == "execute":
            return graph.instances.execute(*given, principal=ADA)
        return asyncio.run(graph.instances.aexecute(*given, principal=ADA))

    result = endpoint()
    runs = arrived(sink, traced, 2)
    (looked,) = (run for run in runs if run.name == "order.get")

    assert result["ok"]
    assert sink.run(str(looked.parent_id)).name == "endpoint"
    assert looked.metadata["audit_ref"] == result["auditRef"]
    assert (looked.metadata["workflow"], looked.metadata["state_after"]) == ("shop", "open")
    where = reference_in(graph.instances.audit(config())[-1])
    assert where is not None
    assert (where.run, where.trace) == (looked.id, looked.trace_id)


def test_a_denial_from_outside_is_there_with_its_reason(sink: TraceSink, traced: Any) -> None:
    graph = Shop().flow(ScriptedChatModel(["hello"])).compile()
    graph.invoke({"messages": [("user", "hi")]}, config(), context=ADA)
    graph.instances.execute(config(), "order.charge", {"orderId": "W1", "amount": "5", "card": PLANTED}, principal=ADA)
    runs = arrived(sink, traced)

    (denied,) = (run for run in runs if run.name == "denied: order.charge")
    assert denied.metadata["denial_code"] == "approval_required"
    assert denied.error is None
    assert PLANTED not in sink.text
