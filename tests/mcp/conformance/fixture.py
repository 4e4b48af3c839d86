"""The workflow that the protocol's conformance suite is let loose on: every tool that it asks for and that a workflow can have.

The tools are reads, which a client may call without a revision, on one instance that the server is pinned to. Those that the suite
wants as tasks ask for an approval; `Approver` gives it after as many seconds as the call says, in the place of a person.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from langgraph.config import get_stream_writer
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from interlock import Limits, Principal, Workflow, WorkflowGraph, contract_from_schema, read
from interlock.checkpointing.store import ApprovalRequest
from interlock.mcp.server.limits import ServerLimits
from interlock.mcp.server.material import ServedPrompt, ServedResource
from interlock.mcp.server.tasks import EXTENSION
from interlock.mcp.server.workflow_server import WorkflowServer
from interlock.tools.errors import InterlockError, Refused

CLIENT, APPROVER = Principal("conformance"), Principal("approver", roles={"approver"})
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA="


@read("test_simple_text")
def simple_text() -> str:
    """Give a text."""
    return "This is a simple text response for testing."


@read("test_image_content")
def image() -> list[dict[str, Any]]:
    """Give an image."""
    return [{"type": "image", "base64": PIXEL, "mime_type": "image/png"}]


@read("test_audio_content")
def audio() -> list[dict[str, Any]]:
    """Give a sound."""
    return [{"type": "audio", "base64": SILENCE, "mime_type": "audio/wav"}]


@read("test_embedded_resource")
def embedded() -> list[dict[str, Any]]:
    """Give a resource."""
    resource = {
        "uri": "test://embedded-resource",
        "mimeType": "text/plain",
        "text": "This is an embedded resource content.",
    }
    return [{"type": "resource", "resource": resource}]


@read("test_multiple_content_types")
def mixed() -> list[dict[str, Any]]:
    """Give a text, an image and a resource."""
    resource = {"uri": "test://mixed", "mimeType": "application/json", "text": '{"test":"data","value":123}'}
    return [
        {"type": "text", "text": "Multiple content types test:"},
        {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
        {"type": "resource", "resource": resource},
    ]


@read("test_error_handling")
def error() -> str:
    """Refuse."""
    raise Refused("This tool intentionally returns an error for testing")


@read("test_logging_tool")
def logging_tool() -> str:
    """Log nothing: the server never sends a client what it logs."""
    return "done"


@read("test_streaming_elicitation")
def streaming_elicitation() -> str:
    """Ask for nothing: the server never sends a client requests of its own."""
    return "done"


@read("test_tool_with_progress")
async def with_progress() -> str:
    """Tell of its progress."""
    for done in (0, 50, 100):
        get_stream_writer()({"progress": done, "total": 100})
        await asyncio.sleep(0.05)
    return "done"


@read("greet", answers="plain")
def greet(name: str = "World") -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


@read("slow_compute")
def slow_compute(seconds: float = 0, label: str = "") -> str:
    """Compute, once somebody agreed."""
    return f"computed {label} after {seconds} s"


@read("failing_job")
def failing_job() -> str:
    """Fail, once somebody agreed."""
    raise Refused("The job failed")


@read("confirm_delete")
def confirm_delete(filename: str = "") -> str:
    """Delete a file, once somebody agreed: a person, and never the client that asks."""
    return f"deleted {filename}"


@read("protocol_error_job")
def protocol_error_job() -> str:
    """Be a tool that the workflow's next release does not have."""
    return "done"


@read("test_missing_capability")
def needs_sampling() -> str:
    """Be there for clients alone that sample."""
    return "done"


SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "address", "type": "object", "properties": {"street": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}
json_schema_tool = contract_from_schema(
    "json_schema_2020_12_tool",
    SCHEMA_2020_12,
    lambda **given: given,
    kind="read",
    effect="idempotent",
    description="Take it.",
)


RESOURCES = (
    ServedResource(
        "test://static-text", lambda by, values: "This is the content of the static text resource.", "static-text"
    ),
    ServedResource(
        "test://static-binary", lambda by, values: base64.b64decode(PIXEL), "static-binary", mime_type="image/png"
    ),
    ServedResource(
        "test://template/{id}/data",
        lambda by, values: json.dumps({**values, "templateTest": True, "data": f"Data for ID: {values['id']}"}),
        "template",
        mime_type="application/json",
    ),
)
PROMPTS = (
    ServedPrompt("test_simple_prompt", lambda by, given: "This is a simple prompt for testing.", "A text."),
    ServedPrompt(
        "test_prompt_with_arguments",
        lambda by, given: f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'",
        "A text with arguments.",
        arguments={"arg1": "The first.", "arg2": "The second."},
    ),
    ServedPrompt(
        "test_prompt_with_embedded_resource",
        lambda by, given: [
            {
                "type": "resource",
                "resource": {"uri": given["resourceUri"], "mimeType": "text/plain", "text": "Embedded content."},
            },
            "Please process the embedded resource above.",
        ],
        "A resource and a text.",
        arguments={"resourceUri": "What to embed."},
    ),
    ServedPrompt(
        "test_prompt_with_image",
        lambda by, given: [
            {"type": "image", "data": PIXEL, "mimeType": "image/png"},
            "Please analyze the image above.",
        ],
        "An image and a text.",
    ),
)
REQUIRES: dict[str, dict[str, Any]] = {
    "test_missing_capability": {"sampling": {}},
    "failing_job": {"extensions": {EXTENSION: {}}},
}


by_region = contract_from_schema(
    "by_region",
    {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "query": {"type": "string"}},
        "required": ["region"],
        "additionalProperties": False,
    },
    lambda **given: given,
    kind="read",
    effect="idempotent",
    description="Have an argument that proxies read in a header.",
)


def workflow(*, is_next: bool = False) -> Workflow:
    """The workflow: one state, in which everything may be called; in its next release, all but one tool."""
    release: dict[str, Any] = {"version": 2, "state_mapping": {"open": "open"}} if is_next else {}
    # The suite is denied more often than any client should be.
    flow = Workflow("conformance", limits=Limits(denials=1_000_000), **release)
    calm = [
        simple_text,
        image,
        audio,
        embedded,
        mixed,
        error,
        greet,
        logging_tool,
        with_progress,
        streaming_elicitation,
        json_schema_tool,
        by_region,
        needs_sampling,
    ]
    flow.add_state("open", prompt="This is a simple prompt for testing.", tools=calm)
    asked = [slow_compute, failing_job, confirm_delete]
    for tool in asked if is_next else [*asked, protocol_error_job]:
        flow.add_edge("open", tool, "open", approval=True)
    return flow


class Releases:
    """Two releases behind one address: the next one goes out once a call was granted whose tool it does not have."""

    def __init__(self, current: ASGIApp, following: ASGIApp) -> None:
        self._serves, self._following = current, following

    def go_on(self) -> None:
        """Let the next release serve from now on."""
        self._serves = self._following

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serves(scope, receive, send)


class Approver:
    """Agrees to whatever waits, in the place of a person: after as many seconds as the call says."""

    def __init__(self, graph: WorkflowGraph, releases: Releases) -> None:
        self._graph = graph
        self._releases = releases
        self._agreeing: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look again and again."""
        while True:
            page = await asyncio.to_thread(self._graph.instances.approvals)
            for one in page.approvals:
                if one.approval_id not in self._agreeing:
                    seconds = float(str(one.arguments.get("seconds", 1)))
                    self._agreeing[one.approval_id] = asyncio.create_task(self._agree(one, seconds))
            await asyncio.sleep(0.1)  # it plays a person, who looks now and then

    async def _agree(self, asked: ApprovalRequest, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if asked.tool == protocol_error_job.name:
            self._releases.go_on()
        with contextlib.suppress(InterlockError):  # it was withdrawn
            await self._graph.instances.adecide(asked.approval_id, "approve", by=APPROVER)


def app() -> Starlette:
    """The fixture as an ASGI application, on `/mcp`."""
    graph = workflow().compile()
    following = workflow(is_next=True).compile(workflow_store=graph.engine.store)
    workflow_id = graph.instances.start(principal=CLIENT).workflow_id
    limits = ServerLimits(requests_per_minute=1_000_000, denials_per_minute=1_000_000)
    servers = [
        WorkflowServer(
            one,
            principal=CLIENT,
            workflow_id=workflow_id,
            limits=limits,
            resources=RESOURCES,
            prompts=PROMPTS,
            requires=REQUIRES,
        )
        for one in (graph, following)
    ]
    releases = Releases(*(one.http_app() for one in servers))

    @contextlib.asynccontextmanager
    async def lifespan(outer: Any) -> AsyncIterator[None]:
        approving = asyncio.create_task(Approver(graph, releases).run())
        async with servers[0].lifespan(outer), servers[1].lifespan(outer):
            yield
        approving.cancel()

    return Starlette(routes=[Mount("/", app=releases)], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
