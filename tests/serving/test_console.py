"""The console without a browser: what each page says, to whom, and what its forms do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Response

from interlock import Principal
from interlock.serving import Development
from tests.serving.desk import KIM, LEE, Served, served

TALK: Any = {"messages": [("user", "Refund W-7, please.")]}


@pytest.fixture
def at(tmp_path: Any) -> Iterator[Served]:
    with served(f"sqlite:///{tmp_path / 'desk.db'}", conversing=1) as it:
        it.graph.invoke(TALK, {"configurable": {"thread_id": "t-1"}}, context=KIM)
        yield it


@pytest.fixture
def several(tmp_path: Any) -> Iterator[Served]:
    with served(f"sqlite:///{tmp_path / 'desk.db'}", conversing=3) as it:
        yield it


def asked(at: Served) -> str:
    (one,) = at.graph.instances.approvals().approvals
    return one.approval_id


def form_of(page: Response, action: str) -> dict[str, str]:
    """The hidden fields of the first form of a page that goes there."""
    form = re.search(rf'<form[^>]*action="[^"]*{re.escape(action)}"[^>]*>(.*?)</form>', page.text, re.DOTALL)
    assert form is not None, f"no form goes to {action}"
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.group(1)))


def send(at: Served, page: str, action: str, who: str, **fields: Any) -> Response:
    """Open a page as somebody, and send one of its forms."""
    shown = at.get(page, who)
    return at.ask("POST", action, who, data={**form_of(shown, action), **fields})


def test_the_queue_shows_what_waits_to_those_who_may_see_it(at: Served) -> None:
    approval = asked(at)
    for who in ("sue", "olga", "kim"):
        assert approval in at.get("/console/attention", who).text
    for who in ("lee", "foreign"):
        page = at.get("/console/attention", who)
        assert page.status_code == 200
        assert approval not in page.text


def test_an_approver_is_shown_what_would_change_and_approves_exactly_that(at: Served) -> None:
    path = f"/console/approvals/{asked(at)}"
    page = at.get(path, "sue")
    assert "<del>100.00</del> <ins>96.00</ins>" in page.text
    assert "It &lt;b&gt;broke&lt;/b&gt;" in page.text
    done = send(at, path, f"{path}/decide", "sue", decision="approve")
    assert done.status_code == 303
    assert done.headers["location"].endswith("?done=approve")
    assert at.desk.ran == ["refund W-7 4.00"]
    after = at.get(done.headers["location"], "sue")
    assert "Approved." in after.text
    assert "/decide" not in after.text


def test_an_edit_with_an_error_is_shown_at_its_field_and_decides_nothing(at: Served) -> None:
    path = f"/console/approvals/{asked(at)}"
    given = {"argument.orderId": "W-7", "argument.amount": "1000", "argument.reason": ""}
    wrong = send(at, path, f"{path}/decide", "sue", decision="edit", **given)
    assert wrong.status_code == 422
    assert re.search(r'id="field-amount"[^>]*aria-invalid="true"', wrong.text)
    assert 'value="1000"' in wrong.text
    assert at.desk.ran == []
    right = send(at, path, f"{path}/decide", "sue", decision="edit", **{**given, "argument.amount": "3.00"})
    assert right.headers["location"].endswith("?done=edit")
    assert at.desk.ran == ["refund W-7 3.00"]


def test_a_rejection_says_why(at: Served) -> None:
    path = f"/console/approvals/{asked(at)}"
    send(at, path, f"{path}/decide", "sue", decision="reject", message="Too much.")
    assert at.graph.instances.approval(path.rsplit("/", 1)[-1])["decisions"] == [
        {"decision": "reject", "by": "sue", "arguments": None, "message": "Too much."}
    ]
    assert at.desk.ran == []


def test_whoever_may_not_decide_sees_why_and_no_button_and_is_refused(at: Served) -> None:
    path = f"/console/approvals/{asked(at)}"
    page = at.get(path, "kim")
    assert "/decide" not in page.text
    assert "You cannot decide on this" in page.text
    token = form_of(at.get(path, "sue"), f"{path}/decide")
    assert at.ask("POST", f"{path}/decide", "kim", data={**token, "decision": "approve"}).status_code == 403
    assert at.desk.ran == []


def test_a_form_of_another_page_or_browser_or_person_counts_for_nothing(at: Served) -> None:
    path = f"/console/approvals/{asked(at)}"
    fields = form_of(at.get(path, "sue"), f"{path}/decide") | {"decision": "approve"}
    without = {name: value for name, value in fields.items() if name != "form_token"}
    assert at.ask("POST", f"{path}/decide", "sue", data=without).status_code == 403
    assert at.ask("POST", f"{path}/decide", "olga", data=fields).status_code == 403
    foreign = at.ask("POST", f"{path}/decide", "sue", data=fields, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    cross = at.ask("POST", f"{path}/decide", "sue", data=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status_code == 403
    at.client.cookies.clear()
    assert at.ask("POST", f"{path}/decide", "sue", data=fields).status_code == 403
    assert at.desk.ran == []


def test_a_request_that_changed_since_the_page_was_made_is_not_decided(at: Served) -> None:
    path = f"/console/approvals/{asked(at)}"
    fields = form_of(at.get(path, "sue"), f"{path}/decide") | {"decision": "approve", "digest": "sha256:other"}
    answer = at.ask("POST", f"{path}/decide", "sue", data=fields)
    assert answer.status_code == 409
    assert "no longer what the page showed" in answer.text
    assert at.desk.ran == []


def test_the_second_of_two_approvers_is_told_that_somebody_was_faster(at: Served) -> None:
    path = f"/console/approvals/{asked(at)}"
    fields = form_of(at.get(path, "sue"), f"{path}/decide") | {"decision": "approve"}
    assert at.ask("POST", f"{path}/decide", "sue", data=fields).status_code == 303
    assert at.ask("POST", f"{path}/decide", "sue", data=fields).status_code == 409
    assert at.desk.ran == ["refund W-7 4.00"]


def test_a_case_tells_where_it_stands_and_verifies_its_record(at: Served) -> None:
    workflow_id = at.graph.instances.id_of({"configurable": {"thread_id": "t-1"}})
    page = at.get(f"/console/instances/{workflow_id}", "kim")
    for said in (
        "<svg",
        "the role",
        "desk.close",
        "guard",
        "Refund W-7, please.",
        "order.get",
    ):
        assert said in page.text, said
    assert "Erase" not in page.text
    assert "whole" in at.get(f"/console/instances/{workflow_id}?verify=1", "kim").text
    assert at.get(f"/console/instances/{workflow_id}", "lee").status_code == 403
    assert at.get(f"/console/instances/{workflow_id}", "foreign").status_code == 404


def test_an_operator_erases_a_conversation_and_the_record_still_verifies(at: Served) -> None:
    workflow_id = at.graph.instances.id_of({"configurable": {"thread_id": "t-1"}})
    path = f"/console/instances/{workflow_id}"
    done = send(at, path, f"{path}/erase", "olga", what="conversation", reason="The customer asked for it.")
    assert done.status_code == 303
    after = at.get(f"{path}?verify=1", "olga")
    assert "Refund W-7, please." not in after.text
    assert "badge good" in after.text
    (record,) = [one for one in at.graph.instances.audit(workflow_id) if one.kind.value == "erasure"]
    assert (record.principal_id, (record.payload or {})["reason"]) == ("olga", "The customer asked for it.")
    token = form_of(at.get(path, "olga"), f"{path}/erase")
    refused = at.ask("POST", f"{path}/erase", "kim", data={**token, "what": "conversation", "reason": "x"})
    assert refused.status_code == 403


def test_several_of_one_kind_are_decided_together_and_each_by_itself(several: Served) -> None:
    at = several
    for number in range(3):
        at.graph.invoke(TALK, {"configurable": {"thread_id": f"t-{number}"}}, context=LEE)
    page = at.get("/console/approvals", "sue")
    ticked = re.findall(r'name="which" value="([^"]+)"', page.text)
    assert len(ticked) == 3
    ticked[0] = ticked[0].split(" ")[0] + " sha256:stale"
    fields = form_of(page, "/console/approvals")
    done = at.ask("POST", "/console/approvals", "sue", data={**fields, "decision": "approve", "which": ticked})
    assert "2 decided." in done.text
    assert "Left alone" in done.text
    assert len(at.desk.ran) == 2


def test_every_page_has_headers_that_keep_a_browser_safe(at: Served) -> None:
    workflow_id = at.graph.instances.id_of({"configurable": {"thread_id": "t-1"}})
    for path in (
        "/console/attention", "/console/instances", "/console/events", "/console/fleet", "/console/learning", "/console/sign-in",
        f"/console/instances/{workflow_id}", f"/console/approvals/{asked(at)}", "/console/instances/none", "/console/static/console.css",
    ):  # fmt: skip
        headers = at.get(path, "olga").headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"
    text = at.get(f"/console/instances/{workflow_id}", "olga").text
    assert " style=" not in text
    assert " onclick=" not in text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_whoever_is_not_signed_in_is_asked_to_and_programs_are_told(at: Served) -> None:
    page = at.get("/console/attention", "nobody")
    assert page.status_code == 303
    assert page.headers["location"] == "/console/sign-in"
    program = at.get("/v1/instances", "nobody")
    assert (program.status_code, program.headers["www-authenticate"]) == (401, "Bearer")


def test_pages_for_operators_are_refused_to_others(at: Served) -> None:
    for path in ("/console/events", "/console/fleet", "/console/learning"):
        assert at.get(path, "sue").status_code == 403
        assert at.get(path, "olga").status_code == 200


def test_in_development_everybody_chooses_who_they_are_and_each_page_says_so() -> None:
    people = (Principal("ann", roles=frozenset({"operator"})), Principal("bob"))
    with served(principal=None, development=Development(people)) as at:
        first = at.client.get("/console/attention")
        assert "Development mode." in first.text
        assert "ann (operator)" in first.text
        at.client.post("/console/sign-in", data={"who": "bob"})
        assert ">bob<" in at.client.get("/console/attention").text
        assert at.client.post("/console/sign-in", data={"who": "eve"}).status_code == 403


def test_the_service_is_mounted_below_a_path(tmp_path: Any) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    with served(f"sqlite:///{tmp_path / 'desk.db'}", conversing=1) as at:
        at.graph.invoke(TALK, {"configurable": {"thread_id": "t-1"}}, context=KIM)
        outer = FastAPI()
        outer.mount("/desk", at.app)
        with TestClient(outer) as client:
            page = client.get("/desk/console/attention", headers={"x-test-user": "sue"})
            assert 'href="/desk/console/static/console.css"' in page.text
            assert client.get("/desk/console/static/console.css").status_code == 200
            path = f"/desk/console/approvals/{asked(at)}"
            shown = client.get(path, headers={"x-test-user": "sue"})
            fields = form_of(shown, f"{path}/decide") | {"decision": "approve"}
            done = client.post(f"{path}/decide", data=fields, headers={"x-test-user": "sue"}, follow_redirects=False)
            assert done.headers["location"].startswith("/desk/console/approvals/")
