"""What a tool tells of its progress reaches the client that asked for it, before the answer."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from langgraph.config import get_stream_writer
from mcp.client.client import Client

from interlock import Principal, SQLCheckpointer, Workflow, WorkflowGraph, command, read
from interlock.mcp import WorkflowServer
from interlock.mcp.server.progress import as_report
from interlock.testing import ScriptedChatModel, call
from tests.mcp.server.support import ERAS, body, in_memory, listening, over_http

ADA = Principal("ada")


@command("parcel.pack", effect="transactional")
def pack() -> str:
    """Pack, in a thread of its own."""
    tell = get_stream_writer()
    tell("not progress")
    for done in (1, 2, 2, 1, 3):
        tell({"progress": done, "total": 3, "message": f"{done} of 3"})
    return threading.current_thread().name


@read("parcel.weigh")
async def weigh() -> str:
    """Weigh, on the event loop."""
    get_stream_writer()({"progress": 0.5})
    return "2 kg"


def parcels(**options: Any) -> Workflow:
    flow = Workflow("parcels", **options)
    flow.add_state("open", tools=[weigh])
    flow.add_edge("open", pack, "open")
    return flow


async def told(client: Client, workflow_id: str) -> tuple[list[tuple[float, float | None, str | None]], Any]:
    found: list[tuple[float, float | None, str | None]] = []

    async def take(progress: float, total: float | None, message: str | None) -> None:
        found.append((progress, total, message))

    pack_it = {"workflowId": workflow_id, "expectedRevision": 0}
    packed = await client.call_tool("parcel_pack", pack_it, progress_callback=take)
    weighed = await client.call_tool("parcel_weigh", {"workflowId": workflow_id}, progress_callback=take)
    assert body(packed)["ok"] is body(weighed)["ok"] is True
    return found, body(packed)


@pytest.mark.parametrize("era", ERAS)
async def test_over_http_progress_comes_before_the_answer_and_only_forward(saver: SQLCheckpointer, era: str) -> None:
    graph = parcels().compile(saver)
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    with listening(WorkflowServer(graph, principal=ADA).http_app()) as url:
        async with over_http(f"{url}/mcp", era=era) as client:
            found, _ = await told(client, workflow_id)

    assert found == [(1, 3, "1 of 3"), (2, 3, "2 of 3"), (3, 3, "3 of 3"), (0.5, None, None)]


async def test_over_one_connection_too() -> None:
    graph = parcels().compile()
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    async with in_memory(WorkflowServer(graph, principal=ADA), "legacy") as client:
        found, _ = await told(client, workflow_id)

    assert [one[0] for one in found] == [1, 2, 3, 0.5]


async def test_a_client_that_did_not_ask_is_told_nothing_and_errors_are_told_as_ever() -> None:
    graph = parcels().compile()
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    async with in_memory(WorkflowServer(graph, principal=ADA)) as client:
        done = body(await client.call_tool("parcel_pack", {"workflowId": workflow_id, "expectedRevision": 0}))

        async def take(progress: float, total: float | None, message: str | None) -> None:
            raise AssertionError("there is nothing to tell")

        stale = await client.call_tool(
            "parcel_pack",
            {"workflowId": workflow_id, "expectedRevision": 0, "idempotencyKey": "k"},
            progress_callback=take,
        )

    assert done["ok"] is True
    assert body(stale)["error"]["code"] == "conflict"


def test_a_tool_that_writes_to_the_stream_runs_in_a_graph_and_outside_of_one(saver: SQLCheckpointer) -> None:
    """It broke with LangGraph's own error where no graph ran it."""
    model = ScriptedChatModel([call("parcel.pack")], forever="Done.")
    graph: WorkflowGraph = parcels(model=model).compile(saver)
    config = {"configurable": {"thread_id": "t"}}
    streamed = list(graph.stream({"messages": [("user", "Pack.")]}, config, context=ADA, stream_mode="custom"))
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    outside = graph.instances.propose(workflow_id, pack, {}, principal=ADA, revision=0)

    assert {"progress": 3, "total": 3, "message": "3 of 3"} in streamed
    assert outside.ok is True


@pytest.mark.parametrize(
    "piece",
    [
        None, "half", 7, [], {}, {"progress": True}, {"progress": "1"}, {"progress": float("nan")}, {"progress": float("inf")},
        {"progress": -1}, {"progress": 10**400}, {"progress": 1, "total": "many"}, {"progress": 1, "message": 7},
        {"type": "interlock.transition", "tool": "parcel.pack"},
    ],
)  # fmt: skip
def test_whatever_else_a_tool_writes_to_its_stream_is_no_progress(piece: Any) -> None:
    assert as_report(piece) is None


def test_a_long_message_is_cut() -> None:
    report = as_report({"progress": 1, "message": "x" * 5_000})
    assert report is not None
    assert len(report[2] or "") == 1_000
