"""The world outside the database: a process of its own that writes each call down and syncs it to the disk before it answers."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """Where the process listens, and what it wrote down."""

    address: tuple[str, int]
    path: pathlib.Path

    def calls(self, scope: str) -> list[tuple[str, str]]:
        """The calls of one scope: tool and key, in the order in which they came."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        found = [json.loads(line) for line in lines]
        return [(call["tool"], call["key"]) for call in found if call["scope"] == scope]


def call_out(address: tuple[str, int], *, scope: str, tool: str, key: str) -> None:
    """Have an effect in the world outside; when this returns, it has happened."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(json.dumps({"scope": scope, "tool": tool, "key": key}).encode() + b"\n")
        assert connection.recv(3) == b"ok\n"


@contextmanager
def world(folder: pathlib.Path) -> Iterator[World]:
    """Start the process; it ends with the block."""
    path = folder / "effects.jsonl"
    process = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        yield World(("127.0.0.1", port), path)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Recorder(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline()
        if line:
            os.write(_file, line)
            os.fsync(_file)
            self.wfile.write(b"ok\n")


if __name__ == "__main__":
    _file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # One after another: what is written down has an order.
    with socketserver.TCPServer(("127.0.0.1", 0), _Recorder) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
