"""Conditions over data fields and roles: guards that a proof can evaluate.

Any function of the view is a guard. A condition is a guard with a known meaning: `field("exchanged").equals(False)`. The changes
that edges declare for such a field (`sets=`) are enforced when a tool runs, and used when claims are proved.
"""

import abc
import enum
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ..tools.errors import WorkflowDefinitionError
from .view import GuardView

MOST_VALUES = 64
"""The maximum number of values of a field that a proof tracks individually."""


class Condition(abc.ABC):
    """A guard with a known meaning; combine conditions with `&`, `|` and `~`."""

    def __call__(self, view: GuardView) -> bool:
        """Whether it holds for a view."""
        return self.holds({name: getattr(view.data, name) for name in self.fields}, view.principal.roles)

    @property
    @abc.abstractmethod
    def fields(self) -> frozenset[str]:
        """The fields of the data that the condition uses."""

    @abc.abstractmethod
    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:
        """Whether it holds for these values of its fields and these roles of the proposer."""

    @property
    def needed_roles(self) -> frozenset[str]:
        """The roles that every proposer has for whom it holds."""
        return frozenset()

    @property
    def thresholds(self) -> Mapping[str, int]:
        """For each counter, the number from which on the condition does not distinguish values."""
        return {}

    def named(self, name: str) -> "Condition":
        """Return the same condition with a name for pictures and messages."""
        return Named(name, self)

    def __and__(self, other: "Condition") -> "Condition":
        return All((self, other))

    def __or__(self, other: "Condition") -> "Condition":
        return Either((self, other))

    def __invert__(self) -> "Condition":
        return Not(self)


@dataclass(frozen=True)
class FieldIs(Condition):
    """The value of a field is one of several values."""

    field: str
    values: tuple[Any, ...]

    @property
    def fields(self) -> frozenset[str]:
        """The field of the condition."""
        return frozenset({self.field})

    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:  # noqa: ARG002
        """Whether one of the values equals the field's value and has the same type."""
        value = data[self.field]
        return any(value == one and type(value) is type(one) for one in self.values)

    def __str__(self) -> str:
        return f"{self.field} is {' or '.join(map(_shown, self.values))}"


@dataclass(frozen=True)
class FieldBelow(Condition):
    """A counter in the data is below a bound."""

    field: str
    bound: int

    @property
    def fields(self) -> frozenset[str]:
        """The field of the condition."""
        return frozenset({self.field})

    @property
    def thresholds(self) -> Mapping[str, int]:
        """The condition does not distinguish values from the bound on."""
        return {self.field: self.bound}

    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:  # noqa: ARG002
        """Whether the counter is below the bound."""
        return bool(data[self.field] < self.bound)

    def __str__(self) -> str:
        return f"{self.field} is below {self.bound}"


@dataclass(frozen=True)
class HasRole(Condition):
    """The proposer has a role."""

    role: str

    def __call__(self, view: GuardView) -> bool:
        """Whether the principal is known and has the role."""
        return view.principal.has_role(self.role)

    @property
    def fields(self) -> frozenset[str]:
        """None."""
        return frozenset()

    @property
    def needed_roles(self) -> frozenset[str]:
        """The role of the condition."""
        return frozenset({self.role})

    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:  # noqa: ARG002
        """Whether the role is among those of the proposer."""
        return self.role in roles

    def __str__(self) -> str:
        return f"the proposer has the role {self.role!r}"


@dataclass(frozen=True)
class All(Condition):
    """All of several conditions."""

    parts: tuple[Condition, ...]

    def __call__(self, view: GuardView) -> bool:
        """Whether all of them hold."""
        return all(part(view) for part in self.parts)

    @property
    def fields(self) -> frozenset[str]:
        """The fields of all parts."""
        return frozenset().union(*(part.fields for part in self.parts))

    @property
    def needed_roles(self) -> frozenset[str]:
        """The roles that any part needs."""
        return frozenset().union(*(part.needed_roles for part in self.parts))

    @property
    def thresholds(self) -> Mapping[str, int]:
        """The highest threshold of each field."""
        return _highest(self.parts)

    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:
        """Whether all of them hold."""
        return all(part.holds(data, roles) for part in self.parts)

    def __str__(self) -> str:
        return " and ".join(map(str, self.parts))


@dataclass(frozen=True)
class Either(Condition):
    """At least one of several conditions."""

    parts: tuple[Condition, ...]

    def __call__(self, view: GuardView) -> bool:
        """Whether one of them holds."""
        return any(part(view) for part in self.parts)

    @property
    def fields(self) -> frozenset[str]:
        """The fields of all parts."""
        return frozenset().union(*(part.fields for part in self.parts))

    @property
    def needed_roles(self) -> frozenset[str]:
        """The roles that every part needs."""
        return frozenset.intersection(*(part.needed_roles for part in self.parts))

    @property
    def thresholds(self) -> Mapping[str, int]:
        """The highest threshold of each field."""
        return _highest(self.parts)

    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:
        """Whether one of them holds."""
        return any(part.holds(data, roles) for part in self.parts)

    def __str__(self) -> str:
        return f"({' or '.join(map(str, self.parts))})"


@dataclass(frozen=True)
class Not(Condition):
    """The opposite of a condition."""

    part: Condition

    def __call__(self, view: GuardView) -> bool:
        """Whether it does not hold."""
        return not self.part(view)

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the negated condition."""
        return self.part.fields

    @property
    def thresholds(self) -> Mapping[str, int]:
        """The thresholds of the negated condition."""
        return self.part.thresholds

    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:
        """Whether it does not hold."""
        return not self.part.holds(data, roles)

    def __str__(self) -> str:
        return f"not ({self.part})"


@dataclass(frozen=True)
class Named(Condition):
    """A condition with a name."""

    name: str
    part: Condition

    def __call__(self, view: GuardView) -> bool:
        """Whether it holds."""
        return self.part(view)

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the condition."""
        return self.part.fields

    @property
    def needed_roles(self) -> frozenset[str]:
        """The roles that the condition needs."""
        return self.part.needed_roles

    @property
    def thresholds(self) -> Mapping[str, int]:
        """The thresholds of the condition."""
        return self.part.thresholds

    def holds(self, data: Mapping[str, Any], roles: frozenset[str]) -> bool:
        """Whether it holds."""
        return self.part.holds(data, roles)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Add:
    """A change of a counter by an edge: it grows by this amount, which is not negative."""

    amount: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int) or self.amount < 0:
            raise WorkflowDefinitionError(f"Add({self.amount!r}): give a whole number from 0.")


@dataclass(frozen=True)
class OneOf:
    """A change of a field by an edge: afterwards it has one of these values. Created by `one_of(...)`."""

    values: tuple[Any, ...]


def one_of(*values: Any) -> OneOf:
    """Return a change to one of several values, which the tool chooses."""
    if not values:
        raise WorkflowDefinitionError("one_of() leaves a field no value; give at least one.")
    return OneOf(values)


@dataclass(frozen=True)
class Field:
    """A field of the data, from which conditions are made; created by `field("name")`."""

    name: str

    def equals(self, value: Any) -> Condition:
        """Return the condition that the field has this value."""
        return FieldIs(self.name, (value,))

    def is_in(self, *values: Any) -> Condition:
        """Return the condition that the field has one of these values."""
        return FieldIs(self.name, values)

    def below(self, bound: int) -> Condition:
        """Return the condition that the counter is below a bound, a whole number from 1."""
        if isinstance(bound, bool) or not isinstance(bound, int) or bound < 1:
            raise WorkflowDefinitionError(f"field({self.name!r}).below({bound!r}): give a whole number from 1.")
        return FieldBelow(self.name, bound)


def field(name: str) -> Field:
    """Return a field of the workflow's data, from which conditions are made."""
    return Field(name)


def has_role(role: str) -> Condition:
    """Return the condition that the proposer is known and has a role."""
    return HasRole(role)


def values_of(model: type[BaseModel] | None, name: str, *, bound: int | None) -> tuple[Any, ...]:
    """All values of a field that a proof distinguishes.

    Args:
        model: The workflow's data model.
        name: The field.
        bound: For a counter: the number that represents all values from this one on.

    Raises:
        WorkflowDefinitionError: There is no such field, or its values cannot be enumerated.
    """
    if model is None or name not in model.model_fields:
        raise WorkflowDefinitionError(f"The data has no field {name!r}, which a condition or `sets` of an edge names.")
    annotation = model.model_fields[name].annotation
    if annotation is int:
        if bound is None:
            raise WorkflowDefinitionError(
                f"The field {name!r} is a counter without a bound; compare it with field({name!r}).below(...)."
            )
        return tuple(range(bound + 1))
    found = _finite(annotation)
    if found is None or len(found) > MOST_VALUES:
        raise WorkflowDefinitionError(
            f"The field {name!r} ({annotation!r}) cannot be followed: it takes a bool, an enum, a Literal or a counter, and at most "
            f"{MOST_VALUES} values. Use a plain function as the guard instead."
        )
    return found


def _finite(annotation: Any) -> tuple[Any, ...] | None:
    if annotation is bool:
        return (False, True)
    if annotation is type(None):
        return (None,)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return get_args(annotation)
    if origin in {Union, types.UnionType}:
        parts = [_finite(part) for part in get_args(annotation)]
        return None if None in parts else tuple(value for part in parts if part is not None for value in part)
    return None


def _highest(parts: tuple[Condition, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, bound in part.thresholds.items():
            found[name] = max(bound, found.get(name, 0))
    return found


def _shown(value: Any) -> str:
    return repr(value.value if isinstance(value, enum.Enum) else value)


__all__ = ["Add", "Condition", "Field", "OneOf", "field", "has_role", "one_of", "values_of"]
