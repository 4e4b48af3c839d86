"""Delivering an event by hand: a form of the event's own fields, for operators, once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from interlock import Event, Workflow, WorkflowGraph, command
from interlock.serving import service
from tests.serving.desk import by_header


class PaymentCleared(Event, name="payment.cleared_by_hand"):
    """A payment arrived at the bank."""

    amount: int
    note: str | None = None


@command("order.ship", effect="transactional")
def ship() -> str:
    """Ship an order."""
    return "shipped"


@dataclass
class Place:
    graph: WorkflowGraph
    client: TestClient

    def ask(self, method: str, path: str, who: str = "olga", **options: Any) -> Response:
        return self.client.request(method, path, headers={"x-test-user": who}, follow_redirects=False, **options)

    def waiting(self) -> str:
        begun = self.ask("POST", "/v1/workflows/orders/instances", "kim", json={"served": "kim"})
        workflow_id = str(begun.json()["workflowId"])
        assert begun.json()["currentState" if "currentState" in begun.json() else "state"] == "unpaid"
        return workflow_id

    def filled(self, workflow_id: str, **fields: str) -> dict[str, str]:
        page = self.ask("GET", f"/console/events/deliver?event=payment.cleared_by_hand.v1&instance={workflow_id}")
        assert "A payment arrived at the bank." in page.text
        assert re.search(r'id="field-amount" name="argument.amount"[^>]* required', page.text)
        hidden = dict(re.findall(r'<input type="hidden" name="(form_token|event|eventId)" value="([^"]*)"', page.text))
        return {**hidden, "instance": workflow_id, **{f"argument.{name}": value for name, value in fields.items()}}


@pytest.fixture
def place() -> Iterator[Place]:
    flow = Workflow("orders")
    flow.add_wait("unpaid", for_event=PaymentCleared, then="paid")
    flow.add_state("paid").add_state("shipped", final=True).add_edge("paid", ship, "shipped")
    graph = flow.compile()
    with TestClient(service(graph, principal=by_header), base_url="http://testserver") as client:
        yield Place(graph, client)


def test_an_operator_delivers_what_nobody_sends_and_the_workflow_goes_on(place: Place) -> None:
    workflow_id = place.waiting()
    case = place.ask("GET", f"/console/instances/{workflow_id}")
    assert f"/console/events/deliver?event=payment.cleared_by_hand.v1&amp;instance={workflow_id}" in case.text
    assert "events/deliver" not in place.ask("GET", f"/console/instances/{workflow_id}", "kim").text
    form = place.filled(workflow_id, amount="7", note="")
    done = place.ask("POST", "/console/events/deliver", data=form)
    assert done.headers["location"] == f"/console/instances/{workflow_id}?done=delivered"
    assert place.graph.instances.get(workflow_id).state == "paid"
    record = next(one for one in place.graph.instances.audit(workflow_id) if one.kind.value == "event_in")
    assert (record.payload or {})["source"] == "/console"
    again = place.ask("POST", "/console/events/deliver", data=form)
    assert "duplicate" in again.text


def test_an_invalid_field_is_named_and_nothing_is_delivered(place: Place) -> None:
    workflow_id = place.waiting()
    for amount, said in (("seven", "has to be a number"), ("1.5", "amount")):
        form = place.filled(workflow_id, amount=amount)
        wrong = place.ask("POST", "/console/events/deliver", data=form)
        assert said in wrong.text
        assert f'value="{amount}"' in wrong.text
        assert place.graph.instances.get(workflow_id).state == "unpaid"


def test_only_an_operator_of_its_tenant_delivers(place: Place) -> None:
    workflow_id = place.waiting()
    form = place.filled(workflow_id, amount="7")
    for who in ("kim", "lee", "foreign"):
        assert place.ask("POST", "/console/events/deliver", who, data=form).status_code == 403
    theirs = place.ask("GET", "/console/events/deliver?event=payment.cleared_by_hand.v1", "foreign").text
    token = re.search(r'name="form_token" value="([^"]+)"', theirs)
    assert token is not None
    foreign = place.ask("POST", "/console/events/deliver", "foreign", data={**form, "form_token": token.group(1)})
    assert foreign.status_code == 422
    assert "There is no workflow" in foreign.text or "no instance" in foreign.text.lower()
    assert place.graph.instances.get(workflow_id).state == "unpaid"


def test_an_event_that_nobody_waits_for_is_refused(place: Place) -> None:
    form = {**place.filled(place.waiting(), amount="7"), "event": "made.up.v1"}
    answer = place.ask("POST", "/console/events/deliver", data=form)
    assert answer.status_code == 422
    assert "No workflow that is served waits for" in answer.text
