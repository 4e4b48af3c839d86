"""Several workflows of one service, each compiled with the URL of the same database."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from interlock import SQLCheckpointer, Workflow, command
from interlock.serving import service
from tests.serving.desk import Desk, by_header


@command("stock.count", effect="transactional")
def count() -> str:
    """Count what is there."""
    return "7"


def test_nothing_is_shown_twice_where_each_has_a_store_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'both.db'}"
    savers = SQLCheckpointer(url), SQLCheckpointer(url)
    stock = Workflow("stock").add_state("open").add_edge("open", count, "open")
    graphs = Desk().workflow().compile(savers[0]), stock.compile(savers[1])
    as_operator = {"x-test-user": "olga"}
    with TestClient(service(graphs, principal=by_header)) as client:
        for name in ("desk", "stock"):
            begun = client.post(f"/v1/workflows/{name}/instances", json={}, headers=as_operator).json()
            path = f"/v1/instances/{begun['workflowId']}"
            assert client.get(path, headers=as_operator).json()["workflow"] == name
        ids = [one["workflowId"] for one in client.get("/v1/instances", headers=as_operator).json()["instances"]]
        assert len(ids) == len(set(ids)) == 2
    for saver in savers:
        saver.close()
