"""Budgets over HTTP, in the console and on the command line: looked at by those who see the instance or may raise them, raised by their role."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from interlock import Budget, Principal, SQLCheckpointer, WorkflowStore
from interlock.serving import service
from tests.cli.support import run

from .support import ANN, BOB, BOSS, SAID, MeteredModel, compiled, desk, on, stopped

PEOPLE = {who.id: who for who in (ANN, BOB, BOSS)}


CASE = Budget(tokens=60, reserve=50, raised_by="controller", name="case")


def who(request: Request) -> Principal | None:
    return PEOPLE.get(request.headers.get("x-user", ""))


def test_a_budget_is_raised_once_by_whoever_may(store: WorkflowStore) -> None:
    graph = compiled(store, MeteredModel(used=[50]), CASE)
    graph.invoke(SAID, on("t-1"), context=ANN)

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


def test_the_console_shows_a_spent_budget_to_whoever_may_raise_it_and_raises_it_once(store: WorkflowStore) -> None:
    graph = compiled(store, MeteredModel(used=[50]), CASE)
    for _ in range(2):
        output = graph.invoke(SAID, on("t-1"), context=ANN)
    assert stopped(output) is not None
    case = f"/console/instances/{graph.instances.id_of(on('t-1'))}"

    def hidden(text: str) -> dict[str, str]:
        return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text))

    with TestClient(service(graph, principal=who)) as client:

        def get(path: str, user: str) -> Any:
            return client.get(path, headers={"x-user": user})

        def send(user: str, **fields: str) -> Any:
            given = {"budget": "case", "more": "50", "reason": "She is <b>a</b> good customer.", **fields}
            return client.post(f"{case}/budgets", data=given, headers={"x-user": user})

        theirs = get(f"{case}/budgets", "ann")
        assert "You cannot raise any of them" in theirs.text
        assert f"{case}/budgets" in get(case, "ann").text
        assert get(f"{case}/budgets", "bob").status_code == 403
        assert get(case, "mia").status_code == 403, "she sees the budgets, and nothing else of the instance"
        page = get(f"{case}/budgets", "mia")
        assert 'badge bad">spent' in page.text
        fields = hidden(page.text)
        assert send("mia", key=fields["key"], form_token="made up").status_code == 403
        assert send("mia", **{**fields, "reason": " "}).status_code == 400
        assert graph.instances.budgets(on("t-1"))[0].raised == "0"
        for _ in range(2):  # the same form, sent twice
            assert "The budget is raised." in send("mia", **fields).text
        assert graph.instances.budgets(on("t-1"))[0].raised == "50"
    assert stopped(graph.invoke(None, on("t-1"), context=ANN)) is None


def test_the_command_line_lists_and_raises_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = desk(MeteredModel(used=[50]), CASE)
    module = type(sys)("a_metered_desk")
    module.flow = flow  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_metered_desk", module)
    monkeypatch.setenv("INTERLOCK_DB", str(tmp_path / "desk.db"))
    monkeypatch.setenv("INTERLOCK_APP", "a_metered_desk:flow")
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'desk.db'}") as saver:
        graph = flow.compile(saver)
        for _ in range(2):
            graph.invoke(SAID, on("t-1"), context=ANN)
        case = str(graph.instances.id_of(on("t-1")))

    shown = run("budgets", "list", case, "--json")
    assert json.loads(shown.stdout) | {"schemaVersion": 1} == {
        "schemaVersion": 1,
        "name": "case",
        "unit": "tokens",
        "per": "instance",
        "amount": "60",
        "raised": "0",
        "spent": "50",
        "left": "10",
        "reserve": "50",
        "isSpent": True,
        "raisedBy": "controller",
        "periodBegan": None,
    }
    assert "(spent)" in run("budgets", "list", case).output
    given = ("budgets", "raise", case, "case", "50", "--reason", "Go on.", "--key", "k-1")
    refused = run(*given, "--as", "ann", "--role", "controller")
    assert (refused.exit_code, "for themselves" in " ".join(refused.output.split())) == (1, True)
    for _ in range(2):
        done = run(*given, "--as", "mia", "--role", "controller", "--json")
        assert (done.exit_code, json.loads(done.stdout)["left"]) == (0, "60")
    assert run(*given[:4], "lots", *given[5:], "--as", "mia", "--role", "controller").exit_code == 2
    assert run(*given, "--as", "mia", "--role", "controller", "--resume").exit_code == 0
    assert json.loads(run("budgets", "list", case, "--json").stdout)["spent"] == "100"
