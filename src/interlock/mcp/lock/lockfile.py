"""The lock file itself: sorted JSON, one block per server, a digest and a version per tool."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...tools.canonical import JsonObject
from ...tools.errors import LockFileError
from ...tools.sinks import whole_file
from .definitions import Listing, ServerIdentity, ToolDefinition, by_name

FORMAT = 1
"""The version of the file's format."""
LOCK_FILE = "mcp.lock.json"
"""The default name of the file."""


@dataclass(frozen=True)
class LockedTool:
    """One tool as it was reviewed."""

    definition: ToolDefinition
    version: int = 1
    """The version of its contract, which increases each time a change of the definition is locked."""

    def to_json(self) -> JsonObject:
        """Convert it to its form in the lock file."""
        return {"version": self.version, "digest": self.definition.digest, "definition": self.definition.to_json()}


@dataclass(frozen=True)
class LockedServer:
    """One server as it was reviewed."""

    target: JsonObject
    """The target without credentials."""
    server: ServerIdentity
    tools: Mapping[str, LockedTool] = field(default_factory=dict)

    @property
    def definitions(self) -> dict[str, ToolDefinition]:
        """The definitions of its tools, by name."""
        return {name: tool.definition for name, tool in self.tools.items()}

    def to_json(self) -> JsonObject:
        """Convert it to its form in the lock file."""
        return {
            "target": self.target,
            "server": self.server.to_json(),
            "tools": {name: tool.to_json() for name, tool in sorted(self.tools.items())},
        }


@dataclass(frozen=True)
class LockFile:
    """The reviewed definitions of all servers."""

    servers: Mapping[str, LockedServer] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path, *, missing_is_empty: bool = False) -> "LockFile":
        """Read a lock file.

        Args:
            path: Its path.
            missing_is_empty: Whether a missing file counts as an empty one, for locking the first server.

        Raises:
            LockFileError: The file is missing or unreadable, or its digests do not match its definitions.
        """
        try:
            text = Path(path).read_text("utf-8")
        except FileNotFoundError:
            if missing_is_empty:
                return cls()
            raise LockFileError(
                f"There is no lock file {str(path)!r}. No server was reached. Make it with `interlock mcp lock`, and review it."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise LockFileError(
                f"The lock file {str(path)!r} cannot be read ({type(error).__name__}). No server was reached. Check the file."
            ) from error
        try:
            return _read(json.loads(text), str(path))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LockFileError(
                f"The lock file {str(path)!r} is damaged ({type(error).__name__}: {error}). No server was reached. Restore it from version "
                "control, or make it again with `interlock mcp lock` and review it."
            ) from error

    def text(self) -> str:
        """Return the text of the file, sorted and indented, so that a diff shows only the changes."""
        whole = {
            "lockVersion": FORMAT,
            "servers": {name: server.to_json() for name, server in sorted(self.servers.items())},
        }
        return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the file.

        Raises:
            LockFileError: It cannot be written.
        """
        try:
            with whole_file(path) as file:
                file.write(self.text())
        except OSError as error:
            raise LockFileError(
                f"The lock file {str(path)!r} cannot be written ({type(error).__name__}). Nothing was locked. Check the folder."
            ) from error

    def server(self, name: str, path: str | Path) -> LockedServer:
        """Return the locked definition of a server.

        Args:
            name: The name of the server in the file.
            path: The path of the file, for the error.

        Raises:
            LockFileError: The server is not locked.
        """
        found = self.servers.get(name)
        if found is None:
            known = ", ".join(sorted(self.servers)) or "none"
            raise LockFileError(
                f"The lock file {str(path)!r} has no server {name!r} (it has {known}). No server was reached. Lock it with `interlock mcp lock`."
            )
        return found

    def with_listing(
        self, name: str, target: JsonObject, listing: Listing, *, only: frozenset[str] | None = None
    ) -> "LockFile":
        """Return the file with the server locked as it is listed now.

        Args:
            name: The name of the server.
            target: The target without credentials.
            listing: The current listing.
            only: The tools to lock; by default all.

        Raises:
            LockFileError: The server lists a name twice, or does not list one of `only`.
        """
        if listing.repeated:
            raise LockFileError(
                f"The server {name} lists {', '.join(map(repr, listing.repeated))} more than once, and it is unknown which tool would "
                "answer. Nothing was locked. Do not use this server until that is fixed."
            )
        found = by_name(listing.tools)
        if missing := sorted((only or frozenset()) - found.keys()):
            raise LockFileError(
                f"The server {name} does not list {', '.join(map(repr, missing))}. Nothing was locked. It lists {', '.join(sorted(found)) or 'nothing'}."
            )
        before = self.servers[name].tools if name in self.servers else {}
        tools = {
            tool: LockedTool(definition, _version(before.get(tool), definition))
            for tool, definition in found.items()
            if only is None or tool in only
        }
        return replace(self, servers={**self.servers, name: LockedServer(target, listing.server, tools)})


def _version(before: LockedTool | None, now: ToolDefinition) -> int:
    if before is None:
        return 1
    return before.version + (before.definition.digest != now.digest)


def _read(data: Any, path: str) -> LockFile:
    if data["lockVersion"] != FORMAT:
        raise LockFileError(
            f"The lock file {path!r} has the form {data['lockVersion']!r}, and this release reads {FORMAT}. No server was reached. "
            "Use the release that wrote it, or make it again."
        )
    return LockFile({name: _server(name, server, path) for name, server in data["servers"].items()})


def _server(name: str, data: Any, path: str) -> LockedServer:
    tools: dict[str, LockedTool] = {}
    for tool, entry in data["tools"].items():
        definition = ToolDefinition.from_json(entry["definition"])
        version = entry["version"]
        if definition.digest != entry["digest"] or definition.name != tool:
            raise LockFileError(
                f"In the lock file {path!r} the digest of {name}: {tool} is not that of its definition, so one of them was edited by hand. "
                "No server was reached. Restore the file, or make it again with `interlock mcp lock` and review it."
            )
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise ValueError(f"the version of {tool} is {version!r}")
        tools[tool] = LockedTool(definition, version)
    return LockedServer(dict(data["target"]), ServerIdentity.from_json(data["server"]), tools)


__all__ = ["FORMAT", "LOCK_FILE", "LockFile", "LockedServer", "LockedTool"]
