"""A stand-in for a model provider: OpenAI's chat-completions protocol on a port of this machine.

It answers from a script and refuses what the provider refuses (`provider_rules`), so that real client packages can be
tested without a network. Whole and streamed answers; every request that came is kept.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeAlias

from interlock.testing import Call
from tests.support.provider_rules import Refused, check_request

Scripted: TypeAlias = str | Call | Sequence[Call]

KEY = "a key that opens nothing"


class Provider:
    """The stand-in, listening from `with` to the end of the block.

    Args:
        answers: What the model says, one for each accepted request: a text, a tool call, or several in one message.
    """

    def __init__(self, answers: Sequence[Scripted] = ()) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.accepted: list[dict[str, Any]] = []
        """The bodies of the requests that were answered from the script."""
        self.refused: list[tuple[dict[str, Any], Refused]] = []
        """The bodies of the requests that broke the protocol, and what was wrong with each."""
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    @property
    def offered(self) -> list[list[str]]:
        """The names of the tools in each accepted request."""
        return [[tool["function"]["name"] for tool in body.get("tools", [])] for body in self.accepted]

    @property
    def left(self) -> int:
        """How many answers were not asked for."""
        return len(self._answers)

    def take_answer(self, body: dict[str, Any]) -> Scripted:
        """Check a request and take the answer to it.

        Raises:
            Refused: The request breaks the protocol, or the script has no answer left.
        """
        with self._lock:
            try:
                check_request(body)
            except Refused as refusal:
                self.refused.append((body, refusal))
                raise
            if not self._answers:
                raise Refused("The script of this stand-in has no answer left.", "messages", "script_exhausted")
            self.accepted.append(body)
            return self._answers.pop(0)


class _Server(ThreadingHTTPServer):
    def __init__(self, provider: Provider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # one request per connection: no client is left holding one when its test ends
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            return self._send(404, _error(f"Unknown request URL: POST {self.path}.", "unknown_url"))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._send(401, _error("Incorrect API key provided.", "invalid_api_key"))
        body = json.loads(raw)
        try:
            answer = self.server.provider.take_answer(body)
        except Refused as refusal:
            return self._send(400, refusal.body())
        message, reason = _message(answer)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body["model"]}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
            return self._send(200, {**head, "object": "chat.completion", "choices": [choice], "usage": _USAGE})
        with_usage = (body.get("stream_options") or {}).get("include_usage", False)
        return self._stream({**head, "object": "chat.completion.chunk"}, _deltas(message), reason, with_usage)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, head: dict[str, Any], deltas: Iterator[dict[str, Any]], reason: str, with_usage: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta in deltas:
            self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if with_usage:
            self._event({**head, "choices": [], "usage": _USAGE})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is the library's
        """Stay silent: the requests are kept, not printed."""


_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def _message(answer: Scripted) -> tuple[dict[str, Any], str]:
    """The scripted answer as the provider's message, and why it ended."""
    if isinstance(answer, str):
        return {"role": "assistant", "content": answer, "refusal": None}, "stop"
    calls = [
        {
            "id": made.id if made.id is not None else f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": made.name, "arguments": made.text},
        }
        for made in ([answer] if isinstance(answer, Call) else answer)
    ]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}, "tool_calls"


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if message["content"] is None else ""}
    for word in re.findall(r"\S+\s*|\s+", message["content"] or ""):
        yield {"content": word}
    for index, made in enumerate(message.get("tool_calls", [])):
        name, arguments = made["function"]["name"], made["function"]["arguments"]
        opening = {"index": index, "id": made["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        yield {"tool_calls": [opening]}
        for start in range(0, len(arguments), 8):
            part = {"index": index, "function": {"arguments": arguments[start : start + 8]}}
            yield {"tool_calls": [part]}


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
