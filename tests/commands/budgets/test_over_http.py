"""Budgets over HTTP: looked at by those who see the instance, raised by the role that they name."""

from __future__ import annotations

from fastapi import Request
from fastapi.testclient import TestClient

from interlock import Budget, Principal, WorkflowStore
from interlock.serving import service

from .support import ANN, BOB, BOSS, SAID, MeteredModel, compiled, on

PEOPLE = {who.id: who for who in (ANN, BOB, BOSS)}


def test_a_budget_is_raised_once_by_whoever_may(store: WorkflowStore) -> None:
    graph = compiled(store, MeteredModel(used=[50]), Budget(tokens=60, reserve=50, raised_by="controller", name="case"))
    graph.invoke(SAID, on("t-1"), context=ANN)

    def who(request: Request) -> Principal | None:
        return PEOPLE.get(request.headers.get("x-user", ""))

    where = f"/v1/instances/{graph.instances.id_of(on('t-1'))}/budgets"
    wanted = {"more": "50", "reason": "She is a good customer."}
    with TestClient(service(graph, principal=who)) as client:
        (before,) = client.get(where, headers={"x-user": "ann"}).json()["budgets"]
        assert (before["spent"], before["left"]) == ("50", "10")
        assert client.get(where, headers={"x-user": "bob"}).status_code == 403
        headers = {"x-user": "mia", "Idempotency-Key": "r-1"}
        for _ in range(2):
            done = client.post(f"{where}/case/raise", json=wanted, headers=headers)
            assert (done.status_code, done.json()["left"]) == (200, "60")
        assert client.post(f"{where}/case/raise", json=wanted, headers={"x-user": "mia"}).status_code == 422
        refused = client.post(f"{where}/case/raise", json=wanted, headers={**headers, "x-user": "ann"})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_entitled")
        odd = client.post(f"{where}/case/raise", json={**wanted, "more": "1e9"}, headers=headers)
        assert odd.status_code == 422
        gone = client.post(f"{where}/other/raise", json=wanted, headers=headers)
        assert gone.json()["code"] == "unknown_budget"
