"""What a tool takes: how its arguments are described, read, written down, looked at and handed to its function."""

import copy
from dataclasses import dataclass
from typing import Any, Protocol

from ..canonical import JsonObject


class Input(Protocol):
    """Reads and writes the arguments of one tool. There is one for each way in which tools say what they take.

    `ToolContract.bind` is its only caller on the way in, and holds it to this: what `canonical` writes, `parse` reads as
    the same arguments. What `parse` gives is opaque to everybody else.
    """

    def schema(self) -> JsonObject:
        """The JSON Schema that a model is offered, and that `parse` enforces."""
        ...

    def printed(self) -> JsonObject:
        """The same schema as contracts print it."""
        ...

    @property
    def is_steady(self) -> bool:
        """Whether the same arguments are always read and written as the same: nothing of the application's own takes part."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """What a check or preview can ask for."""
        ...

    def parse(self, arguments: object) -> Any:
        """Read the arguments of a call.

        Raises:
            InvalidArguments: They do not fit the schema, or cannot be kept.
        """
        ...

    def canonical(self, parsed: Any) -> JsonObject:
        """Write arguments down in full, defaults included, under their names on the wire."""
        ...

    def values(self, parsed: Any) -> dict[str, Any]:
        """Give everything that a check or preview can ask for."""
        ...

    def keywords(self, parsed: Any) -> dict[str, Any]:
        """Give what the function is called with."""
        ...

    def read(self, parsed: Any) -> Any:
        """Give what knows which of its values were given, and which are defaults: the pydantic model, where there is one."""
        ...


@dataclass(frozen=True)
class Bound:
    """The arguments of one call: what is judged, shown, fingerprinted, stored and run is all this one thing."""

    parsed: Any
    """What the function is called with, as the tool's `Input` reads it."""
    canonical: JsonObject
    """As JSON, in full. It is what an approver is shown, and it reads back as `parsed`."""
    fingerprint: str
    """A digest of tool, version and canonical arguments."""

    def copied(self) -> Any:
        """Give `parsed` as a copy, for rules that look at a call: what they change in it is not what runs."""
        try:
            return copy.deepcopy(self.parsed)
        except Exception:  # a value of a class that cannot be copied
            return self.parsed
