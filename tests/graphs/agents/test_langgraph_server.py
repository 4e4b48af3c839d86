"""LangGraph's own server loads the retail desk from `langgraph.json`, with our checkpointer, and its SDK drives a whole case.

Studio is a page over the same server and the same API.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from interlock import WorkflowStore
from interlock.cli.demo.cases import CASES
from interlock.workflows.retail import read_order

ROOT = Path(__file__).parents[3]
SECONDS = 90

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("langgraph_api") is None or importlib.util.find_spec("langgraph_cli") is None,
    reason="LangGraph's server is not installed: install the extra 'server'",
)


USERS = """
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def who(authorization: str | None) -> dict:
    return {"identity": (authorization or "Bearer nobody").removeprefix("Bearer "), "permissions": ["customer"]}
"""
"""Who acts: on the server only its own authentication says so."""


class Served:
    """A running server, and the folder that it keeps its database in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = f"sqlite:///{folder / 'served.db'}"
        config = json.loads((ROOT / "langgraph.json").read_text("utf-8"))
        config["dependencies"] = [str(folder)]  # the package itself is installed already
        config["auth"] = {"path": "./users.py:auth"}
        (folder / "users.py").write_text(USERS, "utf-8")
        (folder / "langgraph.json").write_text(json.dumps(config), "utf-8")
        shutil.copy(ROOT / "README.md", folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"

    def __enter__(self) -> "Served":
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
        environment = {
            **os.environ,
            "INTERLOCK_DB": self.database,
            "LANGSMITH_TRACING": "false",
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        }
        environment.pop("INTERLOCK_MODEL", None)
        self._output = self.log.open("wb")
        self._process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=self.folder,
            env=environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _wait(self) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(retries=60), timeout=SECONDS) as client:
            while True:
                if self._process.poll() is not None:
                    raise AssertionError(self.log.read_text("utf-8", errors="replace")[-4000:])
                try:
                    if client.get(f"{self.url}/ok").status_code == 200:
                        return
                except httpx.ConnectError:
                    continue


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as served:
        yield served


def as_user(served: Served, name: str) -> Any:
    """A client that the server knows as this user."""
    from langgraph_sdk import get_client

    return get_client(url=served.url, headers={"Authorization": f"Bearer {name}"})


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Any]:
    async with as_user(served, CASE.customer_id) as client:
        yield client


CASE = next(case for case in CASES if case.key == "cancel")


def _status(served: Served, order_id: str) -> str:
    from sqlalchemy.orm import Session

    store = WorkflowStore(served.database)
    with store.read() as connection, Session(bind=connection) as session:
        order = read_order(session, order_id)
    store.close()
    assert order is not None
    return order.status


async def test_the_sdk_starts_a_run_meets_the_approval_and_resumes_it(served: Served, client: Any) -> None:
    thread = (await client.threads.create())["thread_id"]
    said: Any = {"messages": [{"role": "user", "content": CASE.turns[0].says}]}

    asked: Any = await client.runs.wait(thread, "retail-desk", input=said)

    shown = asked["__interrupt__"][0]["value"]
    assert (shown["tool"], shown["type"]) == ("order.cancel", "confirmation")
    order_id = shown["arguments"]["orderId"]
    assert _status(served, order_id) == "pending"
    state: Any = await client.threads.get_state(thread)
    assert state["tasks"][0]["interrupts"][0]["value"]["approvalId"] == shown["approvalId"]

    answer: Any = {"resume": {shown["approvalId"]: {"decisions": [{"type": "approve"}]}}}
    done: Any = await client.runs.wait(thread, "retail-desk", command=answer)

    assert done["last_result"]["ok"] is True
    assert done["state"] == "identified"
    assert _status(served, order_id) == "cancelled"
    store = WorkflowStore(served.database)
    kinds = [record.kind.value for record in store.audit(done["workflow_id"])]
    assert kinds.count("transition") == 2
    assert store.verify(done["workflow_id"]) == []
    store.close()


async def test_an_answer_of_somebody_else_is_refused_and_the_approval_still_waits(served: Served) -> None:
    exchange = next(case for case in CASES if case.key == "exchange")
    said: Any = {"messages": [{"role": "user", "content": exchange.turns[0].says}]}
    async with as_user(served, exchange.customer_id) as client, as_user(served, "mallory") as other:
        thread = (await client.threads.create())["thread_id"]
        asked: Any = await client.runs.wait(thread, "retail-desk", input=said)
        approval_id = asked["__interrupt__"][0]["value"]["approvalId"]

        answer: Any = {"resume": {approval_id: {"type": "approve"}}}
        claimed = {"id": exchange.customer_id, "roles": ["customer"]}
        with pytest.raises(Exception, match="PrincipalError"):
            await other.runs.wait(thread, "retail-desk", command=answer, context=claimed)

        state: Any = await client.threads.get_state(thread)
        assert state["tasks"][0]["interrupts"]


async def test_studio_can_draw_the_graph_and_its_inputs(served: Served, client: Any) -> None:
    (assistant,) = await client.assistants.search(graph_id="retail-desk")

    graph: Any = await client.assistants.get_graph(assistant["assistant_id"])
    schemas: Any = await client.assistants.get_schemas(assistant["assistant_id"])

    assert {"unidentified", "identified", "handed_over"} <= {node["id"] for node in graph["nodes"]}
    assert "messages" in schemas["input_schema"]["properties"]
