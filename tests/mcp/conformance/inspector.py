"""The Inspector's command line against the retail desk: the demo's cases over HTTP and standard input and output."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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


@dataclass
class Inspector:
    """The Inspector, and the server that it talks to."""

    env: dict[str, str]
    options: list[str]
    """How the server is reached."""
    target: list[str]
    """What is reached."""

    def ask(self, method: str, *options: str) -> Any:
        """Send one request, as a process of its own.

        Returns:
            The result; of a protocol error, what was printed.
        """
        program = str(MODULES / ".bin" / "mcp-inspector")
        command = ["node", program, "--cli", *self.options, "--method", method, *options, *self.target]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120, check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout + done.stderr

    def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        """Call a tool."""
        pairs = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in arguments.items()
        ]
        return self.ask("tools/call", "--tool-name", tool, *(["--tool-arg", *pairs] if pairs else []))


def play(case: Case, inspector: Inspector, graph: WorkflowGraph) -> list[str | None]:
    """Make the calls of a case, with the customer's yes where they are asked."""
    started = inspector.call("workflow_start", {})["structuredContent"]
    revision, codes = started["revision"], []
    takes = {one["name"]: one["inputSchema"]["properties"] for one in inspector.ask("tools/list")["tools"]}
    for step in (step for turn in case.turns for step in turn.steps if isinstance(step, Call)):
        name = step.name.replace(".", "_")
        given: dict[str, Any] = {"workflowId": started["workflowId"], **step.arguments}
        if "expectedRevision" in takes.get(name, {"expectedRevision": {}}):
            given["expectedRevision"] = revision
        result = inspector.call(name, given)
        if isinstance(result, str) or "structuredContent" not in result:
            is_unknown = any(
                said in str(result) for said in ("Unknown tool", "tool_not_found")
            )  # it looks at the list itself
            codes.append("unknown_tool" if is_unknown else str(result)[-300:])
            continue
        said = result["structuredContent"]
        if said["ok"] is None:
            graph.instances.decide(said["pending"]["proposalId"], "approve", by=case.principal)
            said = inspector.call("workflow_proposal", {"proposalId": said["pending"]["proposalId"]})[
                "structuredContent"
            ]
        revision = said.get("revision", revision)
        codes.append((said.get("error") or {}).get("code"))
    return codes


@contextmanager
def over_http(case: Case, graph: WorkflowGraph) -> Iterator[tuple[list[str], list[str]]]:
    """The desk over HTTP, for the case's customer."""
    app = WorkflowServer(graph, principal=ClaimNames()).http_app(tokens=verifier(), issuer=ISSUER, resource=RESOURCE)
    with listening(app) as url:
        bearer = token(case.customer_id, roles=["customer"])
        yield ["--transport", "http", "--header", f"Authorization: Bearer {bearer}"], ["--", f"{url}/mcp"]


def over_stdio(case: Case, url: str) -> tuple[list[str], list[str]]:
    """The desk over standard input and output, for the case's customer."""
    served = [sys.executable, "-m", "interlock", "mcp", "serve", "--stdio", "--app", "retail", "--db", url]
    return ["-e", f"INTERLOCK_AS={case.customer_id}", "-e", "INTERLOCK_ROLES=customer"], ["--", *served]


def run(env: dict[str, str]) -> int:
    """Play every case over HTTP, and one over standard input and output, where each request starts the server anew."""
    print(
        "\n## The Inspector's command line, on the retail desk\n\n| case | transport | each call came to | |\n|---|---|---|---|"
    )
    failed = False
    for case in CASES:
        for transport in ("http", "stdio") if case.key == "cancel" else ("http",):
            with tempfile.TemporaryDirectory() as place:
                graph, url = opened(Path(place))
                if transport == "http":
                    with over_http(case, graph) as reached:
                        codes = play(case, Inspector(env, *reached), graph)
                else:
                    codes = play(case, Inspector(env, *over_stdio(case, url)), graph)
                graph.engine.store.close()
            is_right = codes == CAME_TO[case.key]
            failed = failed or not is_right
            told = ", ".join(str(code or "done") for code in codes)
            print(f"| {case.key} | {transport} | {told} | {'as it should' if is_right else 'WRONG'} |", flush=True)
    return int(failed)


__all__ = ["run"]
