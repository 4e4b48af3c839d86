"""The case workflow keeps its rules and comes out in the shapes that the documentation prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langgraph.types import Command

from interlock import Principal, SQLCheckpointer, WorkflowGraph
from interlock.testing import ScriptedChatModel, call
from interlock.workflows.case import case_workflow, open_cases
from interlock.workflows.case.tables import cases
from interlock.workflows.case.tools import assign_case
from tests.graphs.support import Runner, codes, said, shown, thread, trail

SUPERVISOR = Principal("ben", roles=frozenset({"supervisor"}))
ASSIGN = call("case.assign", caseId="77", queueId="billing")


@pytest.fixture(params=["memory", "sql"])
def compiled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Compiles the workflow for a script, with the sample cases in its database."""
    saver = SQLCheckpointer(f"sqlite:///{tmp_path}/cases.db") if request.param == "sql" else None

    def compiled(*script: Any) -> WorkflowGraph:
        graph = case_workflow(ScriptedChatModel(script)).compile(saver)
        open_cases(graph.engine.store)
        return graph

    yield compiled
    if saver is not None:
        saver.close()


@pytest.fixture(params=["invoke", "ainvoke"])
def run(request: pytest.FixtureRequest) -> Runner:
    return Runner(request.param)


def answered(graph: WorkflowGraph, case_id: str = "77") -> None:
    with graph.engine.store.write() as connection:
        connection.execute(sa.update(cases).where(cases.c.case_id == case_id).values(is_answered=True))


def test_the_contract_of_case_assign_is_the_documented_one() -> None:
    contract = assign_case.to_wire().to_json()
    assert {name: contract[name] for name in ("name", "version", "kind", "description", "inputSchema")} == {
        "name": "case.assign",
        "version": 1,
        "kind": "command",
        "description": "Assign a case to an eligible agent queue.",
        "inputSchema": {
            "type": "object",
            "properties": {"caseId": {"type": "string"}, "queueId": {"type": "string"}, "reason": {"type": "string"}},
            "required": ["caseId", "queueId"],
        },
    }


def test_the_result_of_assigning_is_the_documented_one(compiled: Any, run: Runner) -> None:
    graph = compiled(call("case.get", caseId="77"), ASSIGN, "Case 77 waits in billing.")
    output = run(graph, said("Case 77 goes to billing"), thread())
    result = output["last_result"]
    assert result == {
        "ok": True,
        "workflowId": output["workflow_id"],
        "previousState": "validated",
        "currentState": "queued",
        "revision": output["revision"],
        "nextAllowedTools": ["queue.status", "queue.reassign"],
        "auditRef": result["auditRef"],
        "output": {"caseId": "77", "queueId": "billing"},
    }
    assert trail(graph, thread())[-1] == ("event_out", None, None)


@pytest.mark.parametrize(
    ("case_id", "queue_id", "says"),
    [("99", "billing", "no case '99'"), ("77", "nowhere", "no queue 'nowhere'"), ("77", "archive", "closed")],
)
def test_a_case_goes_only_to_a_queue_that_takes_it(
    compiled: Any, run: Runner, case_id: str, queue_id: str, says: str
) -> None:
    output = run(compiled(call("case.assign", caseId=case_id, queueId=queue_id), "I see."), said(), thread())
    assert (codes(output), output["state"]) == (["check_failed"], "validated")
    assert says in output["last_result"]["error"]["message"]


def test_a_case_moves_to_another_queue_when_a_supervisor_agrees(compiled: Any, run: Runner) -> None:
    graph = compiled(ASSIGN, call("queue.reassign", queueId="delivery"), "Moved.")
    output = run(graph, said(), thread(), context=Principal("ada"))
    assert shown(output) == ["queue.reassign"]
    preview = output["__interrupt__"][0].value["preview"]
    assert preview == {"caseId": "77", "customer": "Ines Moreau", "from": "billing", "to": "delivery"}
    output = run(graph, Command(resume="approve"), thread(), context=SUPERVISOR)
    assert output["data"] == {"case_id": "77", "queue_id": "delivery", "reassigned": 1, "answered": False}


def test_a_case_is_reassigned_three_times_at_most(compiled: Any, run: Runner) -> None:
    to = ["delivery", "billing", "delivery", "billing"]
    graph = compiled(ASSIGN, *[call("queue.reassign", queueId=queue) for queue in to], "That was the last one.")
    output = run(graph, said(), thread(), context=Principal("ada"))
    for _ in range(3):
        assert shown(output) == ["queue.reassign"]
        output = run(graph, Command(resume="approve"), thread(), context=SUPERVISOR)
    assert (codes(output)[-1], output["data"]["reassigned"]) == ("guard_failed", 3)
    assert output["next_allowed_tools"] == ["queue.status"]


def test_a_case_is_closed_once_its_queue_was_seen_to_have_answered(compiled: Any, run: Runner) -> None:
    graph = compiled(
        ASSIGN, call("case.close"), call("queue.status"), "Not yet.", call("queue.status"), call("case.close")
    )
    output = run(graph, said(), thread())
    assert codes(output) == ["ok", "guard_failed", "ok"]
    answered(graph)
    output = run(graph, said("And now?"), thread())
    assert (codes(output)[3:], output["state"]) == (["ok", "ok"], "closed")


def test_a_case_that_waits_already_is_not_assigned_again(compiled: Any, run: Runner) -> None:
    graph = compiled(ASSIGN, "Done.", ASSIGN, "I see.")
    run(graph, said(), thread("a"))
    output = run(graph, said(), thread("b"))
    assert codes(output) == ["check_failed"]
    assert "waits in the queue 'billing' already" in output["last_result"]["error"]["message"]
