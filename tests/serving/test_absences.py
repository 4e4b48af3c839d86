"""Approvers who are away, over the API and in the console: a request is given on, those who are asked are reminded, a delegate is named."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from httpx import Response

from interlock import Principal
from tests.serving.desk import Served, served


@pytest.fixture
def at(tmp_path: object) -> Iterator[Served]:
    with served(f"sqlite:///{tmp_path}/desk.db") as it:
        yield it


def _asked(at: Served) -> str:
    pending = at.propose(at.started(), "order.refund", orderId="W-7", amount="4.00")
    return str(pending.json()["pending"]["proposalId"])


def test_a_request_is_given_to_somebody_else_who_needs_the_role_as_before(at: Served) -> None:
    path = f"/v1/approvals/{_asked(at)}"
    assert at.post(f"{path}/assignment", {"to": ["zoe"]}, "kim").status_code == 403
    given = at.post(f"{path}/assignment", {"to": ["zoe"], "reason": "on leave"}, "sue")
    assert (given.status_code, given.json()["status"], given.json()["rule"]["by"]) == (200, "requested", ["zoe"])
    assert at.post(f"{path}/decision", {"decision": "approve"}, "sue").status_code == 403
    assert at.get(path, "kim").json()["rule"]["role"] == "supervisor"
    assert at.desk.ran == []


def test_the_requester_may_remind_and_a_stranger_may_not(at: Served) -> None:
    path = f"/v1/approvals/{_asked(at)}/reminder"
    assert at.post(path, {}, "kim").status_code == 200
    assert at.post(path, {}, "lee").status_code == 403


def test_a_person_names_a_delegate_and_ends_it(at: Served) -> None:
    body = {"delegate": "zoe", "until": "2099-01-01T00:00:00Z"}
    made = at.post("/v1/delegations", body, "sue")
    assert (made.status_code, made.json()["person"], made.json()["delegate"]) == (201, "sue", "zoe")
    listed = {who: len(at.get("/v1/delegations", who).json()["delegations"]) for who in ("sue", "lee", "foreign")}
    assert listed == {"sue": 1, "lee": 0, "foreign": 0}
    path = f"/v1/delegations/{made.json()['delegationId']}"
    assert at.ask("DELETE", path, "lee").status_code == 400
    assert at.ask("DELETE", path, "sue").status_code == 204
    assert at.get("/v1/delegations", "sue").json()["delegations"] == []
    for wrong in ({**body, "until": "soon"}, {**body, "until": "2099-01-01T00:00:00"}, {**body, "person": "kim"}):
        assert at.post("/v1/delegations", wrong, "sue").status_code == 422


def test_a_delegate_finds_what_waits_and_decides_it(at: Served) -> None:
    approval_id = _asked(at)
    at.post(f"/v1/approvals/{approval_id}/assignment", {"to": ["zoe"]}, "sue")
    assert approval_id not in at.get("/console/approvals", "sue").text
    at.graph.instances.delegate("sue", by=Principal("zoe"), until="1d")
    assert approval_id in at.get("/console/approvals", "sue").text
    assert at.post(f"/v1/approvals/{approval_id}/decision", {"decision": "approve"}, "lee").status_code == 403
    decided = at.post(f"/v1/approvals/{approval_id}/decision", {"decision": "approve"}, "sue")
    assert decided.json()["status"] == "approved"
    (decision,) = at.get(f"/v1/approvals/{approval_id}", "sue").json()["decisions"]
    assert (decision["by"], decision["onBehalfOf"]) == ("sue", "zoe")


def _send(at: Served, page: str, action: str, who: str, **fields: str) -> Response:
    """Send the form of a page that goes there, with what it hides."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', at.get(page, who).text, re.DOTALL)
    assert form is not None, f"no form goes to {action}"
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.group(1)))
    return at.ask("POST", action, who, data={**hidden, **fields})


def test_a_request_is_given_on_and_brought_to_mind_by_forms(at: Served) -> None:
    page = f"/console/approvals/{_asked(at)}"
    assert "/reassign" not in at.get(page, "kim").text, "who asked does not choose who decides"
    assert _send(at, page, f"{page}/remind", "kim").headers["location"].endswith("?done=reminded")
    nobody = _send(at, page, f"{page}/reassign", "sue", people=" , ")
    assert nobody.status_code == 400
    given = _send(at, page, f"{page}/reassign", "sue", people="zoe, <b>max</b>", reason="on leave")
    assert given.headers["location"].endswith("?done=reassigned")
    shown = at.get(given.headers["location"], "sue").text
    assert "The request is reassigned." in shown
    assert "<b>max</b>" not in shown
    assert at.graph.instances.approval(page.rsplit("/", 1)[-1])["rule"]["by"] == ["<b>max</b>", "zoe"]  # type: ignore[index,call-overload]


def test_a_delegation_is_made_and_ended_by_forms(at: Served) -> None:
    page = "/console/delegations"
    made = _send(at, page, page, "sue", person="zoe", days="14")
    assert made.headers["location"].endswith("?done=delegated")
    (one,) = at.graph.instances.delegations()
    assert (one.person, one.delegate) == ("sue", "zoe")
    assert "zoe" not in at.get(page, "lee").text
    assert "zoe" not in at.get(page, "foreign").text
    assert "End it now" not in at.get(page, "olga").text, "an operator sees it, and the person alone ends it"
    for wrong in ({"person": "sue"}, {"person": ""}, {"days": "0"}, {"days": "9999"}):
        assert _send(at, page, page, "sue", **{"person": "zoe", "days": "1", **wrong}).status_code in {400, 422}
    ended = _send(at, page, f"{page}/{one.delegation_id}/end", "sue")
    assert ended.headers["location"].endswith("?done=undelegated")
    assert at.graph.instances.delegations() == ()
