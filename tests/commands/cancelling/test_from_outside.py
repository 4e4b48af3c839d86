"""Cancelling from the command line, over HTTP and in the console."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from interlock import Principal, SQLCheckpointer, WorkflowStore
from interlock.serving import service
from tests.cli.support import run

from .support import ANN, BOSS, STRANGER, Trips

PEOPLE = {who.id: who for who in (ANN, BOSS, STRANGER)}
APP = "a_trip:flow"


def test_the_command_line_cancels_and_says_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "trips.db")
    saver = SQLCheckpointer(f"sqlite:///{path}")
    saver.setup()
    trips = Trips(WorkflowStore(saver.database))
    trip, other = trips.start(), trips.start()
    trips.call(trip, "gift.add", what="tea")
    trips.call(trip, "seat.reserve", seat="4a")
    monkeypatch.setenv("INTERLOCK_DB", path)
    monkeypatch.setenv("INTERLOCK_APP", APP)
    module = type(sys)("a_trip")
    module.flow = trips.flow  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_trip", module)

    refused = run("cancel", trip, "--reason", "no", "--as", "eve", "--role", "clerk")
    assert refused.exit_code == 2
    assert "may not cancel" in refused.output
    assert run("cancel", trip).exit_code == 2

    done = run("cancel", trip, "--reason", "She is ill.", "--as", "mia", "--role", "supervisor")
    assert done.exit_code == 1  # a person has to see to the gift
    assert "nothing says how gift.add is undone" in " ".join(done.output.split())
    shown = run("cancel", trip, "--as", "ann", "--json")
    assert json.loads(shown.stdout)["calls"][0]["became"] == "undone"
    assert run("cancel", other, "--reason", "no", "--as", "ann").exit_code == 0
    saver.close()


@pytest.fixture
def client(trips: Trips) -> TestClient:
    def who(request: Request) -> Principal | None:
        return PEOPLE.get(request.headers.get("x-user", ""))

    return TestClient(service(trips.graph, principal=who))


def test_the_api_cancels_for_those_who_may(trips: Trips, client: TestClient) -> None:
    trip = trips.start()
    trips.call(trip, "seat.reserve", seat="4a")
    where = f"/v1/instances/{trip}/cancellation"
    with client:
        assert client.get(where, headers={"x-user": "ann"}).json()["code"] == "not_cancelled"
        refused = client.post(where, json={"reason": "no"}, headers={"x-user": "eve"})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_entitled")
        assert client.post(where, json={"reason": ""}, headers={"x-user": "mia"}).status_code == 422
        done = client.post(where, json={"reason": "She is ill."}, headers={"x-user": "mia"})
        assert (done.status_code, done.json()["state"]) == (200, "cancelled")
        assert client.get(where, headers={"x-user": "ann"}).json() == done.json()
        again = client.post(where, json={"reason": "again"}, headers={"x-user": "mia"})
        assert again.json() == done.json()


def test_the_console_offers_it_to_those_who_may_and_shows_what_is_left(trips: Trips, client: TestClient) -> None:
    trip = trips.start()
    trips.call(trip, "gift.add", what="<b>tea</b>")
    page = f"/console/instances/{trip}"
    with client:
        before = client.get(page, headers={"x-user": "ann"})
        assert "Cancel it" in before.text
        token = re.search(r'name="form_token" value="([^"]+)"', before.text)
        assert token is not None
        forged = client.post(f"{page}/cancel", data={"reason": "no", "form_token": "x"}, headers={"x-user": "ann"})
        assert forged.status_code == 403
        done = client.post(
            f"{page}/cancel", data={"reason": "no <i>more</i>", "form_token": token[1]}, headers={"x-user": "ann"}
        )
        assert done.status_code == 200
        assert "left for a person" in done.text
        assert "<i>more</i>" not in done.text
        assert "Cancel it" not in done.text


def test_who_may_cancel_but_not_see_is_told_so_and_can_cancel(trips: Trips, client: TestClient) -> None:
    """Mia manages trips: she may cancel every one, and see only her own."""
    trip = trips.start()
    trips.call(trip, "gift.add", what="tea")
    page = f"/console/instances/{trip}"
    with client:
        shown = client.get(page, headers={"x-user": "mia"})
        assert shown.status_code == 200
        assert "You may cancel this instance, but you may not see its state, data or record" in shown.text
        assert "tea" not in shown.text
        assert client.get(page, headers={"x-user": "eve"}).status_code == 403
        token = re.search(r'name="form_token" value="([^"]+)"', shown.text)
        assert token is not None
        done = client.post(f"{page}/cancel", data={"reason": "ill", "form_token": token[1]}, headers={"x-user": "mia"})
        assert (done.status_code, done.url.path) == (200, "/console/attention")
        assert "It is cancelled" in done.text
        assert client.get(page, headers={"x-user": "mia"}).status_code == 403
