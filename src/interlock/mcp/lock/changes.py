"""Describes the changes between locked definitions and those that a server publishes now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ...tools.canonical import JsonObject, same_json
from ...tools.sinks import json_text, line, quoted
from .definitions import Listing, ServerIdentity, ToolDefinition, by_name

_MOST = 12
"""The maximum number of described differences per tool; further ones are only counted."""
_LONGEST = 2_000
"""The maximum shown length of a text or value, in characters."""
_PARTS = {
    "title": "the title",
    "description": "the description",
    "inputSchema": "the input schema",
    "outputSchema": "the output schema",
    "annotations": "the annotations object",
}


class ChangeKind(StrEnum):
    """The kind of a change to a tool or a server."""

    CHANGED = "changed"
    VANISHED = "vanished"
    SHADOWED = "shadowed"
    """Another tool has its name."""
    ADDED = "added"
    SERVER = "server"
    """The server identifies itself differently."""


@dataclass(frozen=True)
class Change:
    """One change, as text."""

    kind: ChangeKind
    server: str
    tool: str | None
    words: tuple[str, ...]
    """The differences. They quote the server, so they are for reviewers and never for a model."""
    parts: tuple[str, ...] = ()
    """The changed parts of the definition, in Interlock's own words."""

    @property
    def summary(self) -> str:
        """The change in Interlock's own words, without quotes from the server, so that a model may read it."""
        match self.kind:
            case ChangeKind.CHANGED:
                return f"{' and '.join(self.parts)} changed"
            case ChangeKind.VANISHED:
                return "the server does not list it any more"
            case ChangeKind.SHADOWED:
                return "another tool goes by its name"
            case ChangeKind.SERVER:
                return "a different server answers instead"
            case ChangeKind.ADDED:
                return "it was never reviewed"

    @property
    def text(self) -> str:
        """The whole change as one sentence."""
        name = f"{self.server}: {self.tool}" if self.tool else self.server
        return f"{name} {self.kind.value}: {'; '.join(self.words)}"

    def to_json(self) -> JsonObject:
        """Convert it to JSON data."""
        return {"kind": self.kind.value, "server": self.server, "tool": self.tool, "changes": [*self.words]}


def tool_changes(server: str, locked: ToolDefinition, listing: Listing) -> Change | None:
    """Compare one locked tool with the server's current listing.

    Args:
        server: The name of the server in the lock file.
        locked: The tool as it was reviewed.
        listing: The current listing.

    Returns:
        The change; None if there is none.
    """
    found = listing.named(locked.name)
    if not found:
        return Change(ChangeKind.VANISHED, server, locked.name, ("the server does not list it any more",))
    if len(found) > 1:
        return Change(
            ChangeKind.SHADOWED,
            server,
            locked.name,
            (f"the server lists {len(found)} tools of this name, so which one would answer is not known",),
        )
    if found[0].digest == locked.digest:
        return None
    before, after = locked.to_json(), found[0].to_json()
    parts = tuple(part for key, part in _PARTS.items() if not same_json(before.get(key), after.get(key)))
    return Change(ChangeKind.CHANGED, server, locked.name, _limited([*_differences(locked, found[0])]), parts)


def server_changes(
    server: str, locked: ServerIdentity, tools: Mapping[str, ToolDefinition], listing: Listing
) -> list[Change]:
    """Compare all locked definitions of a server with its current listing, for reviews.

    Args:
        server: The name of the server in the lock file.
        locked: The locked identity of the server.
        tools: Its tools as they were reviewed, by name.
        listing: The current listing.
    """
    found: list[Change] = []
    if words := [*identity_words(locked, listing.server)]:
        found.append(Change(ChangeKind.SERVER, server, None, tuple(words)))
    found += filter(None, (tool_changes(server, tool, listing) for _, tool in sorted(tools.items())))
    for name, tool in sorted(by_name(listing.tools).items()):
        if name not in tools:
            found.append(Change(ChangeKind.ADDED, server, name, (f"it says of itself {quoted(tool.description)}",)))
    return found


def identity_words(locked: ServerIdentity, now: ServerIdentity) -> Iterator[str]:
    """Describe the changes in a server's identity."""
    for what, before, after in (
        ("name", locked.name, now.name),
        ("version", locked.version, now.version),
        ("protocol version", locked.protocol, now.protocol),
    ):
        if before != after:
            yield f"its {what} was {quoted(before)} and is {quoted(after)}"


def shadows(listings: Mapping[str, Mapping[str, ToolDefinition]]) -> list[Change]:
    """Find names that several servers have, because the new tool of one server may be mistaken for that of another.

    Args:
        listings: The tools of every server, by name.
    """
    found: list[Change] = []
    homes: dict[str, list[str]] = {}
    for server, tools in sorted(listings.items()):
        for name in sorted(tools):
            homes.setdefault(name, []).append(server)
    for name, servers in sorted(homes.items()):
        for server in servers[1:]:
            found.append(
                Change(ChangeKind.SHADOWED, server, name, (f"the server {servers[0]} has a tool of this name",))
            )
    return found


def _differences(locked: ToolDefinition, now: ToolDefinition) -> Iterator[str]:
    before, after = locked.to_json(), now.to_json()
    for key, part in _PARTS.items():
        for path, was, is_now in _compared((), before.get(key, _ABSENT), after.get(key, _ABSENT)):
            yield _in_words(f"{part} at {'.'.join(map(line, path))}" if path else part, was, is_now)


def _compared(path: tuple[str, ...], before: Any, after: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """The innermost differing places, each with its old and new value."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _compared((*path, key), before.get(key, _ABSENT), after.get(key, _ABSENT))
    elif before is _ABSENT or after is _ABSENT:
        if before is not after:
            yield path, before, after
    elif not same_json(before, after):
        yield path, before, after


def _in_words(place: str, before: Any, after: Any) -> str:
    if before is _ABSENT:
        return f"{place} is new: {_shown(after)}"
    if after is _ABSENT:
        return f"{place} was removed; it was {_shown(before)}"
    return f"{place} was {_shown(before)} and is {_shown(after)}"


def _shown(value: Any) -> str:
    written = quoted(value) if isinstance(value, str) else json_text(value)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}… ({len(written)} characters)"


_ABSENT = object()
"""Marks an absent value, which differs from a JSON null."""


def _limited(words: list[str]) -> tuple[str, ...]:
    more = len(words) - _MOST
    return (*words[:_MOST], f"and {more} more differences") if more > 0 else tuple(words)


__all__ = ["Change", "ChangeKind", "identity_words", "server_changes", "shadows", "tool_changes"]
