"""The bank once more, written with the official SDK: over HTTP, or over standard input and output. `python -m … FOLDER [http PORT]`.

A request without the token that stands in the folder's `token` is turned away, where there is such a file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

FOLDER = Path(sys.argv[1])
server = MCPServer("bank", version="1.0")


@server.tool()
def transfer(amount: int, ctx: Context) -> dict[str, int]:
    """Transfer money."""
    meta = dict(ctx.request_context.meta or {})
    key = meta.get("io.github.langgraph-interlock/idempotencyKey")
    path = FOLDER / "ledger.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if key is None or key not in [entry["key"] for entry in entries]:
        entries.append({"key": key, "amount": amount, "pid": os.getpid(), "traceparent": meta.get("traceparent")})
        with path.open("a") as file:
            file.write(json.dumps(entries[-1]) + "\n")
            file.flush()
            os.fsync(file.fileno())
    if (FOLDER / "die").exists():
        (FOLDER / "die").unlink()
        os._exit(9)
    return {"left": 100 - sum(entry["amount"] for entry in entries)}


@server.tool()
def refuse(why: str) -> str:
    """Refuse."""
    raise ToolError(why)


class Doorman:
    """Asks for the token."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Turn away whoever has none."""
        token = FOLDER / "token"
        if scope["type"] == "http":
            said = dict(scope["headers"]).get(b"authorization", b"").decode()
            with (FOLDER / "authorizations").open("a") as file:
                file.write(said + "\n")
            if token.exists() and said != f"Bearer {token.read_text()}":
                await self.turn_away(send, 401)
                return
            older = (FOLDER / "legacy").exists()
            if older and dict(scope["headers"]).get(b"mcp-method") == b"server/discover":
                await self.turn_away(send, 404)
                return
        await self.app(scope, receive, send)

    async def turn_away(self, send: Any, status: int) -> None:
        """Answer with a status alone."""
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    if sys.argv[2:]:
        import uvicorn

        application = Doorman(server.streamable_http_app())
        uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[3]), log_level="warning")
    else:
        server.run("stdio")
