"""Nine public servers: every tool imports as it was published, and calls go there and back through a workflow."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from interlock import SQLCheckpointer
from interlock.mcp import MCPTools
from interlock.mcp.client.reviewing import locked, review
from interlock.mcp.lock.definitions import ToolDefinition
from interlock.mcp.lock.lockfile import LockFile
from interlock.tools.kinds import Effect, ToolKind
from tests.mcp.client.support import ADA, SAID, graph_of, thread
from tests.mcp.public import environment, wire

pytestmark = pytest.mark.xdist_group("public-mcp-servers")


@dataclass
class Public:
    """One server: how it is started, what its tools are, and what they answer."""

    name: str
    command: list[str]
    count: int
    env: dict[str, str] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], bool]]] = field(default_factory=list)
    """A tool, its arguments, and whether its result is right."""


def said(text: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a call went well and its output has this text."""
    return lambda result: result["ok"] is True and text in repr(result["output"])


def refused(text: str) -> Callable[[dict[str, Any]], bool]:
    """Whether the server said no in these words."""
    return lambda result: result["ok"] is False and text in result["error"]["message"]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"a page of this machine")

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def page() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def check(server: Public, folder: Path, saver: SQLCheckpointer) -> None:
    """All of it, for one server."""
    path = folder / "mcp.lock.json"
    published = wire.listed(server.command, server.env, str(folder))
    tools = MCPTools(
        server.name,
        server.command,
        lock=path,
        env=server.env,
        cwd=folder,
        reads=server.reads,
        timeout=60,
        connect_timeout=60,
    )
    lock, changes = locked(LockFile(), [tools])
    lock.save(path)

    assert changes == ()
    imports_verbatim(tools, published, server)
    for number, (tool, arguments, is_right) in enumerate(server.calls):
        contract = tools.contract(tool)
        graph = graph_of(contract, arguments, saver=saver)
        here = thread(f"{server.name}-{number}")
        state = graph.invoke(SAID, here, context=ADA)
        assert is_right(state["last_result"]), f"{tool}: {state['last_result']}"
        records = {entry.audit_ref: entry.tool for entry in graph.instances.audit(here)}
        assert records[state["last_result"]["auditRef"]] == contract.name
    assert review(lock, [tools], path=str(path)).holds


def imports_verbatim(tools: MCPTools, published: list[dict[str, Any]], server: Public) -> None:
    """Every tool as it came over the wire, and none besides; nothing is a read or repeated that our code does not say."""
    contracts = {contract.wire_name: contract for contract in tools.contracts()}
    assert len(published) == len(contracts) == server.count
    for tool in published:
        contract = contracts[tool["name"]]
        assert contract.offered_schema() == tool["inputSchema"]
        assert contract.output_schema() == tool.get("outputSchema", {})
        assert contract.description == tool["description"]
        definition = tools.locked().tools[tool["name"]].definition
        assert definition == ToolDefinition.from_json(tool)
        assert definition.title == tool.get("title")
        assert definition.annotations == tool.get("annotations", {})
        assert (contract.kind is ToolKind.READ) is (tool["name"] in server.reads)
        assert contract.effect in {None, Effect.AT_MOST_ONCE}


# The share of CI


def test_time(tmp_path: Path, saver: SQLCheckpointer) -> None:
    command, env = environment.pypi("time")
    server = Public("time", [*command, "--local-timezone", "UTC"], 2, env, ["get_current_time", "convert_time"])
    server.calls = [
        ("get_current_time", {"timezone": "Europe/Berlin"}, said("Europe/Berlin")),
        ("get_current_time", {"timezone": "Mars/Olympus"}, refused("Mars/Olympus")),
        (
            "convert_time",
            {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
            said("+9"),
        ),
    ]
    check(server, tmp_path, saver)


def test_git(tmp_path: Path, saver: SQLCheckpointer) -> None:
    command, env = environment.pypi("git")
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        subprocess.run(["git", "-C", str(repository), "config", key, value], check=True)
    (repository / "note.txt").write_text("a note")
    here = {"repo_path": str(repository)}
    server = Public("git", command, 12, env, ["git_status", "git_log"])
    server.calls = [
        ("git_status", here, said("note.txt")),
        ("git_add", {**here, "files": ["note.txt"]}, said("staged")),
        ("git_commit", {**here, "message": "Add a note"}, said("committed")),
        ("git_log", here, said("Add a note")),
        ("git_status", {"repo_path": "/nowhere"}, refused("/nowhere")),
    ]
    check(server, tmp_path, saver)


# `make mcp`

whole = pytest.mark.skipif(not environment.is_whole(), reason="all nine servers are started by `make mcp`")


@whole
def test_filesystem(tmp_path: Path, saver: SQLCheckpointer) -> None:
    home = tmp_path / "home"
    home.mkdir()
    server = Public("filesystem", [*environment.npm("filesystem"), str(home)], 14, reads=["read_text_file"])
    server.calls = [
        ("write_file", {"path": str(home / "a.txt"), "content": "of this test"}, said("Successfully wrote")),
        ("read_text_file", {"path": str(home / "a.txt")}, said("of this test")),
        ("read_text_file", {"path": "/etc/passwd"}, refused("denied")),
    ]
    check(server, tmp_path, saver)
    assert (home / "a.txt").read_text() == "of this test"


@whole
def test_everything(tmp_path: Path, saver: SQLCheckpointer) -> None:
    marker = "tok-9f31ab77c0de"
    server = Public("everything", environment.npm("everything"), 13, {"TOKEN": marker}, ["echo", "get-tiny-image"])
    server.calls = [
        ("echo", {"message": "hello"}, said("Echo: hello")),
        ("get-sum", {"a": 2, "b": 3}, said("5")),
        ("get-structured-content", {"location": "New York"}, said("temperature")),
        ("get-tiny-image", {}, lambda result: said("sha256")(result) and "iVBOR" not in repr(result)),
        ("get-env", {}, lambda result: said("TOKEN")(result) and marker not in repr(result)),
    ]
    check(server, tmp_path, saver)


@whole
def test_memory(tmp_path: Path, saver: SQLCheckpointer) -> None:
    env = {"MEMORY_FILE_PATH": str(tmp_path / "memory.json")}
    server = Public("memory", environment.npm("memory"), 9, env, ["read_graph", "search_nodes"])
    ada = {"name": "Ada", "entityType": "person", "observations": ["writes"]}
    server.calls = [
        ("create_entities", {"entities": [ada]}, said("Ada")),
        ("read_graph", {}, said("writes")),
        ("search_nodes", {"query": "nobody"}, said("entities")),
    ]
    check(server, tmp_path, saver)


@whole
def test_sequential_thinking(tmp_path: Path, saver: SQLCheckpointer) -> None:
    thought = {"thought": "First.", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}
    server = Public("thinking", environment.npm("thinking"), 1)
    server.calls = [("sequentialthinking", thought, said("thoughtHistoryLength"))]
    check(server, tmp_path, saver)


@whole
def test_postgres(tmp_path: Path, saver: SQLCheckpointer, postgres_database: str) -> None:
    url = make_url(postgres_database).set(drivername="postgresql").render_as_string(hide_password=False)
    server = Public("postgres", [*environment.npm("postgres"), url], 1, reads=["query"])
    server.calls = [
        ("query", {"sql": "select 6 * 7 as answer"}, said("42")),
        ("query", {"sql": "create table t (x int)"}, lambda result: result["ok"] is False),
    ]
    check(server, tmp_path, saver)


@whole
def test_fetch(tmp_path: Path, saver: SQLCheckpointer, page: str) -> None:
    command, env = environment.pypi("fetch")
    server = Public("fetch", [*command, "--ignore-robots-txt", "--allow-private-ips"], 1, env, ["fetch"])
    server.calls = [
        ("fetch", {"url": page, "raw": True}, said("a page of this machine")),
        ("fetch", {"url": "http://127.0.0.1:1/"}, lambda result: result["ok"] is False),
    ]
    check(server, tmp_path, saver)


@whole
def test_sqlite(tmp_path: Path, saver: SQLCheckpointer) -> None:
    command, env = environment.pypi("sqlite")
    server = Public("sqlite", [*command, "--db-path", str(tmp_path / "shop.db")], 6, env, ["read_query", "list_tables"])
    server.calls = [
        ("create_table", {"query": "create table orders (id int)"}, said("success")),
        ("write_query", {"query": "insert into orders values (7)"}, said("1")),
        ("read_query", {"query": "select id from orders"}, said("7")),
        ("list_tables", {}, said("orders")),
    ]
    check(server, tmp_path, saver)
