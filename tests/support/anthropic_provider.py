"""A stand-in for Anthropic: its Messages protocol on a port of this machine, beside `provider` for OpenAI's."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from interlock.testing import Call
from tests.support.anthropic_rules import check_anthropic_request
from tests.support.provider import Scripted
from tests.support.provider_rules import Refused


class AnthropicProvider:
    """What was asked of the stand-in, and what it answers.

    Args:
        answers: What the model says, one for each accepted request: a text, a tool call, or several in one message.
    """

    def __init__(self, answers: Sequence[Scripted]) -> None:
        self.answers = list(answers)
        self.accepted: list[dict[str, Any]] = []
        self.refused: list[Refused] = []
        self.base_url = ""

    def reply(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and the body of the answer to a request."""
        try:
            check_anthropic_request(body)
        except Refused as refusal:
            self.refused.append(refusal)
            return 400, {"type": "error", "error": {"type": "invalid_request_error", "message": refusal.message}}
        self.accepted.append(body)
        answer = self.answers.pop(0)
        calls = [] if isinstance(answer, str) else [answer] if isinstance(answer, Call) else list(answer)
        content: list[dict[str, Any]] = [
            {"type": "tool_use", "id": one.id or f"toolu_{uuid.uuid4().hex}", "name": one.name, "input": one.arguments}
            for one in calls
        ]
        return 200, {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content or [{"type": "text", "text": answer}],
            "stop_reason": "tool_use" if content else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 7},
        }


@contextmanager
def anthropic_provider(answers: Sequence[Scripted]) -> Iterator[AnthropicProvider]:
    """Listen until the end of the block."""
    provider = AnthropicProvider(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            status, answer = provider.reply(body)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        provider.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
