"""The definition of one tool as a server publishes it, and of the server that publishes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ...tools.canonical import JsonObject, digest, to_json

HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
PARTS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""The content of a digest: everything that a model, a reviewer or the gate uses."""


@dataclass(frozen=True)
class ToolDefinition:
    """A tool as its server publishes it, verbatim."""

    name: str
    input_schema: JsonObject
    title: str | None = None
    description: str | None = None
    output_schema: JsonObject | None = None
    annotations: JsonObject = field(default_factory=dict)
    """The server's hints, which are not trusted; see `hint`."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ToolDefinition":
        """Parse a definition in the form of the protocol; other keys are dropped.

        Args:
            data: A mapping with ``name``, ``inputSchema`` and further keys.
        """
        return cls(
            name=data["name"],
            title=data.get("title"),
            description=data.get("description"),
            input_schema=cast("JsonObject", to_json(data["inputSchema"])),
            output_schema=cast("JsonObject | None", to_json(data.get("outputSchema"))),
            annotations=cast("JsonObject", to_json(data.get("annotations") or {})),
        )

    def to_json(self) -> JsonObject:
        """Convert the definition to the form of the protocol."""
        found: dict[str, Any] = {"name": self.name, "inputSchema": self.input_schema}
        for key, value in (
            ("title", self.title),
            ("description", self.description),
            ("outputSchema", self.output_schema),
            ("annotations", self.annotations or None),
        ):
            if value is not None:
                found[key] = value
        return found

    @property
    def digest(self) -> str:
        """A digest of the whole definition."""
        return digest(self.to_json())

    def hint(self, name: str) -> bool | None:
        """Return one of the server's hints; None if it is missing or not a boolean."""
        said = self.annotations.get(name)
        return said if isinstance(said, bool) else None


@dataclass(frozen=True)
class ServerIdentity:
    """The identity of a server, as the server itself states it."""

    name: str | None = None
    version: str | None = None
    protocol: str | None = None
    """The protocol version that was negotiated."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ServerIdentity":
        """Parse its form in the lock file."""
        return cls(data.get("name"), data.get("version"), data.get("protocolVersion"))

    def to_json(self) -> JsonObject:
        """Convert it to its form in the lock file."""
        return {"name": self.name, "version": self.version, "protocolVersion": self.protocol}


@dataclass(frozen=True)
class Listing:
    """The identity and the tools of a server at one time."""

    server: ServerIdentity
    tools: tuple[ToolDefinition, ...]

    def named(self, name: str) -> list[ToolDefinition]:
        """Return all definitions with a name. An honest server has at most one."""
        return [tool for tool in self.tools if tool.name == name]

    @property
    def repeated(self) -> list[str]:
        """The names that are listed more than once."""
        names = [tool.name for tool in self.tools]
        return sorted({name for name in names if names.count(name) > 1})


def by_name(tools: Iterable[ToolDefinition]) -> dict[str, ToolDefinition]:
    """Return the definitions by their names."""
    return {tool.name: tool for tool in tools}


__all__ = ["HINTS", "PARTS", "Listing", "ServerIdentity", "ToolDefinition", "by_name"]
