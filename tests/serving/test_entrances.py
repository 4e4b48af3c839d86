"""Every route of the service, found by introspection: what a foreign tenant, a stranger, nobody and a customer meet there.

A route that is not listed fails the test, until somebody says what it is to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from tests.serving.desk import KIM, Served, served

OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/console/static/{name}", "/console/sign-in"}
"""What needs nobody: it says nothing of any instance."""


@dataclass(frozen=True)
class Entrance:
    """What a route is asked with, and how it answers whoever should not get in."""

    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    stranger: set[int] = field(default_factory=lambda: {403})
    """Somebody of the tenant whom the instance does not serve, and who has no role."""
    foreign: set[int] = field(default_factory=lambda: {404})
    """An operator and supervisor of another tenant."""


EVERYBODY = Entrance(stranger={200}, foreign={200})
"""About the definition alone, or filtered to what the caller may see."""
OPERATORS = Entrance(stranger={403}, foreign={200})
"""For operators: one of another tenant sees their own tenant."""
FORM: dict[str, str] = {"form_token": "made up"}
ENTRANCES: dict[tuple[str, str], Entrance] = {
    ("GET", "/v1/workflows"): EVERYBODY,
    ("GET", "/v1/workflows/{name}"): EVERYBODY,
    ("GET", "/v1/workflows/{name}/diagram"): EVERYBODY,
    ("GET", "/v1/workflows/{name}/statistics"): OPERATORS,
    ("POST", "/v1/workflows/{name}/instances"): Entrance({"served": "kim"}, stranger={403}, foreign={201, 403}),
    ("GET", "/v1/instances"): EVERYBODY,
    ("GET", "/v1/instances/{workflow_id}"): Entrance(),
    ("GET", "/v1/instances/{workflow_id}/explanation"): Entrance(),
    ("GET", "/v1/instances/{workflow_id}/picture"): Entrance(),
    ("POST", "/v1/instances/{workflow_id}/proposals"): Entrance({"tool": "order.get", "arguments": {"orderId": "W"}}),
    ("GET", "/v1/instances/{workflow_id}/proposals/{proposal_id}"): Entrance(),
    ("DELETE", "/v1/instances/{workflow_id}/proposals/{proposal_id}"): Entrance(),
    ("POST", "/v1/instances/{workflow_id}/resume"): Entrance({}),
    ("POST", "/v1/instances/{workflow_id}/cancellation"): Entrance({"reason": "x"}, stranger={400, 403}),
    ("GET", "/v1/instances/{workflow_id}/cancellation"): Entrance(),
    ("GET", "/v1/instances/{workflow_id}/budgets"): Entrance(),
    ("POST", "/v1/instances/{workflow_id}/budgets/{name}/raise"): Entrance(
        {"more": "1", "reason": "x"}, stranger={400, 403, 422}, foreign={404, 422}
    ),
    ("POST", "/v1/instances/{workflow_id}/fork"): Entrance({}),
    ("POST", "/v1/instances/{workflow_id}/erasure"): Entrance({"reason": "x"}),
    ("GET", "/v1/approvals"): EVERYBODY,
    ("GET", "/v1/approvals/{approval_id}"): Entrance(),
    ("POST", "/v1/approvals/{approval_id}/decision"): Entrance({"decision": "approve"}),
    ("POST", "/v1/approvals/{approval_id}/assignment"): Entrance({"to": ["bob"]}),
    ("POST", "/v1/approvals/{approval_id}/reminder"): Entrance({}),
    ("GET", "/v1/delegations"): EVERYBODY,
    ("POST", "/v1/delegations"): Entrance(
        {"delegate": "bob", "until": "2099-01-01T00:00:00Z"}, stranger={201}, foreign={201}
    ),
    ("DELETE", "/v1/delegations/{delegation_id}"): Entrance(stranger={400}, foreign={400}),
    ("GET", "/v1/attempts"): OPERATORS,
    ("POST", "/v1/instances/{workflow_id}/attempts/{key}/resolution"): Entrance(
        {"found": "retry"}, stranger={400, 403}
    ),
    ("POST", "/v1/events"): Entrance({"event": {}}, stranger={403}, foreign={400, 422}),
    ("GET", "/v1/events"): OPERATORS,
    ("POST", "/v1/events/{event_id}/retry"): OPERATORS,
    ("GET", "/v1/instances/{workflow_id}/audit"): Entrance(),
    ("GET", "/v1/instances/{workflow_id}/audit/export"): Entrance(),
    ("GET", "/v1/instances/{workflow_id}/audit/verification"): Entrance(),
    ("GET", "/v1/instances/{workflow_id}/events"): Entrance(),
    ("GET", "/v1/attention/events"): Entrance(foreign=set()),
    ("GET", "/console"): Entrance(stranger={307}, foreign={307}),
    ("GET", "/console/"): Entrance(stranger={307}, foreign={307}),
    ("GET", "/console/{path:path}"): Entrance(stranger={404}, foreign={404}),
    ("POST", "/console/sign-out"): Entrance(form=FORM, foreign={403}),
    ("GET", "/console/attention"): EVERYBODY,
    ("GET", "/console/instances"): EVERYBODY,
    ("GET", "/console/instances/{workflow_id}"): Entrance(),
    ("POST", "/console/instances/{workflow_id}/resume"): Entrance(form=FORM, foreign={403}),
    ("POST", "/console/instances/{workflow_id}/resolve"): Entrance(
        form={**FORM, "key": "k", "attempt": "1", "found": "retry"}, foreign={403}
    ),
    ("POST", "/console/instances/{workflow_id}/cancel"): Entrance(form={**FORM, "reason": "x"}, foreign={403}),
    ("GET", "/console/instances/{workflow_id}/budgets"): Entrance(),
    ("POST", "/console/instances/{workflow_id}/budgets"): Entrance(
        form={**FORM, "budget": "case", "more": "1", "reason": "x", "key": "k"}, foreign={403}
    ),
    ("POST", "/console/instances/{workflow_id}/fork"): Entrance(form=FORM, foreign={403}),
    ("POST", "/console/instances/{workflow_id}/erase"): Entrance(
        form={**FORM, "what": "payloads", "reason": "x"}, foreign={403}
    ),
    ("GET", "/console/approvals"): EVERYBODY,
    ("POST", "/console/approvals"): Entrance(form=FORM, foreign={403}),
    ("GET", "/console/approvals/{approval_id}"): Entrance(),
    ("POST", "/console/approvals/{approval_id}/decide"): Entrance(form=FORM, foreign={403}),
    ("POST", "/console/approvals/{approval_id}/reassign"): Entrance(form={**FORM, "people": "bob"}, foreign={403}),
    ("POST", "/console/approvals/{approval_id}/remind"): Entrance(form=FORM, foreign={403}),
    ("GET", "/console/delegations"): EVERYBODY,
    ("POST", "/console/delegations"): Entrance(form={**FORM, "person": "bob"}, foreign={403}),
    ("POST", "/console/delegations/{delegation_id}/end"): Entrance(form=FORM, foreign={403}),
    ("GET", "/console/events"): OPERATORS,
    ("POST", "/console/events/{event_id}/retry"): Entrance(form=FORM, foreign={403}),
    ("GET", "/console/events/deliver"): OPERATORS,
    ("POST", "/console/events/deliver"): Entrance(form=FORM, foreign={403}),
    ("GET", "/console/fleet"): OPERATORS,
    ("GET", "/console/learning"): OPERATORS,
    ("GET", "/console/learning/{name}.jsonl"): OPERATORS,
}
SECRETS = ("W-7", "4.00", "broke", "kim@")
"""What stands in kim's instance."""


@dataclass(frozen=True)
class Place:
    at: Served
    workflow_id: str
    approval_id: str

    def path(self, template: str) -> str:
        named = {
            "name": "desk", "workflow_id": self.workflow_id, "approval_id": self.approval_id, "proposal_id": self.approval_id,
            "key": "k-1", "event_id": "evt_none", "path": "none", "delegation_id": "del_none",
        }  # fmt: skip
        return re.sub(r"\{(\w+)(?::path)?\}", lambda found: named[found.group(1)], template)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path: Path = tmp_path_factory.mktemp("entrances") / "desk.db"
    with served(f"sqlite:///{path}") as at:
        workflow_id = at.started()
        pending = at.propose(workflow_id, "order.refund", orderId="W-7", amount="4.00", reason="It broke, says kim@")
        yield Place(at, workflow_id, pending.json()["pending"]["proposalId"])


def routes_of(routes: Iterable[Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every method and path that an application answers, whatever adds it: routes, routers in routers, mounted applications."""
    for one in routes:
        if hasattr(one, "effective_route_contexts"):  # a router, as newer versions of FastAPI include it
            for inner in one.effective_route_contexts():
                yield from ((method, before + inner.path) for method in inner.methods)
        elif isinstance(one, Mount):
            inner_routes = getattr(one.app, "routes", None)
            yield from routes_of(inner_routes, before + one.path) if inner_routes else [("*", before + one.path)]
        elif isinstance(one, Route):
            yield from ((method, before + one.path) for method in one.methods or ("*",))
        else:
            yield "*", before + str(getattr(one, "path", repr(one)))


def test_every_route_is_listed(place: Place) -> None:
    found = {one for one in routes_of(place.at.app.routes) if one[0] != "HEAD" and one[1] not in OPEN}
    assert found == set(ENTRANCES)


def test_the_list_of_routes_includes_nested_routers_and_mounts() -> None:
    with served() as at:
        before = set(routes_of(at.app.routes))
        inner = APIRouter()
        inner.add_api_route("/inner", lambda: None, methods=["PUT"])
        middle = APIRouter(prefix="/middle")
        middle.include_router(inner)
        at.app.include_router(middle)
        at.app.add_api_route("/added", lambda: None, methods=["PATCH"], include_in_schema=False)
        at.app.mount("/files", Starlette(routes=[Route("/one", lambda request: None, methods=["POST"])]))
        at.app.mount("/opaque", lambda scope, receive, send: None)  # type: ignore[arg-type, return-value]
        at.app.router.routes.append(WebSocketRoute("/socket", lambda socket: None))
        added = set(routes_of(at.app.routes)) - before
        expected = {
            ("PUT", "/middle/inner"),
            ("PATCH", "/added"),
            ("POST", "/files/one"),
            ("*", "/opaque"),
            ("*", "/socket"),
        }
        assert expected <= added


@pytest.mark.parametrize("route", sorted(ENTRANCES), ids=" ".join)
def test_nobody_gets_in_who_should_not(place: Place, route: tuple[str, str]) -> None:
    method, template = route
    entrance = ENTRANCES[route]
    before = place.at.graph.instances.get(place.workflow_id)
    asked: dict[str, Any] = {"headers": {"Idempotency-Key": "k-9"}}
    if entrance.body is not None:
        asked["json"] = entrance.body
    if entrance.form is not None:
        asked["data"] = entrance.form
    for who, expected in (("nobody", {401, 303}), ("lee", entrance.stranger), ("foreign", entrance.foreign)):
        if not expected:
            continue
        answer = place.at.ask(method, place.path(template), who, **asked)
        assert answer.status_code in expected, f"{who}: {answer.status_code} {answer.text[:300]}"
        for secret in SECRETS:
            assert secret not in answer.text, f"{who} reads {secret!r}"
    after = place.at.graph.instances.get(place.workflow_id)
    assert (after.state, after.revision, after.data) == (before.state, before.revision, before.data)
    assert place.at.graph.instances.approval(place.approval_id)["status"] == "requested"
    assert place.at.desk.ran == []


@pytest.mark.parametrize(
    "forged",
    [
        {"principal": {"id": "sue", "roles": ["supervisor"]}}, {"by": "sue"}, {"tenant": "default"}, {"roles": ["operator"]},
        {"context": {"principal": {"id": "kim"}}}, {"configurable": {"thread_id": "t"}},
    ],
)  # fmt: skip
def test_the_principal_is_never_read_from_a_body(place: Place, forged: dict[str, Any]) -> None:
    at = place.at
    for path, body in (
        (f"/v1/approvals/{place.approval_id}/decision", {"decision": "approve"}),
        (f"/v1/instances/{place.workflow_id}/proposals", {"tool": "order.get", "arguments": {"orderId": "W-7"}}),
        ("/v1/workflows/desk/instances", {}),
    ):
        assert at.post(path, {**body, **forged}, "lee").status_code == 422
    assert at.desk.ran == []
    assert at.graph.instances.get(place.workflow_id).served == KIM.id


def test_somebody_elses_instance_and_none_at_all_answer_alike_to_another_tenant(place: Place) -> None:
    there = place.at.get(f"/v1/instances/{place.workflow_id}", "foreign")
    none = place.at.get(f"/v1/instances/wf_{'0' * 26}", "foreign")
    assert there.status_code == none.status_code == 404
    assert there.text.replace(place.workflow_id, "X") == none.text.replace(f"wf_{'0' * 26}", "X")
