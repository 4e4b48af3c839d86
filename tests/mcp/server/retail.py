"""The retail desk as a client meets it: the demo's customers and what a hostile model tries, through a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from interlock import SQLCheckpointer, WorkflowGraph
from interlock.cli.demo.cases import CASES, Case
from interlock.testing import Call
from interlock.workflows.retail import open_shop, retail_workflow
from tests.mcp.server.support import body

Decide = Callable[[str], Awaitable[None]]
"""Says yes to a proposal, as the person who is asked."""


def opened(place: Path | str) -> tuple[WorkflowGraph, str]:
    """The desk over the sample shop in a database, and the URL of that."""
    url = place if isinstance(place, str) else f"sqlite:///{place / 'desk.db'}"
    graph = retail_workflow().compile(SQLCheckpointer(url))
    open_shop(graph.engine.store)
    return graph, url


@dataclass
class Conversation:
    """A client at the desk, with one instance."""

    client: Client
    decide: Decide | None = None
    workflow_id: str = ""
    revision: int = 0
    takes: dict[str, set[str]] = field(default_factory=dict)
    """The arguments of each tool."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """What each call was answered with; of a protocol error, its data."""

    async def begin(self, key: str | None = None) -> Conversation:
        """Start an instance."""
        started = body(await self.client.call_tool("workflow_start", {} if key is None else {"idempotencyKey": key}))
        self.workflow_id, self.revision = started["workflowId"], started["revision"]
        return self

    async def calls(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool at the revision of the last result; where a person must decide, ask them and go on after."""
        if not self.takes:
            listed = (await self.client.list_tools()).tools
            self.takes = {one.name: set(one.input_schema["properties"]) for one in listed}
        name = tool.replace(".", "_")
        given = {"workflowId": self.workflow_id, **arguments}
        if "expectedRevision" in self.takes.get(name, {"expectedRevision"}):
            given.setdefault("expectedRevision", self.revision)
        try:
            result = body(await self.client.call_tool(name, given))
        except MCPError as error:
            result = dict(error.data)
        if result["ok"] is None and self.decide is not None:
            proposal = result["pending"]["proposalId"]
            await self.decide(proposal)
            result = body(await self.client.call_tool("workflow_proposal", {"proposalId": proposal}))
        self.results.append(result)
        self.revision = result.get("revision", self.revision)
        return result

    @property
    def codes(self) -> list[str | None]:
        """The code of each error, and None for what was carried out."""
        return [(one.get("error") or {}).get("code") for one in self.results]


async def play(case: Case, conversation: Conversation) -> list[str | None]:
    """Make all calls of a demo case, one after another, whatever is answered.

    Returns:
        The code of each error, and None for what was carried out.
    """
    for turn in case.turns:
        for step in turn.steps:
            if isinstance(step, Call):
                await conversation.calls(step.name, **step.arguments)
    return conversation.codes


CAME_TO: dict[str, list[str | None]] = {
    "cancel": [None, None, None],
    "hostile": [
        "tool_not_allowed", None, "check_failed", "check_failed", "invalid_arguments", "tool_not_allowed", "unknown_tool",
    ],
    "exchange": [None, None, None, None, "check_failed"],
    "hand-over": [None, None],
}  # fmt: skip
"""What each call of the demo's cases comes to."""
BY_KEY = {case.key: case for case in CASES}

__all__ = ["BY_KEY", "CAME_TO", "Conversation", "opened", "play"]
