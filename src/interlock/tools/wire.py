"""Wire names: camelCase for fields, and tool names that every model provider accepts.

Canonical tool names have dots (``case.assign``), which providers refuse. OpenAI, Anthropic and Gemini all accept
a letter or an underscore, followed by at most 63 letters, digits, underscores and dashes. So each contract also has a wire
name (``case_assign``), and within one workflow the mapping is one to one.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from .errors import RegistryError

TOOL_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
"""The pattern of a canonical name, in addition to `LONGEST_NAME`."""
WIRE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
"""The names that every provider accepts."""
LONGEST_NAME = 64


def wire_name(name: str) -> str:
    """Make the default wire name of a tool: dots become underscores."""
    return name.replace(".", "_")


def published_wire_name(name: str) -> str:
    """Make the wire name of a foreign tool: its own name if every provider accepts that, else a similar valid one.

    Two tools may get the same name; compiling a workflow with both fails.
    """
    if WIRE_NAME.fullmatch(name):
        return name
    made = re.sub(r"[^A-Za-z0-9_-]", "_", _ascii(name))
    return _within(made if re.match("[A-Za-z_]", made) else f"tool_{made}", name)


def published_canonical_name(name: str) -> str:
    """Make the canonical name of a foreign tool: its words in lower case, with the dots kept."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", _ascii(name))
    parts = (re.sub(r"[^A-Za-z0-9]+", "_", part).strip("_").lower() for part in spaced.split("."))
    made = ".".join(part if re.match("[a-z]", part) else f"tool_{part}" for part in parts if part)
    return _within(made or "tool_", name)


def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() if not name.isascii() else name


def _within(made: str, name: str) -> str:
    """Shorten a name to the allowed length, and keep it distinct from others with the same beginning."""
    if len(made) <= LONGEST_NAME and (len(made) > len("tool_") or name.isascii()):
        return made
    return f"{made[: LONGEST_NAME - 9].rstrip('._')}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def camel(name: str) -> str:
    """Turn a Python name into its name on the wire: ``queue_id`` into ``queueId``, ``from_`` into ``from``."""
    first, *rest = name.strip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class Named(Protocol):
    """Anything with both names, such as a contract."""

    @property
    def name(self) -> str:
        """The canonical name."""

    @property
    def wire_name(self) -> str:
        """The name that the model sees."""


class WireNames(Mapping[str, str]):
    """The wire names of one workflow's tools, by canonical name: a bijection.

    Several versions of one tool share its wire name.

    Raises:
        RegistryError: two tools have one wire name, or one tool has two.
    """

    def __init__(self, contracts: Iterable[Named]) -> None:
        self._wire: dict[str, str] = {}
        self._canonical: dict[str, str] = {}
        for contract in contracts:
            self._add(contract.name, contract.wire_name)

    def _add(self, name: str, wire: str) -> None:
        other = self._canonical.setdefault(wire, name)
        if other != name:
            raise RegistryError(
                f"the tools {other!r} and {name!r} would both be {wire!r} to the model; rename one, or give it "
                "another name for the model with wire_name="
            )
        earlier = self._wire.setdefault(name, wire)
        if earlier != wire:
            raise RegistryError(
                f"the tool {name!r} is {earlier!r} to the model in one version and {wire!r} in another; give all "
                "versions one wire_name="
            )

    def to_wire(self, name: str) -> str:
        """The name that the model sees. Raises KeyError for an unknown tool."""
        return self._wire[name]

    def to_canonical(self, wire: str) -> str | None:
        """The canonical name of a called wire name, or None if no tool has that wire name.

        Canonical names are not accepted: the model sees wire names only.
        """
        return self._canonical.get(wire)

    def __getitem__(self, name: str) -> str:
        return self._wire[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._wire)

    def __len__(self) -> int:
        return len(self._wire)
