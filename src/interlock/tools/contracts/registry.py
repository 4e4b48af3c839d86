"""The tools that a workflow knows, by name and version."""

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import RegistryError
from ..wire import WireNames
from .contract import ToolContract


class ToolRegistry:
    """Tool contracts by name and version, possibly several versions of one tool.

    Raises:
        RegistryError: Two different contracts have the same name and version.
    """

    def __init__(self, contracts: Iterable[ToolContract[..., Any]] = ()) -> None:
        self._contracts: dict[str, dict[int, ToolContract[..., Any]]] = {}
        for contract in contracts:
            self.add(contract)

    def add(self, contract: ToolContract[..., Any]) -> None:
        """Add a contract; adding the same one again changes nothing."""
        if not isinstance(contract, ToolContract):
            raise RegistryError(
                f"{contract!r} is not a tool contract; define it with @read, @command or @event from interlock first"
            )
        versions = self._contracts.setdefault(contract.name, {})
        earlier = versions.setdefault(contract.version, contract)
        if earlier is not contract:
            raise RegistryError(
                f"{contract.name} v{contract.version} is defined twice, by {_place(earlier)} and by "
                f"{_place(contract)}; "
                "give one of them another name or another version"
            )

    def get(self, name: str, version: int | None = None) -> ToolContract[..., Any]:
        """Return a contract, by default in its latest version.

        Raises:
            RegistryError: There is no such contract.
        """
        if version is None:
            return self.latest(name)
        contract = self._contracts.get(name, {}).get(version)
        if contract is None:
            known = ", ".join(f"v{number}" for number in self.versions(name))
            raise RegistryError(
                f"there is no {name} v{version} here; " + (f"known are {known}" if known else self._known())
            )
        return contract

    def latest(self, name: str) -> ToolContract[..., Any]:
        """Return the contract with the highest version.

        Raises:
            RegistryError: No tool has that name.
        """
        versions = self._contracts.get(name)
        if not versions:
            raise RegistryError(f"there is no tool {name!r} here; {self._known()}")
        return versions[max(versions)]

    def versions(self, name: str) -> tuple[int, ...]:
        """Return the versions of a tool in ascending order; empty for an unknown tool."""
        return tuple(sorted(self._contracts.get(name, ())))

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical names, in the order in which they were added."""
        return tuple(self._contracts)

    def wire_names(self) -> WireNames:
        """Return the names that the model sees.

        Raises:
            RegistryError: Two tools have the same wire name.
        """
        return WireNames(self)

    def __contains__(self, name: object) -> bool:
        return name in self._contracts

    def __iter__(self) -> Iterator[ToolContract[..., Any]]:
        for versions in self._contracts.values():
            yield from (versions[number] for number in sorted(versions))

    def __len__(self) -> int:
        return sum(map(len, self._contracts.values()))

    def _known(self) -> str:
        return f"known are {', '.join(sorted(self._contracts)) or 'none'}"


def _place(contract: ToolContract[..., Any]) -> str:
    return f"{contract.function.__module__}.{contract.function.__qualname__}"
