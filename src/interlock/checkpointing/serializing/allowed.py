"""Which classes of an application may be written and read."""

from collections.abc import Iterable
from dataclasses import dataclass

from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES

from .classes import Name, named

_OURS = __name__.partition(".")[0] + "."
_LIBRARIES = ("langchain_core.", "langgraph.")
"""Libraries whose data classes LangGraph itself puts into checkpoints."""


@dataclass(frozen=True)
class Allowed:
    """Classes that are named, and whether others are refused."""

    strict: bool
    by_name: frozenset[Name] = frozenset()
    by_class: frozenset[type] = frozenset()

    @classmethod
    def of(cls, types: Iterable[type | tuple[str, ...]], *, strict: bool) -> "Allowed":
        """Of classes, and of pairs of module and name."""
        return cls(strict).with_more(types, strict=strict)

    def with_more(self, types: Iterable[type | tuple[str, ...]], *, strict: bool = True) -> "Allowed":
        """These and some more."""
        given = list(types)
        found = frozenset(one for one in given if isinstance(one, type))
        pairs = frozenset((one[0], ".".join(one[1:])) for one in given if not isinstance(one, type))
        return Allowed(strict, self.by_name | pairs, self.by_class | found)

    def names(self, cls: type) -> bool:
        """Whether a class was allowed by name. LangGraph names a class within another without that."""
        module, name = named(cls)
        return (
            cls in self.by_class
            or (module, name) in self.by_name
            or (module, cls.__name__) in self.by_name
            or any(named(one) == (module, name) for one in self.by_class)
        )

    def allows(self, cls: type) -> bool:
        """Whether objects of a class may be written and read."""
        if not self.strict:
            return True
        module, name = named(cls)
        return (
            (module, name) in SAFE_MSGPACK_TYPES
            or module.startswith((_OURS, *_LIBRARIES))
            or self.names(cls)
            or self._by_origin(cls)
        )

    def _by_origin(self, cls: type) -> bool:
        """A parametrized pydantic model is allowed with the model that it was made of."""
        metadata = cls.__dict__.get("__pydantic_generic_metadata__")
        origin = metadata.get("origin") if isinstance(metadata, dict) else None
        return isinstance(origin, type) and self.names(origin)
