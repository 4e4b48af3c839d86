"""The classes of an application that may be written and read."""

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field

from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES

from .classes import Name, known, named
from .declared import declared_types
from .states import NAMED_TUPLE, SUBCLASS, kind_of

_OURS = __name__.partition(".")[0] + "."
_LIBRARIES = ("langchain_core.", "langgraph.")
"""Libraries whose data classes LangGraph itself stores in checkpoints."""


@dataclass(frozen=True)
class Allowed:
    """The allowed classes, and whether others are refused."""

    strict: bool
    by_name: frozenset[Name] = frozenset()
    by_class: frozenset[type] = frozenset()
    _seen: "weakref.WeakSet[type]" = field(default_factory=weakref.WeakSet, compare=False, repr=False)

    @classmethod
    def of(cls, types: Iterable[type | tuple[str, ...]], *, strict: bool) -> "Allowed":
        """Make it from classes and pairs of module and name."""
        return cls(strict).with_more(types, strict=strict)

    def with_more(self, types: Iterable[type | tuple[str, ...]], *, strict: bool = True) -> "Allowed":
        """These and some more."""
        given = list(types)
        found = frozenset(one for one in given if isinstance(one, type))
        pairs = frozenset((one[0], ".".join(one[1:])) for one in given if not isinstance(one, type))
        return Allowed(strict, self.by_name | pairs, self.by_class | found)

    def names(self, cls: type) -> bool:
        """Whether a class is allowed by name. LangGraph omits the outer class from the name of a nested one."""
        module, name = named(cls)
        return (
            cls in self.by_class
            or (module, name) in self.by_name
            or (module, cls.__name__) in self.by_name
            or any(named(one) == (module, name) for one in self.by_class)
        )

    def allows(self, cls: type) -> bool:
        """Whether objects of a class may be written and read.

        Named tuples and subclasses of built-in classes always may: they are values without more, and LangGraph does not say which of
        them the schemas declare.
        """
        if not self.strict or cls in self._seen:
            return True
        allowed = self._allows(cls)
        if allowed:
            self._seen.add(cls)
        return allowed

    def _allows(self, cls: type) -> bool:
        module, name = named(cls)
        if (module, name) in SAFE_MSGPACK_TYPES or module.startswith((_OURS, *_LIBRARIES)) or self.names(cls):
            return True
        if kind_of(cls) in (NAMED_TUPLE, SUBCLASS):
            return True
        there = [found for pair in self.by_name if (found := known(*pair)) is not None]
        declared = declared_types(*self.by_class, *there)  # an allowed class also allows the classes in its fields
        return cls in declared or _origin_of(cls) in declared


def _origin_of(cls: type) -> object:
    """The generic origin of a parametrized pydantic model."""
    metadata = cls.__dict__.get("__pydantic_generic_metadata__")
    return metadata.get("origin") if isinstance(metadata, dict) else None
