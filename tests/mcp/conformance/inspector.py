"""The Inspector's command line against served workflows: the demo's cases, and what a hostile client tries, over both transports and in both eras."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock import WorkflowGraph
from interlock.cli.demo.cases import CASES, Case
from interlock.mcp.server.identity import ClaimNames
from interlock.mcp.server.workflow_server import WorkflowServer
from interlock.testing import Call
from tests.mcp.conformance.installing import MODULES
from tests.mcp.server.retail import CAME_TO, opened
from tests.mcp.server.support import ISSUER, RESOURCE, listening, token, verifier

ERAS = ("legacy", "modern")
TRANSPORTS = ("http", "stdio")


@dataclass(frozen=True)
class Inspector:
    """The Inspector as one person's client: each request is a process of its own."""

    env: dict[str, str]
    era: str
    options: list[str]
    """How the server is reached."""
    target: list[str]
    """What is reached."""

    def ask(self, method: str, *options: str) -> Any:
        """Send one request.

        Returns:
            The result; of a protocol error, what was printed.
        """
        program = str(MODULES / ".bin" / "mcp-inspector")
        asked = ["--protocol-era", self.era, "--connect-timeout", "60000", "--quiet", "--method", method, *options]
        command = ["node", program, "--cli", *self.options, *asked, *self.target]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=180, check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout + done.stderr

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool.

        Returns:
            The structured content; where there is none, an error with what was said.
        """
        said = self.ask("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        if isinstance(said, dict) and isinstance(said.get("structuredContent"), dict):
            found: dict[str, Any] = said["structuredContent"]
            return found
        # It looks for the tool in the list itself before it calls it.
        is_unknown = any(one in str(said) for one in ("Unknown tool", "tool_not_found", "not found"))
        return {"ok": False, "error": {"code": "unknown_tool" if is_unknown else str(said)[-300:]}}


def code_of(result: Mapping[str, Any]) -> str | None:
    """The code of an error; None for what was carried out."""
    found: str | None = (result.get("error") or {}).get("code")
    return found


class Asked:
    """A call that a person may have to decide on.

    In the newer era the Inspector takes tasks: its command waits until the task is over. In the older one it is told that it waits.
    """

    def __init__(self, inspector: Inspector, graph: WorkflowGraph, tool: str, arguments: Mapping[str, Any]) -> None:
        self._inspector = inspector
        self._call = _pool.submit(inspector.call, tool, arguments)
        self.proposal: str | None = None
        """What waits; None where nothing does."""
        is_over = False
        while self.proposal is None and not is_over:
            is_over = self._call.done()  # before the look: what an answer says that waits is there to be seen
            waiting = graph.instances.approvals().approvals
            self.proposal = next(
                (one.approval_id for one in waiting if one.workflow_id == arguments["workflowId"]), None
            )
            time.sleep(0.1)  # it plays a person, who looks now and then

    def result(self) -> dict[str, Any]:
        """What the call came to, after the decision."""
        said = self._call.result()
        if said["ok"] is None:
            return self._inspector.call("workflow_proposal", {"proposalId": said["pending"]["proposalId"]})
        return said


_pool = ThreadPoolExecutor()


def play(case: Case, inspector: Inspector, graph: WorkflowGraph) -> list[str | None]:
    """Make the calls of a case, with the customer's yes where they are asked."""
    started = inspector.call("workflow_start", {})
    revision, codes = started["revision"], []
    takes = {one["name"]: one["inputSchema"]["properties"] for one in inspector.ask("tools/list")["tools"]}
    for step in (step for turn in case.turns for step in turn.steps if isinstance(step, Call)):
        name = step.name.replace(".", "_")
        given: dict[str, Any] = {"workflowId": started["workflowId"], **step.arguments}
        if "expectedRevision" in takes.get(name, {"expectedRevision": {}}):
            given["expectedRevision"] = revision
        asked = Asked(inspector, graph, name, given)
        if asked.proposal is not None:
            graph.instances.decide(asked.proposal, "approve", by=case.principal)
        said = asked.result()
        revision = said.get("revision", revision)
        codes.append(code_of(said))
    return codes


Person = Callable[..., Inspector]
"""Gives the client of somebody: their name, and `roles=` and `tenant=`."""


@contextlib.contextmanager
def over_http(env: dict[str, str], era: str, graph: WorkflowGraph) -> Iterator[Person]:
    """Clients of a server over HTTP, each with a token of their own."""
    app = WorkflowServer(graph, principal=ClaimNames()).http_app(tokens=verifier(), issuer=ISSUER, resource=RESOURCE)
    with listening(app) as url:
        yield lambda who, **claims: reached(env, era, f"{url}/mcp", token(who, **claims))


def reached(env: dict[str, str], era: str, url: str, bearer: str) -> Inspector:
    """A client of a server over HTTP."""
    return Inspector(env, era, ["--transport", "http", "--header", f"Authorization: Bearer {bearer}"], ["--", url])


@contextlib.contextmanager
def over_stdio(env: dict[str, str], era: str, app: str, url: str) -> Iterator[Person]:
    """Clients of a server of their own over standard input and output, each with the environment that names them."""
    served = [sys.executable, "-m", "interlock", "mcp", "serve", "--stdio", "--app", app, "--db", url]

    def client(who: str, roles: tuple[str, ...] = (), tenant: str = "default") -> Inspector:
        said = {"INTERLOCK_AS": who, "INTERLOCK_TENANT": tenant}
        if roles:
            said["INTERLOCK_ROLES"] = ",".join(roles)
        return Inspector(
            env, era, [part for name, one in said.items() for part in ("-e", f"{name}={one}")], ["--", *served]
        )

    yield client


def demo_cases(env: dict[str, str], cases: tuple[str, ...] | None = None) -> bool:
    """Play every case over both transports and in both eras.

    Returns:
        Whether each call came to what it should.
    """
    print("\n## The Inspector's command line, on the retail desk\n", flush=True)
    print("| case | transport | era | each call came to | |\n|---|---|---|---|---|")
    is_right = True
    for case in (case for case in CASES if cases is None or case.key in cases):
        for transport in TRANSPORTS:
            for era in ERAS:
                with tempfile.TemporaryDirectory() as place:
                    graph, url = opened(Path(place))
                    way = over_http(env, era, graph) if transport == "http" else over_stdio(env, era, "retail", url)
                    with way as person:
                        codes = play(case, person(case.customer_id, roles=("customer",)), graph)
                    graph.engine.store.close()
                held = codes == CAME_TO[case.key]
                is_right = is_right and held
                told = ", ".join(str(code or "done") for code in codes)
                print(
                    f"| {case.key} | {transport} | {era} | {told} | {'as it should' if held else 'WRONG'} |", flush=True
                )
    return is_right


__all__ = [
    "ERAS",
    "TRANSPORTS",
    "Asked",
    "Inspector",
    "Person",
    "code_of",
    "demo_cases",
    "over_http",
    "over_stdio",
    "reached",
]
