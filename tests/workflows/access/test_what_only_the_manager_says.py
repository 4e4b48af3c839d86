"""The reason that only the manager gives, in each user interface: a field of its own, and nobody agrees without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from interlock import Principal, SQLCheckpointer, WorkflowGraph
from interlock.mcp.server.approval_server import ApprovalServer, _decision
from interlock.serving import service
from interlock.tools.errors import InputError
from interlock.workflows.access import access_of, open_access
from tests.cli.support import lines, run
from tests.mcp.server.support import verifier
from tests.workflows.access.desk_app import workflow

WHY = "She closes the books this week."
ANN, MIA = Principal("ann"), Principal("mia")
APP = ("--app", "tests.workflows.access.desk_app:workflow")


@dataclass
class Waiting:
    graph: WorkflowGraph
    db: str
    approval_id: str

    @property
    def access(self) -> dict[str, Any]:
        return access_of(self.graph.engine.store, "ann")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Waiting]:
    """A desk at which one grant waits for the manager."""
    path = str(tmp_path / "access.db")
    graph = workflow().compile(SQLCheckpointer(f"sqlite:///{path}"))
    open_access(graph.engine.store)
    config: Any = {"configurable": {"thread_id": "t-1"}}
    asked = graph.invoke({"messages": [("user", "The ledger, please")], "data": {"person": "ann"}}, config, context=ANN)
    yield Waiting(graph, path, asked["__interrupt__"][0].value["approvalId"])
    graph.engine.store.close()


def test_on_the_command_line(desk: Waiting) -> None:
    shown = run("approvals", "show", desk.approval_id, *APP, "--db", desk.db)
    assert "Why does this person need it?" in shown.output
    assert "mia" in run("approvals", "list", "--db", desk.db).output
    approve = ("approvals", "approve", desk.approval_id, *APP, "--db", desk.db, "--as", "mia")
    bare = run(*approve)
    assert (bare.exit_code, "justification" in bare.output) == (2, True)
    assert run(*approve, "--values", "because").exit_code == 2
    done = run(*approve, "--values", json.dumps({"justification": WHY}), "--json")
    assert (done.exit_code, lines(done.output)[0]["status"]) == (0, "edited")


def test_in_the_api_and_in_the_console(desk: Waiting) -> None:
    app = service(desk.graph, principal=lambda request: Principal(request.headers["x-user"]))
    with TestClient(app, base_url="http://testserver") as client:
        client.headers["x-user"] = "mia"
        shown = client.get(f"/v1/approvals/{desk.approval_id}").json()
        assert shown["fields"][0] | {"schema": ...} == {
            "name": "justification",
            "asks": "Why does this person need it?",
            "required": True,
            "schema": ...,
        }
        decision = f"/v1/approvals/{desk.approval_id}/decision"
        assert client.post(decision, json={"decision": "approve"}).status_code == 400
        wrong = client.post(decision, json={"decision": "reject", "values": {"justification": WHY}})
        assert wrong.status_code in {400, 422}
        page = client.get(f"/console/approvals/{desk.approval_id}").text
        assert "State what only you can say" in page
        assert re.search(r'name="argument.justification"[^>]*required', page)
        assert "Why does this person need it?" in page
        form = dict(re.findall(r'name="(form_token|digest)" value="([^"]*)"', page))
        filled = {**form, "decision": "edit", "argument.justification": WHY}
        sent = client.post(f"/console/approvals/{desk.approval_id}/decide", data=filled, follow_redirects=False)
        assert sent.status_code == 303, sent.text
    assert [*desk.access] == ["ledger"]


async def test_at_the_approvers_mcp_server(desk: Waiting) -> None:
    server = ApprovalServer(desk.graph, tokens=verifier("http://127.0.0.1/approvals"))
    _, shown = await server._found(desk.approval_id, MIA)
    assert shown["fields"][0]["name"] == "justification"  # type: ignore[index,call-overload]
    given = {"approvalId": desk.approval_id, "shownDigest": shown["shownDigest"], "decision": "approve"}
    with pytest.raises(InputError, match="justification"):
        await server._decide(given, MIA)  # type: ignore[arg-type]
    taken = await server._decide({**given, "values": {"justification": WHY}}, MIA)  # type: ignore[dict-item]
    assert taken["status"] == "edited"
    with pytest.raises(InputError, match="Values are an object"):
        _decision({"decision": "reject", "values": {}}, {})


def test_on_the_card(desk: Waiting) -> None:
    card = desk.graph.instances.card(desk.approval_id, by=MIA)
    assert "justification (to be stated)" in str(card)
    assert "mia" in dict(card.rows)["decided by"]
    card.approve(justification=WHY)
    assert [*desk.access] == ["ledger"]
