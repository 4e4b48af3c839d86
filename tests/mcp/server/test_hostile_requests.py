"""Requests that no honest client sends, over HTTP and in both eras: each is answered, none breaks the server, and none moves anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from interlock import Principal
from interlock.mcp import ServerLimits, WorkflowServer
from interlock.workflows.case import case_workflow, open_cases
from tests.mcp.server.support import listening

ADA = Principal("ada")
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
LIMITS = ServerLimits(requests_per_minute=10_000, denials_per_minute=10_000)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def with_queue(raw: str) -> Callable[[str], str]:
    """The assignment with something else for the queue's name, as raw JSON."""
    return lambda body: body.replace('"billing"', raw)


def put(old: str, new: str) -> Callable[[str], str]:
    return lambda body: body.replace(old, new)


BODIES: dict[str, Callable[[str], str]] = {
    "nothing": lambda body: "",
    "a list": lambda body: "[]",
    "a batch": lambda body: f"[{body}]",
    "a text": lambda body: '"x"',
    "null": lambda body: "null",
    "nested without end": with_queue(nested(50_000)),
    "nested": with_queue(nested(900)),
    "not a number": with_queue("NaN"),
    "beyond all numbers": with_queue("1e999"),
    "half a character": with_queue('"\\ud800"'),
    "a NUL": with_queue('"\\u0000"'),
    "an id that is an object": put('"id": 1', '"id": {}'),
    "no id": put('"id": 1', '"id": null'),
    "a revision of 5,000 digits": put('"expectedRevision": 0', f'"expectedRevision": {"9" * 5_000}'),
    "a revision of 300 digits": put('"expectedRevision": 0', f'"expectedRevision": {"9" * 300}'),
    "a revision that is false": put('"expectedRevision": 0', '"expectedRevision": false'),
    "a revision that is a fraction": put('"expectedRevision": 0', '"expectedRevision": 0.5'),
    "a key of half a character": put('"expectedRevision": 0', '"expectedRevision": 0, "idempotencyKey": "\\ud800"'),
    "a key without end": put('"expectedRevision": 0', f'"expectedRevision": 0, "idempotencyKey": "{"k" * 10_000}"'),
    "a bidirectional name": put('"case_assign"', '"\\u202ecase_assign"'),
    "a name that looks like one": put('"case_assign"', '"\\uff43ase_assign"'),
    "the canonical name": put('"case_assign"', '"case.assign"'),
    "an id with a quote": put('"workflowId": "', '"workflowId": "\' OR 1=1 --'),
}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "an instance above": ("resources/read", {"uri": "interlock://workflows/case/instances/../definition"}),
    "a NUL in a URI": ("resources/read", {"uri": "interlock://workflows/case/instances/%00/audit"}),
    "half a character in a URI": ("resources/read", {"uri": "interlock://workflows/case/instances/%ED%A0%80/audit"}),
    "a page that is not there": ("tools/list", {"cursor": "x" * 10_000}),
    "a completion of everything": (
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "interlock://workflows/case/instances/%"},
            "argument": {"name": "workflowId", "value": "%"},
        },
    ),
    "a progress token that is an object": ("tools/call", {"name": "case_get", "_meta": {"progressToken": {"a": 1}}}),
    "arguments that are a list": ("tools/call", {"name": "case_get", "arguments": [1]}),
}


def request(method: str, params: dict[str, Any], era: str) -> str:
    if era == MODERN:
        params = {**params, "_meta": {**META, **params.get("_meta", {})}}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def headers(body: str, era: str) -> dict[str, str]:
    """What the transport wants beside a body, as far as it can be read."""
    try:
        read = json.loads(body)
        method, params = read["method"], read["params"]
        name = params.get("name") or params.get("uri") or ""
    except (ValueError, TypeError, KeyError, RecursionError):
        method, name = "tools/call", "case_assign"
    found = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    found["MCP-Protocol-Version"] = era
    if era == MODERN:
        found["Mcp-Method"] = method
        if name:
            plain = name if name.isascii() else f"=?base64?{base64.b64encode(name.encode()).decode()}?="
            found["Mcp-Name"] = plain
    return found


@pytest.mark.parametrize("era", [MODERN, "2025-11-25"])
async def test_no_request_breaks_the_server_or_moves_an_instance(era: str) -> None:
    graph = case_workflow().compile()
    open_cases(graph.engine.store)
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    assign = {"workflowId": workflow_id, "expectedRevision": 0, "caseId": "77", "queueId": "billing"}
    call = request("tools/call", {"name": "case_assign", "arguments": assign}, era)
    bodies = {what: change(call) for what, change in BODIES.items()}
    bodies |= {what: request(method, params, era) for what, (method, params) in OTHERS.items()}
    broke = []
    with listening(WorkflowServer(graph, principal=ADA, limits=LIMITS).http_app()) as url:
        async with httpx2.AsyncClient(timeout=30) as http:
            for what, body in bodies.items():
                answer = await http.post(f"{url}/mcp", content=body.encode(), headers=headers(body, era))
                if answer.status_code >= 500 or "-32603" in answer.text or "Traceback" in answer.text:
                    broke.append((what, answer.status_code, answer.text[:300]))
                if answer.status_code == 200 and what in BODIES:
                    assert '"ok":true' not in answer.text.replace("\\", ""), what
            stands = graph.instances.get(workflow_id).revision
            last = await http.post(f"{url}/mcp", content=call.encode(), headers=headers(call, era))

    assert broke == []
    assert stands == 0
    assert '"ok":true' in last.text.replace("\\", "")
    assert graph.engine.store.verify(workflow_id) == []


@pytest.mark.parametrize("method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list"])
async def test_a_list_has_one_page_and_no_cursor_leads_into_it(method: str) -> None:
    server = WorkflowServer(case_workflow().compile(), principal=ADA)
    body = request(method, {"cursor": "2"}, MODERN)
    with listening(server.http_app()) as url:
        async with httpx2.AsyncClient() as http:
            answer = (await http.post(f"{url}/mcp", content=body, headers=headers(body, MODERN))).json()

    assert answer["error"]["code"] == -32602
    assert "Invalid cursor" in answer["error"]["message"]
