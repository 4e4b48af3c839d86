"""What a server says on the wire, heard without the SDK and without the client that is tested."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any


def listed(command: Sequence[str], env: Mapping[str, str], cwd: str) -> list[dict[str, Any]]:
    """Start a server, and give its tools as they came.

    Args:
        command: What starts it.
        env: Variables that it needs.
        cwd: Where it runs.
    """
    process = subprocess.Popen(
        [*command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **env},
        cwd=cwd,
        text=True,
    )
    try:
        client = {"name": "wire", "version": "1"}
        _ask(process, 1, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        _send(process, {"method": "notifications/initialized"})
        tools: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        for number in range(2, 100):
            page = _ask(process, number, "tools/list", cursor)
            tools += page["tools"]
            if not page.get("nextCursor"):
                break
            cursor = {"cursor": page["nextCursor"]}
        return tools
    finally:
        process.kill()
        process.communicate()


def _send(process: subprocess.Popen[str], message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()


def _ask(process: subprocess.Popen[str], number: int, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    _send(process, {"id": number, "method": method, "params": params})
    assert process.stdout is not None
    for line in process.stdout:
        message = json.loads(line)
        if message.get("id") == number and "method" not in message:
            found: dict[str, Any] = message["result"]
            return found
    raise AssertionError(f"the server ended before it had answered {method}")
