"""A client that goes away in the middle of a call: what has begun is finished and recorded, and can be asked for again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest
from mcp.client.client import Client

from interlock import Principal, SQLCheckpointer, Workflow, WorkflowGraph, command
from interlock.mcp import WorkflowServer
from tests.mcp.server.support import ERAS, body, in_memory, listening, over_http

ADA = Principal("ada")


class Slow:
    """A tool that the test lets go on."""

    def __init__(self, url: str) -> None:
        self.entered, self.released, self.runs = threading.Event(), threading.Event(), 0

        @command("parcel.send", effect="idempotent")
        def send(parcel_id: str) -> str:
            """Send a parcel."""
            self.runs += 1
            self.entered.set()
            assert self.released.wait(20)
            return parcel_id

        flow = Workflow("parcels")
        flow.add_state("packed").add_state("sent", final=True)
        flow.add_edge("packed", send, "sent")
        self.graph: WorkflowGraph = flow.compile(SQLCheckpointer(url))


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    made = Slow(f"sqlite:///{tmp_path / 'parcels.db'}")
    yield made
    made.released.set()
    made.graph.engine.store.close()


async def hangs_up(client: Client, slow: Slow) -> dict[str, object]:
    """Call, go away while the tool runs, and let it go on.

    Returns:
        The call.
    """
    started = body(await client.call_tool("workflow_start", {}))
    call = {"workflowId": started["workflowId"], "expectedRevision": 0, "parcelId": "P1"}
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "parcel_send", call)
        assert await anyio.to_thread.run_sync(slow.entered.wait, 20)
        group.cancel_scope.cancel()
    slow.released.set()
    return call


async def asked_again(client: Client, call: dict[str, object]) -> dict[str, object]:
    """The same call, for as long as it is told that it still runs."""
    with anyio.fail_after(20):
        while True:
            again = body(await client.call_tool("parcel_send", call))
            if (again.get("error") or {}).get("code") != "in_progress":
                return again
            await anyio.lowlevel.checkpoint()


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.mark.parametrize("era", ERAS)
async def test_over_http_the_connection_is_closed(slow: Slow, era: str) -> None:
    with listening(WorkflowServer(slow.graph, principal=ADA).http_app()) as url:
        async with over_http(f"{url}/mcp", era=era) as client:
            started = body(await client.call_tool("workflow_start", {}))
            call = {"workflowId": started["workflowId"], "expectedRevision": 0, "parcelId": "P1"}
            params = {"name": "parcel_send", "arguments": call, **({"_meta": META} if era == "auto" else {})}
            headers = {
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2026-07-28" if era == "auto" else "2025-11-25",
                "Mcp-Method": "tools/call",
                "Mcp-Name": "parcel_send",
            }
            request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            async with httpx2.AsyncClient(timeout=30) as http, anyio.create_task_group() as group:
                group.start_soon(partial(http.post, f"{url}/mcp", json=request, headers=headers))
                assert await anyio.to_thread.run_sync(slow.entered.wait, 20)
                group.cancel_scope.cancel()
            slow.released.set()
            again = await asked_again(client, call)

    assert (again["ok"], again["replayed"], again["output"]) == (True, True, "P1")
    assert slow.runs == 1


async def test_by_a_notice_that_the_request_is_cancelled(slow: Slow) -> None:
    """Over one connection, as over standard input and output, the client sends `notifications/cancelled`."""
    async with in_memory(WorkflowServer(slow.graph, principal=ADA), "legacy") as client:
        again = await asked_again(client, await hangs_up(client, slow))

    assert (again["ok"], again["replayed"]) == (True, True)
    assert slow.runs == 1
