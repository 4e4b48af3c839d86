"""The environments that public servers run in, apart from ours: pinned, made once, in `.mcp-servers/` at the top."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.servers import REQUIRE

HOME = Path(__file__).parents[3] / ".mcp-servers"
NODE = "node@22.22.0"
"""npm's package of Node: some servers ask for 22.19 or later."""
NPM = {
    "everything": "@modelcontextprotocol/server-everything@2026.8.31",
    "filesystem": "@modelcontextprotocol/server-filesystem@2026.8.31",
    "memory": "@modelcontextprotocol/server-memory@2026.8.31",
    "postgres": "@modelcontextprotocol/server-postgres@0.6.2",
    "thinking": "@modelcontextprotocol/server-sequential-thinking@2026.8.31",
}
PYPI = {
    "fetch": ["mcp-server-fetch==2026.10.24"],
    "git": ["mcp-server-git==2026.10.19"],
    "sqlite": ["mcp-server-sqlite==2025.4.25", "mcp<2"],
    "time": ["mcp-server-time==2026.10.19"],
}
BESIDE = {"git": ["gitpython==3.1.45", "gitdb==4.0.12", "smmap==5.0.2", "click"], "time": ["tzlocal", "tzdata"]}
"""What the servers of the share need beside what the tests have: so it takes seconds to install them."""


def is_whole() -> bool:
    """Whether all servers are asked for, and not only the share."""
    return os.environ.get("INTERLOCK_MCP") == "all"


def npm(name: str) -> list[str]:
    """The command of a server from npm, after it was installed."""
    home = HOME / "npm"
    if not (home / "ready").exists():
        if shutil.which("npm") is None:
            _missing("npm is not installed")
        home.mkdir(parents=True, exist_ok=True)
        wanted = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(home), NODE, *NPM.values()]
        _done(wanted)
        (home / "ready").touch()
    package = NPM[name].rpartition("@")[0]
    return [str(home / "node_modules" / ".bin" / "node"), str(home / "node_modules" / package / "dist" / "index.js")]


def pypi(name: str) -> tuple[list[str], dict[str, str]]:
    """The command of a server from PyPI and the variables it needs, after it was installed."""
    if not is_whole():
        return _beside_ours(name)
    home = HOME / name
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        _done([str(home / "bin" / "python"), "-m", "pip", "install", "-q", *PYPI[name]])
        (home / "ready").touch()
    return [str(home / "bin" / f"mcp-server-{name}")], {}


def _beside_ours(name: str) -> tuple[list[str], dict[str, str]]:
    """A server in a folder of its own, with the SDK that the tests have."""
    home = HOME / f"share-{name}"
    if not (home / "ready").exists():
        wanted = [*PYPI[name], *BESIDE[name]]
        _done([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(home), *wanted])
        (home / "ready").touch()
    return [sys.executable, "-m", f"mcp_server_{name}"], {"PYTHONPATH": str(home)}


def _done(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        _missing(f"{' '.join(command[:4])} … ended with {done.returncode}: {done.stderr[-400:]}")


def _missing(why: str) -> None:
    """A failure where servers are required or were asked for, and else a visible skip."""
    if os.environ.get(REQUIRE) or is_whole():
        pytest.fail(f"the public MCP servers cannot be had: {why}")
    pytest.skip(f"the public MCP servers cannot be had: {why}")
