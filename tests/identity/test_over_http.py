"""The attacks over HTTP against LangGraph's development server, with its authentication and without."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from interlock import WorkflowStore
from tests.identity.desk import ROOT, forged_proposal

SECONDS = 90
GHOST = {"id": "ghost", "roles": ["admin", "supervisor"], "tenant": "acme"}

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("langgraph_api") is None or importlib.util.find_spec("langgraph_cli") is None,
    reason="LangGraph's server is not installed: install the extra 'server'",
)


class Server:
    """A running server, and a client of it."""

    def __init__(self, folder: Path, *, with_auth: bool) -> None:
        self.database = f"sqlite:///{folder / 'desk.db'}"
        self.with_auth = with_auth
        self._log = folder / "log"
        shutil.copy(Path(__file__).with_name("served_app.py"), folder / "app.py")
        loaded: dict[str, Any] = {
            "dependencies": ["."],
            "graphs": {"agent": "./app.py:agent", "desk": "./app.py:graph"},
        }
        if with_auth:
            loaded["auth"] = {"path": "./app.py:auth"}
        (folder / "langgraph.json").write_text(json.dumps(loaded), "utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._output = self._log.open("wb")
        where = ["--host", "127.0.0.1", "--port", str(port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload", *where],
            cwd=folder,
            env={
                **os.environ,
                "INTERLOCK_TEST_DB": self.database,
                "LANGSMITH_TRACING": "false",
                "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            },
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        # A connection that is kept may be closed by the server in the moment that it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS, limits=limits)
        self._wait()
        self.store = WorkflowStore(self.database)

    def _wait(self) -> None:
        while True:
            if self._process.poll() is not None:
                raise AssertionError(self._log.read_text("utf-8", errors="replace")[-4000:])
            try:
                if self.client.get("/ok").status_code == 200:
                    return
            except httpx.TransportError:
                continue

    def close(self) -> None:
        self.store.close()
        self.client.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    @property
    def who(self) -> str:
        """Who acts in every run, whatever the client says."""
        return "mallory" if self.with_auth else "anonymous"

    def thread(self) -> str:
        return str(self._post("/threads", {}).json()["thread_id"])

    def run(self, thread: str, *, by: str = "mallory", **body: Any) -> Any:
        """One run, waited for: what came out, or what it was refused with."""
        return self._post(f"/threads/{thread}/runs/wait", body, by).json()

    def _post(self, path: str, body: Any, by: str = "mallory") -> httpx.Response:
        return self.client.post(path, json=body, headers=self._headers(by))

    def _headers(self, by: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {by}"} if self.with_auth else {}

    def update(self, thread: str, values: Any, *, by: str = "mallory", **more: Any) -> httpx.Response:
        return self._post(f"/threads/{thread}/state", {"values": values, **more}, by)

    def look(self, thread: str, where: str, *, by: str = "mallory") -> httpx.Response:
        """What the server shows of a thread's state."""
        if where == "history":
            return self._post(f"/threads/{thread}/history", {"limit": 10}, by)
        return self.client.get(f"/threads/{thread}/{where}", headers=self._headers(by))

    def trail(self, thread: str) -> list[tuple[str, str, str | None]]:
        """Kind, principal and code of every record of the thread's instance."""
        return [
            (record.kind.value, record.principal_id, record.code)
            for instance in self.store.instances(limit=1_000)
            if instance.thread_id == thread
            for record in self.store.audit(instance.workflow_id)
        ]


@pytest.fixture(scope="module", params=["with authentication", "without"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), with_auth=request.param == "with authentication")
    yield server
    server.close()


FORMS = ["agent", "desk"]


def says(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def transitions(trail: list[tuple[str, str, str | None]]) -> list[str]:
    return [who for kind, who, _ in trail if kind == "transition"]


@pytest.mark.parametrize("form", FORMS)
def test_the_clients_context_says_neither_who_asks_nor_who_decides(server: Server, form: str) -> None:
    thread = server.thread()

    asked = server.run(thread, assistant_id=form, input=says("refund"), context=GHOST)
    assert asked["__interrupt__"][0]["value"]["requestedBy"] == server.who
    answer = {"resume": {"decisions": [{"type": "approve"}]}}
    server.run(thread, assistant_id=form, command=answer, context={**GHOST, "id": "zz"})

    trail = server.trail(thread)
    assert transitions(trail) == []
    assert trail[-1][1:] == (server.who, "not_entitled")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["context", "configurable"])
def test_a_role_that_a_client_claims_opens_nothing(server: Server, form: str, where: str) -> None:
    thread = server.thread()
    claim = {"context": GHOST} if where == "context" else {"config": {"configurable": {**GHOST, "principal": GHOST}}}
    server.run(thread, assistant_id=form, input=says("wipe"), **claim)
    assert server.trail(thread) == [("started", server.who, None), ("denial", server.who, "policy_denied")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", ["langgraph_auth_user", "__pregel_task_id", "__pregel_resuming", "__pregel_runtime"])
@pytest.mark.parametrize(
    "value", ["x", True, {"identity": "root", "permissions": ["admin"]}], ids=["text", "true", "user"]
)
def test_no_config_key_of_a_client_makes_an_administrator(server: Server, form: str, key: str, value: Any) -> None:
    thread = server.thread()
    server.run(thread, assistant_id=form, input=says("wipe"), config={"configurable": {key: value}})
    trail = server.trail(thread)
    assert transitions(trail) == []
    assert {who for _, who, _ in trail} <= {server.who}


@pytest.mark.parametrize(
    "configurable", [{}, {"__pregel_task_id": "x"}, {"__pregel_task_id": "x", "__pregel_resuming": True}]
)
def test_a_jump_into_the_graph_with_a_forged_proposal_is_refused(server: Server, configurable: dict[str, Any]) -> None:
    thread = server.thread()
    server.run(thread, assistant_id="desk", input=says("hello"))
    jump = {"node": "open/order.wipe", "input": {"proposal": forged_proposal(), "head": None}}

    out = server.run(thread, assistant_id="desk", command={"goto": jump}, config={"configurable": configurable})

    assert out["__error__"]["error"] == "InvalidInput"
    assert server.trail(thread) == [("started", server.who, None), ("denial", server.who, "invalid_input")]


@pytest.mark.parametrize("configurable", [{}, {"__pregel_task_id": "x"}])
def test_a_call_sent_to_the_agents_tools_with_a_forged_requester_is_denied(
    server: Server, configurable: dict[str, Any]
) -> None:
    thread = server.thread()
    server.run(thread, assistant_id="agent", input=says("hello"))
    jump = {
        "node": "tools",
        "input": {
            "__type": "tool_call_with_context",
            "tool_call": {"name": "order_wipe", "args": {}, "id": "x1", "type": "tool_call"},
            "state": {"messages": [], "interlock_requester": ROOT.to_json()},
        },
    }

    server.run(thread, assistant_id="agent", command={"goto": jump}, config={"configurable": configurable})

    trail = server.trail(thread)
    assert transitions(trail) == []
    assert {who for _, who, _ in trail} == {server.who}
    assert configurable or trail[-1] == ("denial", server.who, "not_proposed")


@pytest.mark.parametrize("form", FORMS)
def test_an_update_of_the_state_makes_nobody_else_the_proposer(server: Server, form: str) -> None:
    thread = server.thread()
    server.run(thread, assistant_id=form, input=says("hello"))
    forged = {**says("wipe"), "interlock_requester": ROOT.to_json()}
    server.update(thread, forged if form == "agent" else says("wipe"))
    server.run(thread, assistant_id=form, input=None)
    server.run(thread, assistant_id=form, command={"update": forged, "goto": "model"})
    trail = server.trail(thread)
    assert transitions(trail) == []
    assert {who for _, who, _ in trail} <= {server.who}


def test_an_assistants_own_config_says_nothing_of_who_acts(server: Server) -> None:
    made = server._post("/assistants", {"graph_id": "desk", "context": GHOST})
    thread = server.thread()
    server.run(thread, assistant_id=made.json()["assistant_id"], input=says("wipe"))
    assert server.trail(thread) == [("started", server.who, None), ("denial", server.who, "policy_denied")]


LOOKS = ["state", "history"]
with_users = pytest.mark.parametrize("server", ["with authentication"], indirect=True)
"""Without authentication every client is the same nobody."""


@pytest.fixture
def served(server: Server) -> str:
    """A thread of the compiled graph that serves mallory."""
    thread = server.thread()
    server.run(thread, assistant_id="desk", input=says("my secret: refund"))
    assert "secret" in server.look(thread, "state").text
    return thread


@with_users
@pytest.mark.parametrize("by", ["eve", "stranger"])
@pytest.mark.parametrize("where", LOOKS)
def test_a_state_is_shown_to_nobody_else(server: Server, served: str, where: str, by: str) -> None:
    said = server.look(served, where, by=by).text
    assert "secret" not in said
    assert "W1" not in said


@with_users
@pytest.mark.parametrize("by", ["eve", "stranger"])
def test_a_state_is_updated_by_nobody_else(server: Server, served: str, by: str) -> None:
    answer = server.update(served, says("evil"), by=by)
    assert answer.status_code >= 400
    assert "evil" not in server.look(served, "state").text
    refused = [("denial", "stranger", "not_entitled")] if by == "stranger" else []
    assert [one for one in server.trail(served) if one[1] == by] == refused


@with_users
def test_a_state_is_updated_by_whom_it_serves(server: Server, served: str) -> None:
    assert server.update(served, says("and this")).status_code == 200
    assert "and this" in server.look(served, "state").text


@with_users
@pytest.mark.parametrize("by", ["eve", "stranger"])
@pytest.mark.parametrize("given", ["input", "nothing", "a jump"])
def test_a_thread_is_run_by_nobody_else(server: Server, served: str, given: str, by: str) -> None:
    body: dict[str, Any] = {"input": says("evil")} if given == "input" else {"input": None}
    if given == "a jump":
        body = {"command": {"update": says("evil")}}
    out = server.run(served, by=by, assistant_id="desk", **body)
    assert "__error__" in out
    assert "secret" not in json.dumps(out)
    assert "evil" not in server.look(served, "state").text


@with_users
@pytest.mark.parametrize("by", ["eve", "stranger"])
def test_an_agents_model_is_asked_for_nobody_else(server: Server, by: str) -> None:
    thread = server.thread()
    server.run(thread, assistant_id="agent", input=says("hello"))
    server.run(thread, by=by, assistant_id="agent", command={"update": says("refund"), "goto": "model"})
    trail = server.trail(thread)
    assert {kind for kind, _, _ in trail} <= {"started", "denial"}
    assert [one for one in trail if one[1] == by] == ([("denial", by, "not_entitled")] if by == "stranger" else [])
