"""Assumptions that a proof adds to the definition. The claim names them, the report prints them, and the runtime enforces them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..tools.errors import ClaimError


@dataclass(frozen=True)
class Assumption:
    """One fact that a claim relies on.

    Attributes:
        words: The assumption as a sentence.
        kind: The kind of assumption: `guard`, `asked`, `starts`, `never_forked` or `earlier_versions`.
        function: The guard or condition that the assumption concerns.
        values: The initial values that every instance is assumed to have.
    """

    words: str
    kind: str
    function: Callable[..., Any] | None = None
    values: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return self.words


def guard_holds(guard: Callable[..., Any]) -> Assumption:
    """A guard of the application always returns True. If it returns False in a run, the run records a broken assumption."""
    return Assumption(f"the guard {_name(guard)} always says yes", "guard", function=guard)


def asked(when: Callable[..., Any]) -> Assumption:
    """The condition `when` of an approval always requires a person."""
    return Assumption(f"the condition {_name(when)} always asks a person", "asked", function=when)


def starts_with(**values: Any) -> Assumption:
    """Every instance starts with these values of its data. A start with other values is refused."""
    if not values:
        raise ClaimError("starts_with() assumes nothing; give the fields with their values.")
    said = ", ".join(f"{name} = {value!r}" for name, value in values.items())
    return Assumption(f"every instance starts with {said}", "starts", values=values)


never_forked = Assumption("no instance is forked", "never_forked")
"""No instance continues as a fork of another one. A fork is refused."""
earlier_versions_agree = Assumption("earlier versions of the workflow kept the same claims", "earlier_versions")
"""An instance that an earlier version started has satisfied the claim up to the takeover by this version."""


class Assumptions:
    """Several assumptions, with a lookup for each kind."""

    def __init__(self, assumptions: Iterable[Assumption] = ()) -> None:
        given = tuple(assumptions)
        if wrong := [one for one in given if not isinstance(one, Assumption)]:
            raise ClaimError(
                f"{wrong[0]!r} is not an assumption; pass guard_holds(...), asked(...), starts_with(...), never_forked or "
                "earlier_versions_agree."
            )
        self._guards = [one.function for one in given if one.kind == "guard"]
        self._asked = [one.function for one in given if one.kind == "asked"]
        self.never_forked = any(one.kind == "never_forked" for one in given)
        self.earlier_versions_agree = any(one.kind == "earlier_versions" for one in given)
        self.starting_values: dict[str, Any] = {}
        for one in given:
            self.starting_values.update(one.values or {})

    def holds(self, guard: Callable[..., Any]) -> bool:
        """Whether the guard is assumed to return True."""
        return any(guard is one for one in self._guards)

    def is_asked(self, when: Callable[..., Any]) -> bool:
        """Whether the condition is assumed to require a person."""
        return any(when is one for one in self._asked)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


__all__ = ["Assumption", "Assumptions", "asked", "earlier_versions_agree", "guard_holds", "never_forked", "starts_with"]
