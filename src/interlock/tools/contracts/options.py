"""Says which options a function has, where it is called with one that it does not have."""

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ..errors import DefinitionError

_ON_EDGES = {
    "approval": "An approval belongs to an edge: add_edge(..., approval=True).",
    "guard": "A guard belongs to an edge: add_edge(..., guard=...).",
}
OF_COMMANDS = _ON_EDGES
OF_READS = {**_ON_EDGES, "effect": "A read changes nothing; declare what writes with @command."}

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


class UnknownOptionError(DefinitionError, TypeError):
    """A function has no option of this name; the message names what was meant, and the options that there are."""


def explains_options(**instead: str) -> Callable[[F], F]:
    """Decorate a function whose options people write by hand, so that its error names the option that was meant.

    Args:
        instead: What to write instead, for options of other libraries and of other functions.
    """

    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters

        @functools.wraps(function)
        def explained(*args: Any, **kwargs: Any) -> Any:
            if not kwargs.keys() <= parameters.keys():
                raise UnknownOptionError(_unknown(function, kwargs.keys() - parameters.keys(), instead))
            return function(*args, **kwargs)

        return cast("F", explained)

    return decorate


def explains_fields(**instead: str) -> Callable[[C], C]:
    """As `explains_options`, for a dataclass whose objects people write by hand."""

    def decorate(made: C) -> C:
        made.__init__ = explains_options(**instead)(made.__init__)  # type: ignore[misc]  # the same signature
        return made

    return decorate


def _unknown(function: Callable[..., Any], given: set[str], instead: Mapping[str, str]) -> str:
    parameters = inspect.signature(function).parameters
    known = [
        name for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD and one.default is not one.empty
    ]
    told = []
    for name in sorted(given):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
        told.append(f"has no option {name!r}." + (f" {_hint(name, near, instead)}" if near or name in instead else ""))
    called = function.__qualname__.removesuffix(".__init__")
    return f"{called}() {' It '.join(told)} Its options are {', '.join(known)}."


def _hint(name: str, near: list[str], instead: Mapping[str, str]) -> str:
    return instead[name] if name in instead else f"Did you mean {near[0]}=?"


__all__ = ["OF_COMMANDS", "OF_READS", "UnknownOptionError", "explains_fields", "explains_options"]
