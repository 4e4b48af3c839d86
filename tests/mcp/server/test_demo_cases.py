"""The demo's four customers, served through MCP: over HTTP and over standard input and output, in both eras of the protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock import WorkflowGraph
from interlock.mcp.server.approval_server import ApprovalServer
from interlock.mcp.server.identity import ClaimNames
from interlock.mcp.server.workflow_server import WorkflowServer
from tests.mcp.server.retail import BY_KEY, CAME_TO, Conversation, opened, play
from tests.mcp.server.support import ERAS, ISSUER, RESOURCE, body, listening, over_http, over_stdio, token, verifier

FULL = bool(os.environ.get("INTERLOCK_FULL"))
APPROVALS = "http://127.0.0.1/approvals"
STDIO = [("legacy", "exchange"), ("auto", "hostile")]
"""What is played over standard input and output, where each customer takes a process: all of them with INTERLOCK_FULL."""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[WorkflowGraph, str]]:
    graph, url = opened(tmp_path)
    yield graph, url
    graph.engine.store.close()


def came_to(graph: WorkflowGraph, conversation: Conversation) -> Any:
    """What the record says, beside what the client was told."""
    trail = graph.instances.audit(conversation.workflow_id)
    assert graph.engine.store.verify(conversation.workflow_id) == []
    assert {one.principal_id for one in trail if one.kind.value == "denial"} <= {trail[0].principal_id}
    return [one.code for one in trail if one.kind.value in {"denial", "refusal"}]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("key", sorted(BY_KEY))
async def test_over_http_with_the_customers_yes_from_an_assistant_of_their_own(
    desk: tuple[WorkflowGraph, str], key: str, era: str
) -> None:
    graph, _ = desk
    case = BY_KEY[key]
    proposing = WorkflowServer(graph, principal=ClaimNames()).http_app(
        tokens=verifier(), issuer=ISSUER, resource=RESOURCE
    )
    tokens = verifier(APPROVALS)
    deciding = ApprovalServer(graph, tokens=tokens).http_app(tokens=tokens, issuer=ISSUER, resource=APPROVALS)
    with listening(proposing) as url, listening(deciding) as approvals:
        async with (
            over_http(f"{url}/mcp", era=era, bearer=token(case.customer_id, roles=["customer"])) as client,
            over_http(f"{approvals}/mcp", era=era, bearer=token(case.customer_id, aud=APPROVALS)) as own,
        ):

            async def decide(proposal: str) -> None:
                shown = body(await own.call_tool("approval_show", {"approvalId": proposal}))
                decision = {"approvalId": proposal, "shownDigest": shown["shownDigest"], "decision": "approve"}
                taken = body(await own.call_tool("approval_decide", decision))
                assert taken["status"] == "approved"

            conversation = await Conversation(client, decide).begin()
            codes = await play(case, conversation)

    assert codes == CAME_TO[key]
    assert came_to(graph, conversation) == [code for code in codes if code]


@pytest.mark.parametrize(("era", "key"), [(era, key) for era in ERAS for key in sorted(BY_KEY)] if FULL else STDIO)
async def test_over_standard_input_and_output_as_the_environment_says(
    desk: tuple[WorkflowGraph, str], key: str, era: str
) -> None:
    graph, url = desk
    case = BY_KEY[key]

    async def decide(proposal: str) -> None:
        graph.instances.decide(proposal, "approve", by=case.principal)

    environment = {"INTERLOCK_AS": case.customer_id, "INTERLOCK_ROLES": "customer"}
    async with over_stdio("serve", "--app", "retail", "--db", url, "--stdio", era=era, env=environment) as client:
        conversation = await Conversation(client, decide).begin()
        codes = await play(case, conversation)

    assert codes == CAME_TO[key]
    assert came_to(graph, conversation) == [code for code in codes if code]
