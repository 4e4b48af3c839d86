"""Every way into an instance through the MCP servers, as data; `test_mcp_servers.py` walks over them, and finds what is not listed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mcp.client.client import Client
from mcp_types import PromptReference

from tests.mcp.server import task_client
from tests.security.entry_points import THREAD, Place

Ask = Callable[[Client, Place], Awaitable[Any]]


@dataclass(frozen=True)
class Way:
    """One way in: of a tool by its name, of anything else by its method, with what it is about."""

    name: str
    ask: Ask
    about: str = ""
    is_a_list: bool = False
    """Whether it gives what concerns whoever asks, and is empty for all others instead of an error."""


def workflow_id(place: Place) -> str:
    return place.graph.instances.id_of(THREAD)


def uri(place: Place, kind: str) -> str:
    return f"interlock://workflows/desk/instances/{workflow_id(place)}/{kind}"


def task(method: str, **more: Any) -> Ask:
    async def ask(client: Client, place: Place) -> Any:
        return await task_client.ask(client, method, place.approval_id, **more)

    return ask


def tool(name: str, arguments: Callable[[Place], dict[str, Any]]) -> Ask:
    async def ask(client: Client, place: Place) -> Any:
        return await client.call_tool(name, arguments(place))

    return ask


async def _completed(client: Client, place: Place) -> Any:
    found = await client.complete(PromptReference(name="workflow_state"), {"name": "workflowId", "value": ""})
    return [one for one in found.completion.values if one == workflow_id(place)]


PROPOSERS: tuple[Way, ...] = (
    Way(
        "order_refund",
        tool("order_refund", lambda p: {"workflowId": workflow_id(p), "expectedRevision": 0, "orderId": "W-78"}),
    ),
    Way("a tool that is not there", tool("order_delete", lambda p: {"workflowId": workflow_id(p)})),
    Way("workflow_status", tool("workflow_status", lambda p: {"workflowId": workflow_id(p)})),
    Way("workflow_proposal", tool("workflow_proposal", lambda p: {"proposalId": p.approval_id})),
    Way("workflow_withdraw", tool("workflow_withdraw", lambda p: {"proposalId": p.approval_id})),
    *(
        Way("resources/read", lambda c, p, kind=kind: c.read_resource(uri(p, kind)), kind)
        for kind in ("snapshot", "audit", "picture")
    ),
    Way("prompts/get", lambda c, p: c.get_prompt("workflow_state", {"workflowId": workflow_id(p)})),
    Way("completion/complete", _completed, is_a_list=True),
    Way("tasks/get", task("tasks/get")),
    Way("tasks/update", task("tasks/update", input_responses={"a": {"action": "accept"}})),
    Way("tasks/cancel", task("tasks/cancel")),
)
"""Of the server of workflows."""
APPROVERS: tuple[Way, ...] = (
    Way("approvals_list", tool("approvals_list", lambda p: {}), is_a_list=True),
    Way("approval_show", tool("approval_show", lambda p: {"approvalId": p.approval_id})),
    Way(
        "approval_decide",
        tool("approval_decide", lambda p: {"approvalId": p.approval_id, "shownDigest": "x", "decision": "approve"}),
    ),
)
"""Of the approvers' server."""
ABOUT_NO_INSTANCE = {
    "workflow_start": "starts an instance of whoever calls; one under somebody else's key is another one (tests/mcp/server/test_calls.py)",
    "ping": "answers",
    "server/discover": "the server's name and capabilities",
    "tools/list": "the same for everybody (tests/mcp/server/test_listing.py)",
    "resources/list": "the same for everybody",
    "resources/templates/list": "the same for everybody",
    "prompts/list": "the same for everybody",
    "tools/call": "by the tool, as listed above",
}
"""What is about no instance, and why."""
