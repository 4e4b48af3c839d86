"""The input of a tool: the schema, parsing and serialization of its arguments, and how checks and its function get them."""

import copy
from dataclasses import dataclass
from typing import Any, Protocol

from ..canonical import JsonObject


class Input(Protocol):
    """Parses and serializes the arguments of one tool. Each way to declare a tool's input has one implementation.

    Only `ToolContract.bind` calls `parse`, and it checks the round trip: `parse` has to read the output of `canonical` as
    the same arguments. The result of `parse` is opaque to other code.
    """

    def schema(self) -> JsonObject:
        """The JSON Schema that a model is offered, and that `parse` enforces."""
        ...

    def printed(self) -> JsonObject:
        """The same schema as contracts print it."""
        ...

    @property
    def is_steady(self) -> bool:
        """Whether parsing and serialization are deterministic, because no code of the application takes part."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """The names of the values that a check or preview can take."""
        ...

    def parse(self, arguments: object) -> Any:
        """Parse the arguments of a call.

        Raises:
            InvalidArguments: They do not fit the schema, or cannot be stored.
        """
        ...

    def canonical(self, parsed: Any) -> JsonObject:
        """Serialize arguments completely, with defaults, under their wire names."""
        ...

    def values(self, parsed: Any) -> dict[str, Any]:
        """The values that a check or preview can take."""
        ...

    def keywords(self, parsed: Any) -> dict[str, Any]:
        """The keyword arguments for the function."""
        ...

    def read(self, parsed: Any) -> Any:
        """The parsed object that knows which values are defaults: the pydantic model, if there is one."""
        ...


@dataclass(frozen=True)
class Bound:
    """The arguments of one call. The gate, approvers, fingerprints, the store and the function all use this one object."""

    parsed: Any
    """The arguments for the function, as parsed by the tool's `Input`."""
    canonical: JsonObject
    """The complete arguments as JSON. Approvers see this form, and it parses back to `parsed`."""
    fingerprint: str
    """A digest of tool, version and canonical arguments."""

    def copied(self) -> Any:
        """Copy `parsed` for rules that inspect a call, so that their changes do not affect the function's arguments."""
        try:
            return copy.deepcopy(self.parsed)
        except Exception:  # a value of a class that cannot be copied
            return self.parsed
