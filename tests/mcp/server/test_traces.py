"""The trace of a call, both ways: what a client says of its own goes into the record, the spans and on to the servers that tools call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from interlock import Principal, Workflow, WorkflowGraph
from interlock.mcp import WorkflowServer
from interlock.tracing import telemetry
from tests.mcp.client.support import Bank
from tests.mcp.server.support import ERAS, body, in_memory, listening, over_http

ADA = Principal("ada")
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    monkeypatch.setattr(telemetry, "_instruments", None)
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.use(tracer_provider=provider)
    yield exporter
    provider.shutdown()


def assignment(graph: WorkflowGraph, **more: Any) -> dict[str, Any]:
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    return {"workflowId": workflow_id, "expectedRevision": 0, "caseId": "77", "queueId": "billing", **more}


def traces(graph: WorkflowGraph, workflow_id: str) -> list[Any]:
    """What each record but that of the start says of the trace."""
    return [
        (one.payload or {}).get("trace")
        for one in graph.instances.audit(workflow_id)
        if one.kind.value in {"transition", "denial"}
    ]


@pytest.mark.parametrize("era", ERAS)
async def test_a_clients_traceparent_stands_in_the_record_of_what_it_did_and_was_denied(
    graph: WorkflowGraph, era: str
) -> None:
    call = assignment(graph)
    with listening(WorkflowServer(graph, principal=ADA).http_app()) as url:
        async with over_http(f"{url}/mcp", era=era) as client:
            await client.call_tool("case_close", {**call, "caseId": "77"}, meta={"traceparent": TRACEPARENT})
            done = await client.call_tool("case_assign", call, meta={"traceparent": TRACEPARENT})

    assert body(done)["ok"] is True
    found = traces(graph, call["workflowId"])
    assert len(found) >= 2
    assert all(one["traceparent"] == TRACEPARENT for one in found)
    assert graph.engine.store.verify(call["workflowId"]) == []


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "00-xyz",
        7,
        None,
        ["00"],
        {"a": 1},
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"01-{TRACE}-b7ad6b7169203331-01",
        TRACEPARENT + "\n",
    ],
)
async def test_what_is_no_traceparent_is_left_out_and_the_call_is_carried_out(graph: WorkflowGraph, odd: Any) -> None:
    call = assignment(graph)
    async with in_memory(WorkflowServer(graph, principal=ADA)) as client:
        done = await client.call_tool("case_assign", call, meta={"traceparent": odd})

    assert body(done)["ok"] is True
    assert traces(graph, call["workflowId"]) == [None]


async def test_spans_of_a_call_stand_below_the_clients(graph: WorkflowGraph, spans: InMemorySpanExporter) -> None:
    call = assignment(graph)
    async with in_memory(WorkflowServer(graph, principal=ADA)) as client:
        await client.call_tool("case_assign", call, meta={"traceparent": TRACEPARENT})

    (span,) = [one for one in spans.get_finished_spans() if one.name == "execute_tool case.assign"]
    assert format(span.context.trace_id, "032x") == TRACE
    assert span.parent is not None
    (recorded,) = traces(graph, call["workflowId"])
    assert recorded["traceparent"].split("-")[1:3] == [TRACE, format(span.context.span_id, "016x")]


async def test_the_trace_goes_on_to_the_server_whose_tool_the_workflow_calls(tmp_path: Path) -> None:
    """From a client of ours through the gate to a server of somebody else's: one trace, without any tracing here."""
    bank = Bank.at(tmp_path / "bank")
    flow = Workflow("payments")
    flow.add_state("open")
    flow.add_edge("open", bank.tools().contract("transfer"), "open")
    graph = flow.compile(destructive_in_memory=True)
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    async with in_memory(WorkflowServer(graph, principal=ADA)) as client:
        call = {"workflowId": workflow_id, "expectedRevision": 0, "amount": 3}
        done = await client.call_tool("transfer", call, meta={"traceparent": TRACEPARENT})

    assert body(done)["ok"] is True
    assert bank.calls[0]["_meta"]["traceparent"] == TRACEPARENT
