"""Two processes that serve one database: of 24 calls at once, the same or different ones, one is carried out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client.client import Client

from interlock import Principal, SQLCheckpointer, WorkflowGraph
from interlock.workflows.case import case_workflow, open_cases
from tests.mcp.server.support import ISSUER, RESOURCE, body, over_http, public_pem, token

ADA = Principal("ada")
AT_ONCE = 24


@contextlib.contextmanager
def processes(url: str, keys: Path, ports: tuple[int, ...]) -> Iterator[list[str]]:
    """`interlock mcp serve` as often as there are ports, over one database.

    Returns:
        Their URLs.
    """
    started = []
    for port in ports:
        command = [
            sys.executable, "-m", "interlock", "mcp", "serve", "--app", "case", "--db", url, "--http", f"127.0.0.1:{port}",
            "--issuer", ISSUER, "--resource", RESOURCE, "--keys", str(keys), "--requests-per-minute", "100000",
        ]  # fmt: skip
        started.append(
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"})
        )
    try:
        for process in started:
            assert process.stderr is not None
            assert any("Serving MCP at" in line for line in process.stderr)
        yield [f"http://127.0.0.1:{port}/mcp" for port in ports]
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.communicate(timeout=20)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that nothing listens on."""
    import socket

    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.bind(("127.0.0.1", 0))
    ports = tuple(one.getsockname()[1] for one in taken)
    for one in taken:
        one.close()
    return ports


@contextlib.asynccontextmanager
async def clients(urls: list[str]) -> AsyncIterator[list[Client]]:
    """Two clients of each process."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(over_http(url, bearer=token("ada"))) for url in urls for _ in range(2)]


async def at_once(clients: list[Client], tool: str, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make calls at once, over all clients in turn."""
    answers: list[dict[str, Any]] = []

    async def one(number: int, call: dict[str, Any]) -> None:
        for _ in range(40):  # what passes by itself is asked again, as its error says
            answer = body(await clients[number % len(clients)].call_tool(tool, call))
            code = (answer.get("error") or {}).get("code")
            if code not in {"in_progress", "store_unavailable"}:
                break
        answers.append(answer)

    async with anyio.create_task_group() as group:
        for number, call in enumerate(calls):
            group.start_soon(one, number, call)
    return answers


def came_to(answers: list[dict[str, Any]]) -> Counter[str]:
    """How many were carried out, were given the stored result, or met an error."""
    return Counter(
        "replayed" if one.get("replayed") else "carried out" if one["ok"] else one["error"]["code"] for one in answers
    )


def reset(graph: WorkflowGraph) -> str:
    """An instance whose case waits to be assigned."""
    with graph.engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE case_cases SET queue_id = NULL")
    return graph.instances.start(principal=ADA).workflow_id


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cases.db'}"
    return str(request.getfixturevalue("postgres_database"))


async def test_of_many_calls_at_once_over_two_processes_one_is_carried_out(url: str, tmp_path: Path) -> None:
    graph = case_workflow().compile(SQLCheckpointer(url))
    open_cases(graph.engine.store)
    keys = tmp_path / "issuer.pem"
    keys.write_bytes(public_pem())
    with processes(url, keys, free_ports(2)) as urls:
        async with clients(urls) as several:
            same_one = reset(graph)
            assign = {"workflowId": same_one, "expectedRevision": 0, "caseId": "77", "queueId": "billing"}
            same = came_to(await at_once(several, "case_assign", [assign] * AT_ONCE))
            different_ones = reset(graph)
            calls = [
                {**assign, "workflowId": different_ones, "reason": f"reason {number}"} for number in range(AT_ONCE)
            ]
            different = came_to(await at_once(several, "case_assign", calls))
            started = {
                (body(await several[0].call_tool("workflow_start", {"idempotencyKey": "k"})))["workflowId"],
                *(one["workflowId"] for one in await at_once(several, "workflow_start", [{"idempotencyKey": "k"}] * 8)),
            }

    assert same == {"carried out": 1, "replayed": AT_ONCE - 1}
    assert different == {"carried out": 1, "conflict": AT_ONCE - 1}
    assert len(started) == 1
    for workflow_id in (same_one, different_ones):
        kinds = [one.kind.value for one in graph.instances.audit(workflow_id)]
        assert kinds.count("transition") == 1, json.dumps(kinds)
        assert graph.instances.get(workflow_id).revision == 1
        assert graph.engine.store.verify(workflow_id) == []
    graph.engine.store.close()
