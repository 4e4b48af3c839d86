"""The HTTP API: starting, proposing, deciding and looking, as a program that knows nothing of Python does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from interlock.tracing import telemetry
from tests.serving.desk import KIM, Served, served


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def at(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Served]:
    if request.param == "memory":
        with served() as it:
            yield it
        return
    url = (
        f"sqlite:///{tmp_path / 'desk.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_database")
    )
    with served(url) as it:
        yield it


def test_a_refund_from_start_to_end(at: Served) -> None:
    workflow_id = at.started()
    pending = at.propose(workflow_id, "order.refund", orderId="W-7", amount="4.00")
    assert pending.status_code == 202
    assert pending.json()["ok"] is None
    approval_id = pending.json()["pending"]["proposalId"]
    assert pending.headers["location"].endswith(f"/proposals/{approval_id}")

    (open_one,) = at.get("/v1/approvals", "sue").json()["approvals"]
    assert open_one["approvalId"] == approval_id
    assert open_one["preview"]["balance"] == {"before": "100.00", "after": "96.00"}
    decided = at.post(f"/v1/approvals/{approval_id}/decision", {"decision": "approve"}, "sue")
    assert decided.json()["status"] == "approved"
    assert decided.json()["resumed"]
    assert at.desk.ran == ["refund W-7 4.00"]

    answer = at.get(pending.headers["location"])
    assert answer.status_code == 200
    assert answer.json()["ok"]
    again = at.propose(workflow_id, "order.refund", orderId="W-7", amount="4.00")
    assert again.json()["auditRef"] == answer.json()["auditRef"]
    assert at.desk.ran == ["refund W-7 4.00"]

    snapshot = at.get(f"/v1/instances/{workflow_id}")
    assert snapshot.headers["etag"] == f'"{snapshot.json()["revision"]}"'
    closed = at.post(
        f"/v1/instances/{workflow_id}/proposals", {"tool": "desk.close"}, headers={"If-Match": snapshot.headers["etag"]}
    )
    assert closed.json()["currentState"] == "closed"
    assert at.get(f"/v1/instances/{workflow_id}/audit/verification").json()["isWhole"]


def test_a_denial_is_a_problem_with_the_whole_result(at: Served) -> None:
    workflow_id = at.started()
    denied = at.propose(workflow_id, "desk.close")
    assert denied.status_code == 409
    assert denied.headers["content-type"] == "application/problem+json"
    told = denied.json()
    assert (told["code"], told["status"], told["ok"]) == ("guard_failed", 409, False)
    assert told["nextAllowedTools"]
    assert told["auditRef"].startswith("audit_")
    wrong = at.propose(workflow_id, "order.refund", key="k-2", orderId="W-7", amount="1000")
    assert wrong.status_code == 422
    assert wrong.json()["details"]["problems"][0]["field"] == "amount"


def test_a_command_without_key_or_revision_is_refused_with_what_to_do() -> None:
    with served() as at:
        answer = at.propose(at.started(), "mail.send", key=None, text="hello")
        assert answer.status_code == 400
        assert answer.json()["code"] == "key_required"
        assert at.desk.ran == []


def test_a_stale_revision_fails_the_precondition_and_says_where_it_stands() -> None:
    with served() as at:
        workflow_id = at.started()
        assert at.propose(workflow_id, "mail.send", text="one").status_code == 200
        path = f"/v1/instances/{workflow_id}/proposals"
        stale = at.post(path, {"tool": "mail.send", "arguments": {"text": "two"}}, headers={"If-Match": '"0"'})
        assert stale.status_code == 412
        assert stale.json()["details"]["revision"] == 1
        bad = at.post(path, {"tool": "mail.send", "arguments": {"text": "two"}}, headers={"If-Match": "x"})
        assert bad.status_code == 400
        assert at.desk.ran == ["mail one"]


def test_a_key_of_another_call_is_refused() -> None:
    with served() as at:
        workflow_id = at.started()
        at.propose(workflow_id, "mail.send", text="one")
        other = at.propose(workflow_id, "mail.send", text="two")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_a_proposal_is_withdrawn() -> None:
    with served() as at:
        workflow_id = at.started()
        where = at.propose(workflow_id, "order.refund", orderId="W-7", amount="4.00").headers["location"]
        assert at.ask("DELETE", where, "lee").status_code == 403
        gone = at.ask("DELETE", where)
        assert gone.status_code == 200
        assert gone.json()["error"]["code"] == "approval_withdrawn"
        assert at.get(where).status_code == 409
        assert at.get("/v1/approvals", "sue").json()["approvals"] == []


def test_starting_with_an_id_is_safe_to_repeat() -> None:
    with served() as at:
        body = {"workflowId": "case-77", "data": {"note": "hello"}}
        first = at.post("/v1/workflows/desk/instances", body)
        again = at.post("/v1/workflows/desk/instances", body)
        assert first.json()["workflowId"] == again.json()["workflowId"] == "case-77"
        assert first.json()["data"]["note"] == "hello"
        assert at.post("/v1/workflows/desk/instances", {"workflowId": "case-77"}, "lee").status_code in {403, 409}


def test_an_edit_is_judged_by_the_contract() -> None:
    with served() as at:
        pending = at.propose(at.started(), "order.refund", orderId="W-7", amount="4.00").json()["pending"]
        path = f"/v1/approvals/{pending['proposalId']}/decision"
        wrong = at.post(path, {"decision": "edit", "arguments": {"orderId": "W-7", "amount": "-1"}}, "sue")
        assert wrong.status_code in {400, 422}
        done = at.post(path, {"decision": "edit", "arguments": {"orderId": "W-7", "amount": "3.00"}}, "sue")
        assert done.json()["status"] in {"edited", "approved"}
        assert at.desk.ran == ["refund W-7 3.00"]


def test_a_request_that_does_not_fit_the_api_is_refused_with_each_field() -> None:
    with served() as at:
        answer = at.post(f"/v1/instances/{at.started()}/proposals", {"tool": 7, "arguments": []})
        assert answer.status_code == 422
        assert answer.json()["code"] == "invalid_request"
        assert {one["field"] for one in answer.json()["details"]["problems"]} == {"tool", "arguments"}
        assert at.get("/v1/instances?limit=0").status_code == 422
        assert at.get("/v1/instances?cursor=x").status_code == 400
        assert at.get("/v1/workflows/other").status_code == 404


def test_lists_page_through_what_the_caller_may_see(at: Served) -> None:
    mine = {at.started() for _ in range(5)}
    at.started("lee")
    seen: list[str] = []
    cursor = ""
    while True:
        page = at.get(f"/v1/instances?limit=2{cursor}").json()
        seen += [one["workflowId"] for one in page["instances"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == sorted(mine)
    assert len(at.get("/v1/instances", "olga").json()["instances"]) == 6
    assert at.get("/v1/instances", "foreign").json()["instances"] == []


def test_an_attempt_of_unknown_outcome_is_resolved() -> None:
    with served() as at:
        workflow_id = at.started()
        at.desk.breaks = True
        with pytest.raises(KeyboardInterrupt):
            at.graph.instances.propose(workflow_id, "mail.send", {"text": "hello"}, principal=KIM, key="k-9")
        (attempt,) = at.get("/v1/attempts", "olga").json()["attempts"]
        assert attempt["tool"] == "mail.send"
        path = f"/v1/instances/{workflow_id}/attempts/{attempt['idempotencyKey']}/resolution"
        assert at.post(path, {"found": "happened", "output": "sent"}).status_code == 403
        done = at.post(path, {"found": "happened", "output": "sent", "note": "It is in the log."}, "olga")
        assert done.status_code == 200, done.text
        assert done.json()["result"]["ok"]
        assert at.get("/v1/attempts", "olga").json()["attempts"] == []


def test_the_openapi_description_names_every_operation_once() -> None:
    with served() as at:
        described = at.get("/openapi.json").json()
        assert described["openapi"].startswith("3.1")
        operations = [one["operationId"] for path in described["paths"].values() for one in path.values()]
        assert len(operations) == len(set(operations))
        assert {"propose", "decideApproval", "startInstance", "verifyAudit", "streamInstance"} <= set(operations)


def test_a_service_that_is_made_measures_nothing_that_the_process_did_not_ask_for() -> None:
    before = telemetry.listens()
    with served() as at:
        at.propose(at.started(), "order.get", orderId="W-7")
        assert telemetry.listens() == before
        assert at.client.get("/metrics").status_code == 200
