"""What comes of calls that are not as they should be: whoever makes them, whatever they send, and however often."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from interlock import Limits, Principal, SQLCheckpointer, WorkflowGraph
from interlock.mcp.server.identity import ClaimNames
from interlock.mcp.server.limits import ServerLimits
from interlock.mcp.server.workflow_server import WorkflowServer
from interlock.workflows.case import case_workflow, open_cases
from interlock.workflows.retail import open_shop, retail_workflow
from tests.mcp.server.retail import Conversation
from tests.mcp.server.support import ERAS, ISSUER, RESOURCE, body, in_memory, listening, over_http, token, verifier

TOVE, MEI = Principal("tove_marklund"), Principal("mei_castellano")
FOREIGN = Principal("tove_marklund", tenant="elsewhere")
CANCEL = {"orderId": "#W1001", "reason": "ordered by mistake"}


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[WorkflowGraph]:
    made = retail_workflow(limits=Limits(proposals=1, denials=100)).compile(
        SQLCheckpointer(f"sqlite:///{tmp_path / 'desk.db'}")
    )
    open_shop(made.engine.store)
    yield made
    made.engine.store.close()


@contextlib.asynccontextmanager
async def at_the_desk(
    graph: WorkflowGraph, by: Principal = TOVE, era: str = "auto", **options: Any
) -> AsyncIterator[Client]:
    async with in_memory(WorkflowServer(graph, principal=by, **options), era) as client:
        yield client


async def identified(client: Client) -> Conversation:
    conversation = await Conversation(client).begin()
    await conversation.calls("customer.find_by_email", email="tove.marklund@example.org")
    return conversation


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """The code that a call is refused with; nothing of an instance is told with it."""
    result = body(await client.call_tool(tool, arguments))
    assert result["ok"] is False
    return str(result["error"]["code"])


# Whose it is


@pytest.mark.parametrize("era", ERAS)
async def test_another_tenant_finds_nothing_and_leaves_no_mark(graph: WorkflowGraph, era: str) -> None:
    """Over HTTP, by their tokens: the same subject, of another tenant."""
    app = WorkflowServer(graph, principal=ClaimNames()).http_app(tokens=verifier(), issuer=ISSUER, resource=RESOURCE)
    with listening(app) as url:
        async with (
            over_http(f"{url}/mcp", era=era, bearer=token(TOVE.id)) as own,
            over_http(f"{url}/mcp", era=era, bearer=token(TOVE.id, tenant="elsewhere")) as foreign,
        ):
            conversation = await identified(own)
            pending = await conversation.calls("order.cancel", **CANCEL)
            workflow_id, proposal = conversation.workflow_id, pending["pending"]["proposalId"]
            before = graph.instances.audit(workflow_id)

            there = {
                await refused(foreign, "workflow_status", workflowId=workflow_id),
                await refused(foreign, "order_get", workflowId=workflow_id, orderId="#W1001"),
                await refused(foreign, "order_cancel", workflowId=workflow_id, expectedRevision=1, **CANCEL),
            }
            nowhere = await refused(foreign, "workflow_status", workflowId="wf_of_nobody")
            for tool in ("workflow_proposal", "workflow_withdraw"):
                assert await refused(foreign, tool, proposalId=proposal) == await refused(
                    foreign, tool, proposalId="apr_of_nobody"
                )
            for kind in ("snapshot", "audit", "picture"):
                with pytest.raises(MCPError, match="Resource not found"):
                    await foreign.read_resource(f"interlock://workflows/retail-desk/instances/{workflow_id}/{kind}")
            with pytest.raises(MCPError, match="no workflow instance"):
                await foreign.get_prompt("workflow_state", {"workflowId": workflow_id})

    assert there == {nowhere} == {"unknown_instance"}
    assert graph.instances.audit(workflow_id) == before


@pytest.mark.parametrize("era", ERAS)
async def test_somebody_else_of_the_tenant_is_refused_and_that_is_recorded(graph: WorkflowGraph, era: str) -> None:
    async with at_the_desk(graph, era=era) as own, at_the_desk(graph, MEI, era) as other:
        conversation = await identified(own)
        pending = await conversation.calls("order.cancel", **CANCEL)
        workflow_id, proposal = conversation.workflow_id, pending["pending"]["proposalId"]

        codes = [
            await refused(other, "workflow_status", workflowId=workflow_id),
            await refused(other, "order_get", workflowId=workflow_id, orderId="#W1001"),
            await refused(other, "order_cancel", workflowId=workflow_id, expectedRevision=1, **CANCEL),
            await refused(other, "workflow_proposal", proposalId=proposal),
            await refused(other, "workflow_withdraw", proposalId=proposal),
        ]
        with pytest.raises(MCPError, match="Resource not found"):
            await other.read_resource(f"interlock://workflows/retail-desk/instances/{workflow_id}/audit")
        still = body(await own.call_tool("workflow_proposal", {"proposalId": proposal}))

    assert set(codes) == {"not_entitled"}
    assert still["ok"] is None
    marks = [one for one in graph.instances.audit(workflow_id) if one.principal_id == MEI.id]
    assert len(marks) == 6
    assert {one.code for one in marks} == {"not_entitled"}


async def test_no_tool_of_the_server_decides(graph: WorkflowGraph) -> None:
    """Whatever a client calls and sends, what waits for a person goes on waiting."""
    async with at_the_desk(graph) as client:
        conversation = await identified(client)
        pending = await conversation.calls("order.cancel", **CANCEL)
        proposal = pending["pending"]["proposalId"]
        for tool in ("approval_decide", "approve", "workflow_approve", "workflow_decide", "decide"):
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool(tool, {"approvalId": proposal, "decision": "approve", "by": "manager"})
        for more in ({"decision": "approve"}, {"approve": True}, {"by": TOVE.id}, {"inputResponses": {"a": 1}}):
            assert await refused(client, "workflow_proposal", proposalId=proposal, **more) == "invalid_arguments"
        still = body(await client.call_tool("workflow_proposal", {"proposalId": proposal}))

    assert still["ok"] is None


async def test_arguments_and_meta_do_not_say_who_calls(graph: WorkflowGraph) -> None:
    async with at_the_desk(graph, MEI) as client:
        started = await Conversation(client).begin()
        meta: Any = {
            "principal": TOVE.id,
            "io.github.langgraph-interlock/principal": {"id": TOVE.id},
            "io.modelcontextprotocol/clientInfo": {"name": TOVE.id, "version": "1"},
        }
        result = body(
            await client.call_tool(
                "desk_hand_over", {"workflowId": started.workflow_id, "expectedRevision": 0, "summary": "-"}, meta=meta
            )
        )
        foreign = await refused(
            client, "desk_hand_over", workflowId=started.workflow_id, expectedRevision=1, summary="-", principal=TOVE.id
        )

    assert result["ok"] is True
    assert foreign in {"invalid_arguments", "workflow_finished", "tool_not_allowed"}
    assert {one.principal_id for one in graph.instances.audit(started.workflow_id)} == {MEI.id}


# Once, and at the revision that was looked at


@pytest.mark.parametrize("era", ERAS)
async def test_a_lost_answer_is_repeated_and_nothing_happens_twice(graph: WorkflowGraph, era: str) -> None:
    async with at_the_desk(graph, era=era) as client:
        conversation = await identified(client)
        first = await conversation.calls("order.cancel", **CANCEL)
        again = await conversation.calls("order.cancel", **CANCEL)
        assert first == again
        graph.instances.decide(first["pending"]["proposalId"], "approve", by=TOVE)

        call = {"workflowId": conversation.workflow_id, "expectedRevision": 1, **CANCEL}
        done = [body(await client.call_tool("order_cancel", call)) for _ in range(3)]
        asked = body(await client.call_tool("workflow_proposal", {"proposalId": first["pending"]["proposalId"]}))

    assert [one["ok"] for one in (*done, asked)] == [True] * 4
    assert {one["auditRef"] for one in (*done, asked)} == {done[0]["auditRef"]}
    assert [one.get("replayed", False) for one in (*done, asked)] == [False, True, True, True]
    moves = [one.tool for one in graph.instances.audit(conversation.workflow_id) if one.kind.value == "transition"]
    assert moves.count("order.cancel") == 1


async def test_starting_again_under_one_key_gives_the_same_instance_and_nobody_elses(graph: WorkflowGraph) -> None:
    async with at_the_desk(graph) as own, at_the_desk(graph, MEI) as other, at_the_desk(graph, FOREIGN) as foreign:
        ids = [(await Conversation(client).begin("k")).workflow_id for client in (own, own, other, foreign)]
        fresh = {(await Conversation(own).begin()).workflow_id for _ in range(2)}

    assert ids[0] == ids[1]
    assert len({*ids, *fresh}) == 5


@pytest.mark.parametrize("era", ERAS)
async def test_a_stale_revision_does_nothing_and_is_told_where_the_instance_stands(
    graph: WorkflowGraph, era: str
) -> None:
    async with at_the_desk(graph, era=era) as client:
        conversation = await identified(client)
        stale = await conversation.calls("order.cancel", expectedRevision=0, **CANCEL)
        ahead = await conversation.calls("desk.hand_over", expectedRevision=7, summary="-")

    for result in (stale, ahead):
        assert (result["error"]["code"], result["revision"], result["currentState"]) == ("conflict", 1, "identified")
        assert "order_cancel" in result["nextAllowedTools"]
        assert "order.cancel" not in json.dumps(result)
    assert graph.instances.get(conversation.workflow_id).revision == 1


async def test_what_moves_an_instance_names_its_revision_even_where_it_has_a_key(graph: WorkflowGraph) -> None:
    async with at_the_desk(graph) as client:
        conversation = await identified(client)
        given = {"workflowId": conversation.workflow_id, "idempotencyKey": "k-1", **CANCEL}
        assert await refused(client, "order_cancel", **given) == "invalid_arguments"
        looked = body(
            await client.call_tool("order_get", {"workflowId": conversation.workflow_id, "orderId": "#W1001"})
        )
    assert looked["ok"] is True
    assert graph.instances.get(conversation.workflow_id).revision == 1


async def test_after_a_rejection_a_new_key_asks_anew_and_the_same_call_does_not(graph: WorkflowGraph) -> None:
    async with at_the_desk(graph) as client:
        conversation = await identified(client)
        first = await conversation.calls("order.cancel", **CANCEL)
        graph.instances.decide(first["pending"]["proposalId"], {"type": "reject", "message": "Not that one."}, by=TOVE)
        trail = len(graph.instances.audit(conversation.workflow_id))
        same = [await conversation.calls("order.cancel", **CANCEL) for _ in range(3)]
        polls = [
            body(await client.call_tool("workflow_proposal", {"proposalId": first["pending"]["proposalId"]}))
            for _ in range(3)
        ]
        recorded = len(graph.instances.audit(conversation.workflow_id)) - trail
        anew = await conversation.calls("order.cancel", idempotencyKey="another", **CANCEL)

    assert {one["error"]["code"] for one in (*same, *polls)} == {"approval_rejected"}
    assert "Not that one." in same[0]["error"]["message"]
    assert recorded <= 1, "to ask again what became of it is nothing new"
    assert anew["ok"] is None
    assert anew["pending"]["proposalId"] != first["pending"]["proposalId"]


async def test_what_is_withdrawn_is_not_carried_out(graph: WorkflowGraph) -> None:
    async with at_the_desk(graph) as client:
        conversation = await identified(client)
        pending = await conversation.calls("order.cancel", **CANCEL)
        proposal = pending["pending"]["proposalId"]
        for _ in range(2):
            assert await refused(client, "workflow_withdraw", proposalId=proposal) == "approval_withdrawn"
        assert await refused(client, "workflow_proposal", proposalId=proposal) == "approval_withdrawn"
        status = body(await client.call_tool("workflow_status", {"workflowId": conversation.workflow_id}))

    assert (status["revision"], status["pendingApprovals"]) == (1, [])


# Whatever is sent


ODD: list[dict[str, Any]] = [
    {},
    {"workflowId": None},
    {"workflowId": 7},
    {"workflowId": ""},
    {"workflowId": ["wf"]},
    {"workflowId": "x" * 10_000},
    {"workflowId": "wf_\x00"},
    {"workflowId": "\ud800"},
    {"workflowId": "' OR 1=1 --"},
    {"expectedRevision": "1"},
    {"expectedRevision": -1},
    {"expectedRevision": True},
    {"expectedRevision": 1.5},
    {"expectedRevision": 10**30},
    {"idempotencyKey": 7},
    {"idempotencyKey": ""},
    {"idempotencyKey": "k" * 1000},
    {"orderId": None},
    {"orderId": {"a": "b"}},
    {"unknown": 1},
]


@pytest.mark.parametrize("tool", ["order_cancel", "order_get", "workflow_status", "workflow_start"])
async def test_odd_arguments_are_refused_in_words_and_nothing_happens(graph: WorkflowGraph, tool: str) -> None:
    async with at_the_desk(graph, limits=ServerLimits(denials_per_minute=1_000)) as client:
        conversation = await identified(client)
        whole: dict[str, dict[str, Any]] = {
            "order_cancel": {"workflowId": conversation.workflow_id, "expectedRevision": 1, **CANCEL},
            "order_get": {"workflowId": conversation.workflow_id, "orderId": "#W1001"},
            "workflow_status": {"workflowId": conversation.workflow_id},
            "workflow_start": {},
        }
        for odd in ODD[tool == "workflow_start" :]:  # nothing at all is what the start takes
            try:
                result = body(await client.call_tool(tool, {**whole[tool], **odd} if odd else {}))
            except MCPError as error:  # what is no text does not come as far as the tools
                result = {"ok": False, "error": {"code": str(error.code), "message": error.message}}

            assert result["ok"] is False, odd
            assert result["error"]["message"], odd
            assert "Traceback" not in json.dumps(result), odd
            assert graph.instances.get(conversation.workflow_id).revision == 1, odd
    assert len(graph.engine.store.instances()) == 1


async def test_a_call_that_is_too_long_is_refused(graph: WorkflowGraph) -> None:
    limits = ServerLimits(request_bytes=1_000)
    async with at_the_desk(graph, limits=limits) as client:
        conversation = await Conversation(client).begin()
        long = await refused(
            client, "desk_hand_over", workflowId=conversation.workflow_id, expectedRevision=0, summary="x" * 2_000
        )

    assert long == "invalid_arguments"
    assert graph.instances.get(conversation.workflow_id).revision == 0


async def test_who_asks_too_often_waits(graph: WorkflowGraph) -> None:
    now = [0.0]
    limits = ServerLimits(requests_per_minute=5, denials_per_minute=2)
    server = WorkflowServer(graph, principal=TOVE, limits=limits, clock=lambda: now[0])
    async with in_memory(server, "legacy") as client:
        for _ in range(2):
            assert await refused(client, "workflow_status", workflowId="wf_of_nobody") == "unknown_instance"
        assert await refused(client, "workflow_status", workflowId="wf_of_nobody") == "limit_reached"
        now[0] = 61.0
        assert await refused(client, "workflow_status", workflowId="wf_of_nobody") == "unknown_instance"
        for _ in range(4):
            await client.list_prompts()
        with pytest.raises(MCPError, match="requests in the last minute"):
            await client.list_prompts()


async def test_a_defect_of_the_application_is_logged_and_not_shown(
    graph: WorkflowGraph, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_the_desk(graph) as client:
        conversation = await Conversation(client).begin()

        def broken(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("the password is A-SECRET")

        monkeypatch.setattr(type(graph.instances), "snapshot", broken)
        with pytest.raises(MCPError) as told:
            await client.call_tool("workflow_status", {"workflowId": conversation.workflow_id})

    assert "A-SECRET" not in str(told.value.error)
    assert "A-SECRET" in caplog.text


# Several workflows


async def test_an_instance_is_one_workflows_own(tmp_path: Path) -> None:
    """Two workflows on one server and in one database: neither acts on the other's instances."""
    url = f"sqlite:///{tmp_path / 'both.db'}"
    desk, cases = retail_workflow().compile(SQLCheckpointer(url)), case_workflow().compile(SQLCheckpointer(url))
    open_shop(desk.engine.store)
    open_cases(cases.engine.store)
    async with in_memory(WorkflowServer({"desk": desk, "cases": cases}, principal=TOVE)) as client:
        started = body(await client.call_tool("desk__workflow_start", {}))
        own = body(await client.call_tool("desk__workflow_status", {"workflowId": started["workflowId"]}))
        wrong = await refused(client, "cases__workflow_status", workflowId=started["workflowId"])
        call = {"workflowId": started["workflowId"], "expectedRevision": 0, "caseId": "77", "queueId": "billing"}
        assign = await refused(client, "cases__case_assign", **call)
        denied = body(
            await client.call_tool("desk__order_get", {"workflowId": started["workflowId"], "orderId": "#W1001"})
        )
        with pytest.raises(MCPError, match="Resource not found"):
            await client.read_resource(f"interlock://workflows/case/instances/{started['workflowId']}/snapshot")

    assert own["nextAllowedTools"] == started["nextAllowedTools"]
    assert all(name.startswith("desk__") for name in own["nextAllowedTools"])
    assert wrong == assign == "unknown_instance"
    assert "desk__customer_find_by_email" in denied["error"]["message"]
    for graph in (desk, cases):
        graph.engine.store.close()


async def test_a_pinned_server_serves_its_instance_and_no_other(graph: WorkflowGraph) -> None:
    mine, other = (graph.instances.start(principal=TOVE).workflow_id for _ in range(2))
    async with at_the_desk(graph, workflow_id=mine) as client:
        own = body(await client.call_tool("workflow_status", {}))
        call = {"email": "tove.marklund@example.org"}
        elsewhere = await refused(client, "customer_find_by_email", workflowId=other, **call)
        found = body(await client.call_tool("customer_find_by_email", call))
        uri = "interlock://workflows/retail-desk/instances"
        with pytest.raises(MCPError, match="Resource not found"):
            await client.read_resource(f"{uri}/{other}/snapshot")
        snapshot = await client.read_resource(f"{uri}/{mine}/snapshot")
        prompt = await client.get_prompt("workflow_state", {})

    assert (own["workflowId"], found["ok"], elsewhere) == (mine, True, "unknown_instance")
    assert json.loads(snapshot.contents[0].text)["state"] == "identified"  # type: ignore[union-attr]
    assert mine in prompt.messages[0].content.text  # type: ignore[union-attr]


async def test_the_ids_of_ones_own_instances_are_completed(graph: WorkflowGraph) -> None:
    from mcp_types import PromptReference, ResourceTemplateReference

    mine = {graph.instances.start(principal=TOVE).workflow_id for _ in range(3)}
    for stranger in (MEI, FOREIGN):
        graph.instances.start(principal=stranger)
    template = "interlock://workflows/retail-desk/instances/{workflowId}/audit"
    async with at_the_desk(graph) as client:
        for ref in (PromptReference(name="workflow_state"), ResourceTemplateReference(uri=template)):
            found = await client.complete(ref, {"name": "workflowId", "value": "wf_"})
            assert set(found.completion.values) == mine
        none = await client.complete(PromptReference(name="other"), {"name": "workflowId", "value": ""})
        part = await client.complete(PromptReference(name="workflow_state"), {"name": "workflowId", "value": min(mine)})

    assert none.completion.values == []
    assert part.completion.values == [min(mine)]
