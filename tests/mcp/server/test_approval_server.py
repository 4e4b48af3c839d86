"""The approvers' own server: people with tokens of their own list, look and decide, and a proposer's assistant does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from typer.testing import CliRunner

from interlock import Budget, Principal, SQLCheckpointer, Workflow, WorkflowGraph, command
from interlock.cli import app
from interlock.mcp.server.approval_server import ApprovalServer
from interlock.testing import ScriptedChatModel
from tests.mcp.server.support import (
    ERAS,
    ISSUER,
    RESOURCE,
    body,
    listening,
    over_http,
    over_stdio,
    public_pem,
    token,
    verifier,
)  # fmt: skip

ADA = Principal("ada")
APPROVALS = "http://127.0.0.1/approvals"


@pytest.fixture
def url(graph: WorkflowGraph) -> Iterator[str]:
    tokens = verifier(APPROVALS)
    server = ApprovalServer(graph, tokens=tokens)
    with listening(server.http_app(tokens=tokens, issuer=ISSUER, resource=APPROVALS)) as found:
        yield f"{found}/mcp"


def supervisor(who: str = "sue", **claims: Any) -> str:
    return token(who, roles=["supervisor"], **{"aud": APPROVALS, **claims})


def proposed(graph: WorkflowGraph) -> tuple[str, str]:
    """An instance with a reassignment that waits for a supervisor."""
    instances = graph.instances
    workflow_id = instances.start(principal=ADA).workflow_id
    instances.propose(workflow_id, "case.assign", {"caseId": "77", "queueId": "billing"}, principal=ADA, revision=0)
    waiting = instances.propose(workflow_id, "queue.reassign", {"queueId": "delivery"}, principal=ADA, revision=1)
    return workflow_id, waiting.pending.proposal_id  # type: ignore[union-attr]


async def shown(client: Any, approval_id: str) -> dict[str, Any]:
    return body(await client.call_tool("approval_show", {"approvalId": approval_id}))


async def decided(
    client: Any, approval_id: str, decision: str, digest: str | None = None, **more: Any
) -> dict[str, Any]:
    seen = digest or (await shown(client, approval_id)).get("shownDigest", "sha256:none")
    given = {"approvalId": approval_id, "shownDigest": seen, "decision": decision, **more}
    return body(await client.call_tool("approval_decide", given))


@pytest.mark.parametrize("era", ERAS)
async def test_a_supervisor_lists_looks_and_decides_and_the_proposal_is_carried_out(
    graph: WorkflowGraph, url: str, era: str
) -> None:
    workflow_id, approval_id = proposed(graph)
    async with over_http(url, era=era, bearer=supervisor()) as client:
        tools = [one.name for one in (await client.list_tools()).tools]
        listed = body(await client.call_tool("approvals_list", {}))["approvals"]
        seen = await shown(client, approval_id)
        taken = await decided(client, approval_id, "approve")

    assert tools == ["approvals_list", "approval_show", "approval_decide"]
    assert [one["approvalId"] for one in listed] == [approval_id]
    assert (seen["arguments"], seen["requestedBy"]) == ({"queueId": "delivery"}, "ada")
    assert seen["preview"]["customer"] == "Ines Moreau"
    assert taken == {"ok": True, "approvalId": approval_id, "status": "approved"}
    assert graph.instances.proposal(approval_id, by=ADA).ok is True
    decisions = [one.principal_id for one in graph.instances.audit(workflow_id) if one.kind.value == "decision"]
    assert decisions == ["sue"]


METERED = Budget(tokens=20, reserve=10, raised_by="controller", name="case")


@command("desk.close", effect="transactional")
def close() -> str:
    """Close the desk."""
    return "closed"


def metered(tmp_path: Path) -> WorkflowGraph:
    """A desk whose model has used up a budget."""
    flow = Workflow("desk", model=ScriptedChatModel(forever="Hello."))
    flow.add_state("open").add_state("closed", final=True)
    flow.add_edge("open", close, "closed")
    flow.budgets(METERED)
    graph = flow.compile(SQLCheckpointer(f"sqlite:///{tmp_path / 'desk.db'}"))
    for _ in range(3):
        graph.invoke({"messages": [("user", "hi")]}, {"configurable": {"thread_id": "t-1"}}, context=ADA)
    return graph


async def test_a_budget_is_shown_and_raised_once_for_what_was_shown(graph: WorkflowGraph, tmp_path: Path) -> None:
    desk, tokens = metered(tmp_path), verifier(APPROVALS)
    case = desk.instances.id_of({"configurable": {"thread_id": "t-1"}})
    server = ApprovalServer({"desk": desk, "cases": graph}, tokens=tokens)
    app = server.http_app(tokens=tokens, issuer=ISSUER, resource=APPROVALS)
    given = {"workflowId": case, "budget": "case", "more": "10", "reason": "A long case."}
    with listening(app) as found:
        boss = token("mia", roles=["controller"], aud=APPROVALS)
        async with over_http(f"{found}/mcp", bearer=boss) as client:
            assert [one.name for one in (await client.list_tools()).tools][3:] == ["budgets_show", "budget_raise"]
            seen = body(await client.call_tool("budgets_show", {"workflowId": case}))
            assert (seen["budgets"][0]["isSpent"], seen["budgets"][0]["raisedBy"]) == (True, "controller")
            unseen = body(await client.call_tool("budget_raise", {**given, "shownDigest": "sha256:none"}))
            wrong = body(
                await client.call_tool("budget_raise", {**given, "shownDigest": seen["shownDigest"], "more": "9e9"})
            )
            assert [one["ok"] for one in (unseen, wrong)] == [False, False]
            assert desk.instances.budgets(case)[0].raised == "0"
            raised = body(await client.call_tool("budget_raise", {**given, "shownDigest": seen["shownDigest"]}))
            again = body(await client.call_tool("budget_raise", {**given, "shownDigest": seen["shownDigest"]}))
            unknown = body(await client.call_tool("budgets_show", {"workflowId": "wf_nobody"}))
        assert (raised["ok"], raised["left"], again["ok"], unknown["ok"]) == (True, "10", False, False)
        async with over_http(f"{found}/mcp", bearer=token("ada", roles=["controller"], aud=APPROVALS)) as own:
            mine = body(await own.call_tool("budgets_show", {"workflowId": case}))
            refused = body(await own.call_tool("budget_raise", {**given, "shownDigest": mine["shownDigest"]}))
        assert (refused["ok"], refused["error"]["code"]) == (False, "not_entitled")
        async with over_http(f"{found}/mcp", bearer=supervisor()) as stranger:
            assert body(await stranger.call_tool("budgets_show", {"workflowId": case}))["ok"] is False
    assert desk.instances.budgets(case)[0].raised == "10"
    (record,) = [one for one in desk.instances.audit(case) if one.kind.value == "budget_raised"]
    assert (record.principal_id, record.payload["reason"]) == ("mia", "A long case.")  # type: ignore[index]


async def test_an_edit_a_rejection_and_a_response_are_taken_as_said(graph: WorkflowGraph, url: str) -> None:
    async with over_http(url, bearer=supervisor()) as client:
        approval_id = proposed(graph)[1]
        rejected = await decided(client, approval_id, "reject", message="Not now.")
        no_message = await decided(client, approval_id, "respond")
        no_arguments = await decided(client, approval_id, "edit")
        nonsense = await decided(client, approval_id, "maybe")

    assert rejected["status"] == "rejected"
    assert {one["error"]["code"] for one in (no_message, no_arguments, nonsense)} == {"invalid_arguments"}
    assert "Not now." in graph.instances.proposal(approval_id, by=ADA).error.message  # type: ignore[union-attr]


async def test_who_proposed_it_does_not_approve_it(graph: WorkflowGraph, url: str) -> None:
    """With the role, a token of their own, and the digest of what is shown: it stays somebody else's decision."""
    workflow_id, approval_id = proposed(graph)
    async with over_http(url, bearer=supervisor("ada")) as own:
        refused = await decided(own, approval_id, "approve")

    assert refused["ok"] is False
    assert graph.instances.approval(approval_id)["status"] == "requested"
    assert "decision_refused" in {one.kind.value for one in graph.instances.audit(workflow_id)}


@pytest.mark.parametrize(
    ("who", "bearer"),
    {
        "somebody without the role": token("cole", aud=APPROVALS),
        "another tenant": supervisor(tenant="elsewhere"),
        "a program for itself": supervisor("robot", client_id="robot"),
        "somebody acting for her": supervisor(act={"sub": "robot"}),
    }.items(),
)
async def test_others_decide_nothing(graph: WorkflowGraph, url: str, who: str, bearer: str) -> None:
    _, approval_id = proposed(graph)
    async with over_http(url, bearer=supervisor()) as client:
        digest = (await shown(client, approval_id))["shownDigest"]
    refused: dict[str, Any] = {"ok": False}
    try:
        async with over_http(url, bearer=bearer) as client:
            refused = await decided(client, approval_id, "approve", digest)
    except* MCPError:
        pass  # not a person's token, which is told before anything is looked at: already when the session begins, or when it is used

    assert refused["ok"] is False, who
    assert graph.instances.approval(approval_id)["status"] == "requested", who


async def test_a_token_for_the_proposers_server_does_not_open_this_one(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        for given in (supervisor(aud=RESOURCE), supervisor(iss="https://elsewhere.example"), "none"):
            answer = await http.post(url, json={}, headers={"Authorization": f"Bearer {given}"})
            assert answer.status_code == 401


async def test_a_decision_counts_for_what_was_shown_and_nothing_else(graph: WorkflowGraph, url: str) -> None:
    _, one = proposed(graph)
    with graph.engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE case_cases SET queue_id = NULL")
    _, other = proposed(graph)
    async with over_http(url, bearer=supervisor()) as client:
        digest = (await shown(client, one))["shownDigest"]
        wrong = await decided(client, other, "approve", digest)
        never = await decided(client, one, "approve", "sha256:never-shown")
        claimed = await decided(client, one, "approve", digest, by="boss")

    assert {wrong["error"]["code"], never["error"]["code"]} == {"conflict"}
    assert claimed["error"]["code"] == "invalid_arguments"
    assert {graph.instances.approval(name)["status"] for name in (one, other)} == {"requested"}


async def test_over_standard_input_and_output_the_token_stands_in_the_environment(
    graph: WorkflowGraph, tmp_path: Path
) -> None:
    _, approval_id = proposed(graph)
    keys = tmp_path / "issuer.pem"
    keys.write_bytes(public_pem())
    db = f"sqlite:///{tmp_path / 'cases.db'}"
    options = ["approve", "--app", "case", "--db", db, "--stdio", "--issuer", ISSUER, "--resource", APPROVALS]
    async with over_stdio(*options, "--keys", str(keys), env={"INTERLOCK_TOKEN": supervisor()}) as client:
        taken = await decided(client, approval_id, "approve")

    assert taken["status"] == "approved"


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--stdio"], {}, "--issuer, --resource, --keys are missing"),
        (["--stdio", "--keys", "KEYS", "--issuer", ISSUER, "--resource", APPROVALS], {}, "INTERLOCK_TOKEN is not set"),
        (
            ["--stdio", "--keys", "KEYS", "--issuer", ISSUER, "--resource", APPROVALS],
            {"INTERLOCK_TOKEN": token("sue", aud=RESOURCE)},
            "does not count here",
        ),
        (["--http", "127.0.0.1:0"], {}, "--issuer, --resource, --keys are missing"),
        ([], {}, "pass --stdio, or --http"),
    ],
)
def test_without_a_credential_of_a_person_nothing_is_served(
    tmp_path: Path, options: list[str], environment: dict[str, str], said: str
) -> None:
    keys = tmp_path / "issuer.pem"
    keys.write_bytes(public_pem())
    given = [str(keys) if one == "KEYS" else one for one in options]
    done = CliRunner().invoke(app, ["mcp", "approve", "--app", "case", *given, "--db", "x.db"], env=environment)

    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert json.dumps(environment.get("INTERLOCK_TOKEN", "-")) not in done.output
