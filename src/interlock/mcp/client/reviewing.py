"""Reviews servers against the lock file, and locks reviewed definitions."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..lock.changes import Change, ChangeKind, server_changes, shadows
from ..lock.definitions import Listing, by_name
from ..lock.lockfile import LockFile
from .tools import MCPTools

REFUSED = frozenset({ChangeKind.CHANGED, ChangeKind.VANISHED, ChangeKind.SHADOWED, ChangeKind.SERVER})
"""The changes that fail a verification. An added tool is only reported, because it is not offered."""


@dataclass(frozen=True)
class Review:
    """The result for some servers."""

    listings: dict[str, Listing]
    changes: tuple[Change, ...]

    @property
    def holds(self) -> bool:
        """Whether all servers match the lock file."""
        return not any(change.kind in REFUSED for change in self.changes)


def review(lock: LockFile, servers: Iterable[MCPTools], *, path: str) -> Review:
    """Connect to servers, and compare their tools with the lock file.

    Args:
        lock: The lock file.
        servers: The servers.
        path: The path of the lock file, for errors.

    Raises:
        LockFileError: A server is not in the lock file.
        ServerUnavailable: A server cannot be reached.
    """
    listings: dict[str, Listing] = {}
    changes: list[Change] = []
    for tools in servers:
        locked = lock.server(tools.name, path)
        listing = listings[tools.name] = _listing(tools)
        changes += server_changes(tools.name, locked.server, locked.definitions, listing)
    everything = {name: locked.definitions for name, locked in lock.servers.items()}
    everything |= {name: everything[name] | by_name(listing.tools) for name, listing in listings.items()}
    return Review(listings, (*changes, *shadows(everything)))


def locked(
    lock: LockFile, servers: Iterable[MCPTools], *, only: Iterable[str] | None = None
) -> tuple[LockFile, tuple[Change, ...]]:
    """Connect to servers, and lock their tools.

    Args:
        lock: The current lock file.
        servers: The servers to lock.
        only: The tools to lock; by default all.

    Returns:
        The new lock file, and the changes in it.

    Raises:
        LockFileError: A server lists a name twice, or does not list one of `only`.
        ServerUnavailable: A server cannot be reached.
    """
    changes: list[Change] = []
    for tools in servers:
        listing = _listing(tools)
        wanted = None if only is None else frozenset(only)
        now = lock.with_listing(tools.name, tools.target.to_json(), listing, only=wanted)
        kept = Listing(listing.server, tuple(one for one in listing.tools if wanted is None or one.name in wanted))
        if (before := lock.servers.get(tools.name)) is not None:
            changes += server_changes(tools.name, before.server, before.definitions, kept)
        lock = now
    return lock, (*changes, *shadows({name: one.definitions for name, one in lock.servers.items()}))


def _listing(tools: MCPTools) -> Listing:
    try:
        return tools.listing()
    finally:
        tools.close()


__all__ = ["REFUSED", "Review", "locked", "review"]
