"""MCP clients of a service: its workflows, its callers, and tokens of their own that count nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.applications import Starlette
from starlette.routing import Mount

from interlock import Principal, Workflow, WorkflowGraph, command
from interlock.serving import Development, Tokens, service
from interlock.serving.mcp_endpoint import named
from interlock.tools import InputError
from tests.mcp.server.support import ERAS, ISSUER, body, listening, public_pem, token
from tests.serving.desk import Desk, by_header

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
RESOURCE, API = "http://127.0.0.1/mcp", "workflows"


@contextlib.asynccontextmanager
async def client_of(url: str, era: str = "auto", **headers: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=era) as client,
    ):
        yield client


@pytest.fixture
def graph() -> WorkflowGraph:
    return Desk().workflow().compile()


def tokens(tmp_path: Path, **options: Any) -> Tokens:
    keys = tmp_path / "issuer.pem"
    keys.write_bytes(public_pem())
    return Tokens(issuer=ISSUER, audience=API, keys=keys, **options)


async def refunded(client: Client) -> dict[str, Any]:
    """Let a refund be asked for: the answer, after a stale one was told as such."""
    started = body(await client.call_tool("workflow_start", {}))
    call = {"workflowId": started["workflowId"], "orderId": "W-7", "amount": "4.00"}
    stale = body(await client.call_tool("order_refund", {**call, "expectedRevision": 7}))
    assert stale["error"]["code"] == "conflict"
    return body(await client.call_tool("order_refund", {**call, "expectedRevision": 0}))


@pytest.mark.parametrize("era", ERAS)
async def test_the_applications_own_function_says_who_calls(graph: WorkflowGraph, era: str) -> None:
    with listening(service(graph, principal=by_header, mcp=True)) as url:
        async with client_of(url, era, **{"x-test-user": "kim"}) as client:
            asked = await refunded(client)
        async with httpx2.AsyncClient(base_url=url) as http:
            nobody = await http.post("/mcp", json={})
            shown = await http.get(f"/v1/instances/{asked['workflowId']}", headers={"x-test-user": "kim"})
            sse = await http.get("/mcp", headers={"x-test-user": "kim", "Accept": "text/event-stream"})

    assert (asked["ok"], asked["pending"]["kind"]) == (None, "approval")
    assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated")
    assert shown.json()["state"] == "open"
    assert sse.status_code == 405
    assert graph.instances.get(asked["workflowId"]).served == "kim"


async def test_a_token_for_the_clients_counts_there_alone(graph: WorkflowGraph, tmp_path: Path) -> None:
    """With one for both, an assistant could decide at the API on what it proposed."""
    revoked: list[str] = []
    known = tokens(tmp_path, revoked=lambda claims: claims["sub"] in revoked)
    with listening(service(graph, tokens=known, mcp=RESOURCE)) as url:
        own, of_the_api = token("kim"), token("kim", aud=API)
        async with client_of(url, Authorization=f"Bearer {own}") as client:
            asked = await refunded(client)
        async with httpx2.AsyncClient(base_url=url) as http:
            statuses = {
                (path, bearer == own): (
                    await http.request(method, path, headers={"Authorization": f"Bearer {bearer}"})
                ).status_code
                for method, path in (("POST", "/mcp"), ("GET", "/v1/approvals"))
                for bearer in (own, of_the_api)
            }
            metadata = (await http.get("/.well-known/oauth-protected-resource/mcp")).json()
            bare = await http.post("/mcp", json={})
            revoked.append("kim")
            headers = {
                "Authorization": f"Bearer {own}",
                "MCP-Protocol-Version": "2026-07-28",
                "Mcp-Method": "tools/list",
            }
            listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
            accepts = {"Accept": "application/json, text/event-stream"}
            after = (await http.post("/mcp", json=listing, headers=headers | accepts)).json()

    assert "was revoked" in after["error"]["message"]
    assert asked["ok"] is None
    assert statuses[("/mcp", False)] == statuses[("/v1/approvals", True)] == 401
    assert statuses[("/v1/approvals", False)] == 200
    assert statuses[("/mcp", True)] not in {401, 403}
    assert (metadata["resource"], metadata["authorization_servers"]) == (RESOURCE, [f"{ISSUER}/"])
    assert "resource_metadata" in bare.headers["www-authenticate"]


async def test_in_development_a_header_says_it_and_other_names_are_refused(graph: WorkflowGraph) -> None:
    with listening(service(graph, development=Development((Principal("kim"), Principal("lee"))), mcp=True)) as url:
        async with client_of(url, **{"X-Interlock-As": "lee"}) as client:
            asked = await refunded(client)
        async with httpx2.AsyncClient(base_url=url) as http:
            rebound = await http.post("/mcp", json={}, headers={"Host": "evil.example"})

    assert graph.instances.get(asked["workflowId"]).served == "lee"
    assert rebound.status_code == 421


async def test_below_another_applications_path(graph: WorkflowGraph) -> None:
    made = service(graph, principal=by_header, mcp=True)
    with listening(Starlette(routes=[Mount("/desk", app=made)])) as url:
        async with client_of(f"{url}/desk", **{"x-test-user": "kim"}) as client:
            tools = [one.name for one in (await client.list_tools()).tools]
        async with httpx2.AsyncClient() as http:
            sse = await http.get(f"{url}/desk/mcp", headers={"x-test-user": "kim", "Accept": "text/event-stream"})

    assert "order_refund" in tools
    assert sse.status_code == 405


async def test_without_the_option_there_is_no_mcp_endpoint(graph: WorkflowGraph) -> None:
    with listening(service(graph, principal=by_header)) as url:
        async with httpx2.AsyncClient() as http:
            assert (await http.post(f"{url}/mcp", json={}, headers={"x-test-user": "kim"})).status_code == 404


def test_settings_that_would_let_an_assistant_decide_are_refused(graph: WorkflowGraph, tmp_path: Path) -> None:
    known = tokens(tmp_path)
    for options, told in (
        ({"tokens": known, "mcp": True}, "an assistant could decide"),
        ({"principal": by_header, "mcp": RESOURCE}, "an assistant could decide"),
        ({"tokens": known, "mcp": API}, "not a URL for the tokens"),
        ({"tokens": known, "mcp": "https://desk.example/other"}, "not a URL for the tokens"),
    ):
        with pytest.raises(InputError, match=told):
            service(graph, **options)


def test_several_workflows_stand_side_by_side_under_names_that_clients_take(graph: WorkflowGraph) -> None:
    @command("stock.count", effect="transactional")
    def count() -> str:
        """Count."""
        return "7"

    def of(name: str) -> WorkflowGraph:
        return Workflow(name).add_state("open").add_edge("open", count, "open").compile()

    assert named({"desk": graph}) is graph
    made = named({one: of(one) for one in ("retail-desk", "a" * 40)})
    assert isinstance(made, dict)
    assert [*made] == ["retail_desk", "a" * 24]
    with pytest.raises(InputError, match="begin with a_b__"):
        named({one: of(one) for one in ("a-b", "a_b")})
