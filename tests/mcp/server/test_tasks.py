"""Approvals as tasks, for clients that declare the extension; as a result that says it waits, for all others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from interlock import Principal, ToolContract, Workflow, WorkflowGraph, command
from interlock.mcp.server.tasks import EXTENSION, TaskParams
from interlock.mcp.server.workflow_server import WorkflowServer
from tests.mcp.server.support import body, in_memory, listening
from tests.mcp.server.task_client import Created, TaskClient, ask

ADA, COLE = Principal("ada"), Principal("cole")
SUE = Principal("sue", roles={"supervisor"})
MISSING = -32021


@asynccontextmanager
async def taking_tasks(graph: WorkflowGraph, by: Principal = ADA) -> AsyncIterator[tuple[Client, TaskClient]]:
    extension = TaskClient()
    async with in_memory(WorkflowServer(graph, principal=by), extensions=[extension]) as client:
        yield client, extension


def queued(graph: WorkflowGraph) -> dict[str, Any]:
    """The arguments of a reassignment, which a supervisor decides on."""
    instances = graph.instances
    workflow_id = instances.start(principal=ADA).workflow_id
    instances.propose(workflow_id, "case.assign", {"caseId": "77", "queueId": "billing"}, principal=ADA, revision=0)
    return {"workflowId": workflow_id, "expectedRevision": 1, "queueId": "delivery"}


async def reassigned(client: Client, extension: TaskClient, call: dict[str, Any]) -> Created:
    """Let it be asked about: the task."""
    await client.call_tool("queue_reassign", call)
    return extension.created[-1]


async def test_a_call_that_waits_is_a_task_with_the_approvals_id(graph: WorkflowGraph) -> None:
    async with taking_tasks(graph) as (client, extension):
        created = await reassigned(client, extension, queued(graph))
        working = await ask(client, "tasks/get", created.task_id)

    (waiting,) = graph.instances.approvals().approvals
    assert created.task_id == waiting.approval_id
    assert created.status == working["status"] == "working"
    assert "supervisor" in str(created.status_message)
    assert (created.ttl_ms, created.poll_interval_ms) == (None, 5000)
    assert working["resultType"] == "complete"
    assert "result" not in working


async def test_what_was_granted_is_carried_out_by_the_next_look_and_once(graph: WorkflowGraph) -> None:
    async with taking_tasks(graph) as (client, extension):
        call = queued(graph)
        created = await reassigned(client, extension, call)
        graph.instances.decide(created.task_id, "approve", by=SUE)
        looks = [await ask(client, "tasks/get", created.task_id) for _ in range(3)]

    assert {one["status"] for one in looks} == {"completed"}
    assert [one["result"]["isError"] for one in looks] == [False] * 3
    assert looks[0]["result"]["structuredContent"]["output"] == {"caseId": "77", "queueId": "delivery"}
    moves = [one.tool for one in graph.instances.audit(call["workflowId"]) if one.kind.value == "transition"]
    assert moves == ["case.assign", "queue.reassign"]


@pytest.mark.parametrize("decision", ["reject", {"type": "respond", "message": "Ask billing first."}])
async def test_what_was_turned_down_is_completed_with_an_error(graph: WorkflowGraph, decision: Any) -> None:
    async with taking_tasks(graph) as (client, extension):
        created = await reassigned(client, extension, queued(graph))
        graph.instances.decide(created.task_id, decision, by=SUE)
        found = await ask(client, "tasks/get", created.task_id)

    assert (found["status"], found["result"]["isError"]) == ("completed", True)
    assert found["result"]["structuredContent"]["error"]["code"] == "approval_rejected"


async def test_cancelling_withdraws_and_cancelling_what_is_over_changes_nothing(graph: WorkflowGraph) -> None:
    async with taking_tasks(graph) as (client, extension):
        call = queued(graph)
        first = await reassigned(client, extension, call)
        for _ in range(2):
            assert (await ask(client, "tasks/cancel", first.task_id))["resultType"] == "complete"
            assert (await ask(client, "tasks/get", first.task_id))["status"] == "cancelled"
        second = await reassigned(client, extension, {**call, "idempotencyKey": "again"})
        graph.instances.decide(second.task_id, "approve", by=SUE)
        await ask(client, "tasks/get", second.task_id)
        await ask(client, "tasks/cancel", second.task_id)
        over = await ask(client, "tasks/get", second.task_id)

    assert over["status"] == "completed"
    assert graph.instances.get(call["workflowId"]).revision == 2


async def test_input_that_a_client_sends_decides_nothing(graph: WorkflowGraph) -> None:
    """Elicitation would be answered by the proposer's own client: it is never asked for, and never taken for a decision."""
    async with taking_tasks(graph) as (client, extension):
        created = await reassigned(client, extension, queued(graph))
        for answer in ({"approval": {"action": "accept", "content": {"decision": "approve"}}}, {}):
            acknowledged = await ask(client, "tasks/update", created.task_id, input_responses=answer)
            assert acknowledged["resultType"] == "complete"
        still = await ask(client, "tasks/get", created.task_id)

    assert still["status"] == "working"


async def test_a_task_is_told_to_whom_the_instance_serves_and_to_nobody_else(graph: WorkflowGraph) -> None:
    """A task's id is a name, and no secret."""
    elsewhere = Principal("ada", tenant="elsewhere")
    async with (
        taking_tasks(graph) as (own, extension),
        taking_tasks(graph, COLE) as (colleague, _),
        taking_tasks(graph, elsewhere) as (stranger, _),
    ):
        created = await reassigned(own, extension, queued(graph))
        for other in (colleague, stranger):
            for method in ("tasks/get", "tasks/cancel", "tasks/update"):
                for task_id in (created.task_id, "apr_of_nobody"):
                    more = {"input_responses": {}} if method == "tasks/update" else {}
                    with pytest.raises(MCPError, match="Task not found") as refused:
                        await ask(other, method, task_id, **more)
                    assert refused.value.error.code == -32602
        still = await ask(own, "tasks/get", created.task_id)

    assert still["status"] == "working"


async def test_a_task_whose_call_broke_off_in_mid_effect_works_until_a_person_says_what_became_of_it() -> None:
    class Cut(BaseException):
        """The process ends in the middle of the effect."""

    effects: list[str] = []

    @command("money.send")
    def send(to: str) -> str:
        """Send money."""
        effects.append(to)
        raise Cut

    flow = Workflow("bank")
    flow.add_state("open")
    flow.add_edge("open", send, "open", approval=True)
    graph = flow.compile()
    workflow_id = graph.instances.start(principal=ADA).workflow_id
    async with taking_tasks(graph) as (client, extension):
        await client.call_tool("money_send", {"workflowId": workflow_id, "expectedRevision": 0, "to": "bo"})
        task_id = extension.created[-1].task_id
        graph.instances.decide(task_id, "approve", by=SUE)
        with pytest.raises(Cut):
            graph.instances.proposal(task_id)
        looks = [await ask(client, "tasks/get", task_id) for _ in range(2)]
        graph.instances.resolve(workflow_id, "happened", by=SUE, output="sent")
        over = await ask(client, "tasks/get", task_id)

    assert effects == ["bo"]
    assert [one["status"] for one in looks] == ["working", "working"]
    assert "it is unknown whether its effect" in looks[0]["statusMessage"]
    assert (over["status"], over["result"]["structuredContent"]["output"]) == ("completed", "sent")


async def test_a_task_whose_tool_the_next_release_does_not_have_has_failed() -> None:
    """For a call that would be an error of the protocol, and a task that comes to one has failed."""

    def release(version: int, *tools: ToolContract) -> Workflow:
        flow = Workflow("jobs", version=version, **({} if version == 1 else {"state_mapping": {"open": "open"}}))
        flow.add_state("open")
        for tool in tools:
            flow.add_edge("open", tool, "open", approval=True)
        return flow

    @command("job.run", effect="transactional")
    def run() -> str:
        """Run it."""
        return "ran"

    @command("job.stop", effect="transactional")
    def stop() -> str:
        """Stop it."""
        return "stopped"

    old = release(1, run, stop).compile()
    new = release(2, stop).compile(workflow_store=old.engine.store)
    workflow_id = old.instances.start(principal=ADA).workflow_id
    pending = old.instances.propose(workflow_id, run, {}, principal=ADA, revision=0)
    task_id = pending.pending.proposal_id  # type: ignore[union-attr]
    async with taking_tasks(new) as (client, _):
        old.instances.decide(task_id, "approve", by=SUE)
        found = await ask(client, "tasks/get", task_id)

    assert (found["status"], found["error"]["code"], "result" in found) == ("failed", -32602, False)
    assert found["error"]["data"]["error"]["code"] == "unknown_tool"


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_client_without_the_extension_is_told_that_it_waits(graph: WorkflowGraph, era: str) -> None:
    async with in_memory(WorkflowServer(graph, principal=ADA), era) as client:
        result = await client.call_tool("queue_reassign", queued(graph))
        task_id = body(result)["pending"]["proposalId"]
        if era == "auto":
            for method in ("tasks/get", "tasks/cancel"):
                with pytest.raises(MCPError) as refused:
                    await ask(client, method, task_id)
                assert refused.value.error.code == MISSING
                assert refused.value.error.data == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}

    assert (result.is_error, body(result)["ok"], body(result)["pending"]["kind"]) == (False, None, "approval")


async def test_over_http_the_header_has_to_name_the_task(graph: WorkflowGraph) -> None:
    server = WorkflowServer(graph, principal=ADA)
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}},
    }
    call = queued(graph)
    pending = graph.instances.propose(
        call["workflowId"], "queue.reassign", {"queueId": "delivery"}, principal=ADA, revision=1
    )
    task_id = pending.pending.proposal_id  # type: ignore[union-attr]
    with listening(server.http_app()) as url:
        async with httpx2.AsyncClient() as http:

            async def get(name: str | None) -> tuple[int, dict[str, Any]]:
                headers = {
                    "Accept": "application/json, text/event-stream",
                    "MCP-Protocol-Version": "2026-07-28",
                    "Mcp-Method": "tasks/get",
                    **({} if name is None else {"Mcp-Name": name}),
                }
                request = {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "tasks/get",
                    "params": {"taskId": task_id, "_meta": meta},
                }
                answer = await http.post(f"{url}/mcp", json=request, headers=headers)
                return answer.status_code, answer.json()

            right, wrong, missing = await get(task_id), await get("apr_other"), await get(None)

    assert right[1]["result"]["status"] == "working"
    assert [one[1]["error"]["code"] for one in (wrong, missing)] == [-32020, -32020]


def test_the_parameters_of_a_task_are_checked() -> None:
    for odd in ({}, {"taskId": ""}, {"taskId": 7}, {"taskId": "x" * 300}):
        with pytest.raises(ValueError, match="taskId"):
            TaskParams.model_validate(odd)
