"""A bank that speaks MCP over standard input and output, and behaves as its folder says: `python bank.py FOLDER`.

It is written by hand, so that it starts at once and can do what no server of the SDK's would. `behaviour.json` in the folder is read anew
for each request; `ledger.jsonl` has every transfer that took place, `requests.jsonl` every request that came.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
LOCK = threading.Lock()
NEVER = threading.Event()


def behaviour() -> dict[str, Any]:
    """How it behaves now."""
    found: dict[str, Any] = json.loads((FOLDER / "behaviour.json").read_text("utf-8"))
    return found


def append(name: str, entry: dict[str, Any]) -> None:
    """Write a line that outlives the process."""
    with (FOLDER / name).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def lines(name: str) -> list[dict[str, Any]]:
    """The lines of such a file."""
    path = FOLDER / name
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def once(mark: str) -> bool:
    """Whether this is the first time in the life of the folder."""
    try:
        (FOLDER / mark).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def transfer(arguments: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    """Move money, once per idempotency key."""
    key = meta.get("io.github.langgraph-interlock/idempotencyKey")
    with LOCK:
        if key is None or key not in [entry["key"] for entry in lines("ledger.jsonl")]:
            append("ledger.jsonl", {"key": key, "amount": arguments["amount"], "pid": os.getpid()})
        left = 100 - sum(entry["amount"] for entry in lines("ledger.jsonl"))
    return {"content": [{"type": "text", "text": f"left: {left}"}], "structuredContent": {"left": left}}


def called(params: dict[str, Any]) -> dict[str, Any]:
    """Answer a call."""
    name, does = params["name"], behaviour().get("on", {}).get(params["name"], {})
    if does.get("dies") == "before":
        os._exit(9)
    if does.get("hangs") == "before" or (does.get("hangs") == "once" and once("hung")):
        NEVER.wait()
    if name == "transfer":
        result = transfer(params["arguments"], params.get("_meta") or {})
    elif name == "environment":
        result = {"content": [{"type": "text", "text": json.dumps(dict(os.environ))}]}
    else:
        result = {"content": [{"type": "text", "text": json.dumps(params["arguments"])}]}
    if does.get("dies") == "after" or (does.get("dies") == "once" and once("died")):
        os._exit(9)
    if does.get("hangs") == "after":
        NEVER.wait()
    return does.get("result", result)  # type: ignore[no-any-return]


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a request, or raise an error of the protocol."""
    now = behaviour()
    info = {"name": now.get("name", "bank"), "version": now.get("version", "1.0")}
    modern = {"resultType": "complete", "ttlMs": now.get("ttlMs", 0), "cacheScope": "private"}
    if method == "server/discover" and not now.get("legacy"):
        stamp = {"io.modelcontextprotocol/serverInfo": info}
        return {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "_meta": stamp, **modern}
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        if now.get("listing_hangs"):
            NEVER.wait()
        return {"tools": now["tools"], **({} if now.get("legacy") else modern)}
    if method == "tools/call":
        does = now.get("on", {}).get(params["name"], {})
        if "error" in does:
            raise ProtocolError(does["error"])
        if not any(tool["name"] == params["name"] for tool in now["tools"]):
            raise ProtocolError({"code": -32602, "message": f"Unknown tool: {params['name']}"})
        result = called(params)
        return result if now.get("legacy") or "resultType" in result else {"resultType": "complete", **result}
    raise ProtocolError({"code": -32601, "message": "Method not found"})


class ProtocolError(Exception):
    """An error of the protocol."""


def handle(request: dict[str, Any]) -> None:
    """Answer one request on a line of its own."""
    try:
        body: dict[str, Any] = {"result": answer(request["method"], request.get("params") or {})}
    except ProtocolError as error:
        body = {"error": error.args[0]}
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], **body}) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    if behaviour().get("complains"):
        sys.stderr.write(behaviour()["complains"] + "\n")
        sys.exit(3)
    if len(lines("starts.jsonl")) >= behaviour().get("starts", 1_000):
        sys.exit("no more starts")
    if behaviour().get("silent"):
        NEVER.wait()
    append("starts.jsonl", {"pid": os.getpid(), "parent": os.getppid()})
    for line in sys.stdin:
        request = json.loads(line)
        append("requests.jsonl", {"method": request["method"], "params": request.get("params")})
        if "id" in request:
            threading.Thread(target=handle, args=(request,), daemon=True).start()


if __name__ == "__main__":
    main()
