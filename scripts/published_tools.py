"""Write down what real MCP servers publish: the names, descriptions and schemas of their tools, as fixtures for the tests.

    python scripts/published_tools.py [SERVER …]

Each server is installed from npm or PyPI at the version below, into a folder of its own that is removed afterwards, and started
over stdio. It is asked for its tools and for nothing else: no tool is called, and the credentials that some servers insist on are
made up. Needs Node and npm, besides Python.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

TARGET = Path(__file__).parent.parent / "tests" / "tools" / "published"
PROTOCOL = "2025-06-18"
SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A server, and how it is installed and started."""

    name: str
    registry: str
    package: str
    version: str
    start: tuple[str, ...]
    """The program, within what was installed, and its arguments; ``{folder}`` is an empty folder."""
    environment: dict[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    """Further requirements of a Python server."""


def _npm(name: str, package: str, version: str, program: str, *arguments: str, **environment: str) -> Server:
    return Server(name, "npm", package, version, (program, *arguments), environment)


def _pypi(name: str, version: str, *arguments: str, beside: tuple[str, ...] = ()) -> Server:
    package = f"mcp-server-{name}"
    return Server(name, "pypi", package, version, (package, *arguments), beside=beside)


SERVERS = (
    _npm("everything", "@modelcontextprotocol/server-everything", "2026.8.31", "mcp-server-everything"),
    _npm("filesystem", "@modelcontextprotocol/server-filesystem", "2026.8.31", "mcp-server-filesystem", "{folder}"),
    _npm("memory", "@modelcontextprotocol/server-memory", "2026.8.31", "mcp-server-memory"),
    _npm("thinking", "@modelcontextprotocol/server-sequential-thinking", "2026.8.31", "mcp-server-sequential-thinking"),
    _npm("github", "@modelcontextprotocol/server-github", "2025.4.8", "mcp-server-github"),
    _npm(
        "gitlab",
        "@modelcontextprotocol/server-gitlab",
        "2025.4.25",
        "mcp-server-gitlab",
        GITLAB_PERSONAL_ACCESS_TOKEN="made-up",
    ),
    _npm(
        "slack",
        "@modelcontextprotocol/server-slack",
        "2025.4.25",
        "mcp-server-slack",
        SLACK_BOT_TOKEN="made-up",
        SLACK_TEAM_ID="made-up",
    ),
    _npm(
        "maps", "@modelcontextprotocol/server-google-maps", "0.6.2", "mcp-server-google-maps", GOOGLE_MAPS_API_KEY="x"
    ),
    _npm("notion", "@notionhq/notion-mcp-server", "2.5.2", "notion-mcp-server", NOTION_TOKEN="made-up"),
    _npm("playwright", "@playwright/mcp", "0.0.83", "playwright-mcp", "--caps", "vision,pdf"),
    _npm("devtools", "chrome-devtools-mcp", "1.11.0", "chrome-devtools-mcp"),
    _npm("charts", "@antv/mcp-server-chart", "0.9.10", "mcp-server-chart"),
    _npm("git_by_cyanheads", "@cyanheads/git-mcp-server", "2.15.3", "git-mcp-server"),
    _pypi("git", "2026.10.19"),
    _pypi("time", "2026.10.19", "--local-timezone", "UTC"),
    _pypi("fetch", "2026.10.24"),
    _pypi("sqlite", "2025.4.25", "--db-path", "{folder}/empty.db", beside=("mcp<2",)),
)


def installed(server: Server, place: Path) -> Path:
    """Install a server into `place`, and give the folder of its programs."""
    if server.registry == "npm":
        # Without install scripts: some would fetch a browser, which listing tools does not need.
        wanted = f"{server.package}@{server.version}"
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(place), wanted]
        programs = place / "node_modules" / ".bin"
    else:
        venv.create(place, with_pip=True)
        programs = place / "bin"
        wanted = f"{server.package}=={server.version}"
        command = [str(programs / "pip"), "install", "--quiet", wanted, *server.beside]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return programs


class Session:
    """A conversation over stdio: one line of JSON per message."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._asked = 0
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)

    def tell(self, method: str, **parameters: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": parameters})

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a request, and give its result; what the server sends of its own accord is passed over."""
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": parameters})
        while True:
            line = self._lines.get(timeout=SECONDS)
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("id") == self._asked and "method" not in message:
                if "error" in message:
                    raise SystemExit(f"{method} was answered with {message['error']}")
                return dict(message["result"])

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 -- it was opened as a pipe
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()


def listed(server: Server, programs: Path, folder: Path) -> list[dict[str, Any]]:
    """Start a server, and give the tools that it lists."""
    program, *arguments = (part.format(folder=folder) for part in server.start)
    process = subprocess.Popen(
        [str(programs / program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **server.environment},
        cwd=folder,
        text=True,
    )
    try:
        session = Session(process)
        client = {"name": "published-tools", "version": "1"}
        session.ask("initialize", protocolVersion=PROTOCOL, capabilities={}, clientInfo=client)
        session.tell("notifications/initialized")
        tools: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = session.ask("tools/list", **cursor)
            tools += page["tools"]
            if not page.get("nextCursor"):
                return tools
            cursor = {"cursor": page["nextCursor"]}
    finally:
        process.kill()
        process.wait()


def write_down(server: Server) -> int:
    """Write the fixture of a server, and give the number of its tools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, tempfile.TemporaryDirectory() as folder:
        tools = listed(server, installed(server, Path(place)), Path(folder))
        kept = [
            {
                key: tool[key]
                for key in ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
                if key in tool
            }
            for tool in tools
        ]
        # Some servers name the folder they were started on in their descriptions.
        text = json.dumps(kept, ensure_ascii=False).replace(folder, "/folder")
    facts = {
        "registry": server.registry,
        "package": server.package,
        "version": server.version,
        "tools": json.loads(text),
    }
    (TARGET / f"{server.name}.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return len(tools)


def main(*names: str) -> None:
    """Write the fixtures of the servers named, or of all."""
    TARGET.mkdir(exist_ok=True)
    unknown = sorted({*names} - {server.name for server in SERVERS})
    if unknown:
        raise SystemExit(f"No such server: {', '.join(unknown)}. Known are {', '.join(s.name for s in SERVERS)}.")
    for server in SERVERS:
        if not names or server.name in names:
            print(f"{server.name}: {write_down(server)} tools of {server.package} {server.version}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
