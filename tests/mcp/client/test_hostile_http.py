"""A hostile server over HTTP: whatever it answers, the call comes to an end, with a true word about it and in bounded memory."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from interlock.mcp import MCPTools
from interlock.mcp.client import http
from interlock.mcp.lock.definitions import Listing, ServerIdentity, ToolDefinition
from interlock.mcp.lock.lockfile import LockFile
from interlock.tools.errors import AnswerLost, Refused

TOOL: dict[str, Any] = {"name": "pay", "description": "Pay.", "inputSchema": {"type": "object"}}
MODERN = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
ABOUT = {
    "server/discover": {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "shop", "version": "1"}},
        **MODERN,
    },
    "tools/list": {"tools": [TOOL], **MODERN},
}
DONE = {"resultType": "complete", "content": [{"type": "text", "text": "paid"}]}
ASKS = {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}


class Hostile(BaseHTTPRequestHandler):
    """Lists as any server does, and answers calls as its server says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])) or "{}")
        self.server.seen.append((self.path, request.get("method"), self.headers.get("authorization")))  # type: ignore[attr-defined]
        result = ABOUT.get(request.get("method"))
        if result is not None:
            self.answer("application/json", {"jsonrpc": "2.0", "id": request["id"], "result": result})
            return
        self.server.how(self, {"jsonrpc": "2.0", "id": request.get("id"), "result": DONE})  # type: ignore[attr-defined]

    def answer(self, content_type: str | None, body: Any, status: int = 200, **headers: str) -> None:
        whole = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(whole)

    def endless(self, content_type: str, begins: bytes = b"") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        part = begins + b"x" * 100_000
        try:
            while True:
                self.wfile.write(b"%x\r\n" % len(part) + part + b"\r\n")
        except OSError:
            self.close_connection = True


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def tools(server: Any, tmp_path: Path) -> Iterator[MCPTools]:
    server.seen = []
    lock = tmp_path / "mcp.lock.json"
    listing = Listing(ServerIdentity("shop", "1", "2026-07-28"), (ToolDefinition.from_json(TOOL),))
    LockFile().with_listing("shop", {}, listing).save(lock)
    where = f"http://127.0.0.1:{server.server_address[1]}/mcp"
    made = MCPTools("shop", where, lock=lock, timeout=60, headers={"Authorization": "Bearer a-secret-token"})
    yield made
    made.close()


def sse(*messages: Any) -> bytes:
    return b"".join(b"event: message\ndata: " + json.dumps(one).encode() + b"\n\n" for one in messages)


UNUSABLE = {
    "a page": lambda it, done: it.answer("text/html", b"<html>"),
    "no content type": lambda it, done: it.answer(None, done),
    "broken JSON": lambda it, done: it.answer("application/json", b"{nope"),
    "nothing": lambda it, done: it.answer("application/json", b""),
    "accepted, and no answer": lambda it, done: it.answer(None, b"", 202),
    "two answers in one": lambda it, done: it.answer("application/json", [done, done]),
    "another encoding": lambda it, done: it.answer("application/json", json.dumps(done).encode("utf-16")),
    "a redirect": lambda it, done: it.answer(None, b"", 307, Location="http://localhost:1/elsewhere"),
    "a stream of rubbish": lambda it, done: it.answer("text/event-stream", b"event: message\ndata: {nope\n\n"),
    "a stream without an answer": lambda it, done: it.answer("text/event-stream", b": ping\n\n"),
    "an error page": lambda it, done: it.answer("text/html", b"x" * 100_000, 500),
    "no end": lambda it, done: it.endless("application/json"),
    "an event without an end": lambda it, done: it.endless("text/event-stream", b"data: "),
    "a bomb": lambda it, done: it.answer("application/json", gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_after_an_unusable_answer_it_is_not_known_what_happened(
    what: str, tools: MCPTools, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 1_000_000)
    server.how = UNUSABLE[what]

    with pytest.raises(AnswerLost):
        tools.contract("pay").call({})

    calls = [path for path, method, _ in server.seen if method == "tools/call"]
    assert calls == ["/mcp"]  # once, and nowhere else

    server.how = lambda it, done: it.answer("application/json", done)
    assert tools.contract("pay").call({}) == "paid"


def test_what_turns_a_call_away_is_no_unknown_outcome_and_no_other_address_gets_the_credential(
    tools: MCPTools, server: Any
) -> None:
    challenge = 'Bearer resource_metadata="http://localhost:1/.well-known/oauth-protected-resource"'
    server.how = lambda it, done: it.answer(None, b"", 401, WWW_Authenticate=challenge)

    with pytest.raises(Refused, match="was not accepted"):
        tools.contract("pay").call({})

    assert {path for path, _, _ in server.seen} == {"/mcp"}


def test_a_request_in_the_middle_of_an_answer_is_not_answered(tools: MCPTools, server: Any) -> None:
    server.how = lambda it, done: it.answer("text/event-stream", sse(ASKS, done))

    assert tools.contract("pay").call({}) == "paid"
    assert [method for _, method, _ in server.seen if method is None] == []


def test_a_long_answer_within_the_bound_is_taken(tools: MCPTools, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 400_000)
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 300_000}}
    server.how = lambda it, done: it.answer("text/event-stream", sse(note, note, note, done))

    assert tools.contract("pay").call({}) == "paid"
