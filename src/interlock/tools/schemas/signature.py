"""Reads a function's signature: its parameters with resolved types, and the context parameter."""

import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..context import ToolContext
from ..errors import ContractError
from .foreign import injected

MISSING: Any = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One parameter that the model fills in."""

    name: str
    annotation: Any
    default: Any
    """`MISSING` if the parameter is required."""


@dataclass(frozen=True)
class Signature:
    """A tool function as its contract sees it."""

    parameters: tuple[Parameter, ...]
    context: str | None
    """The parameter that takes the `ToolContext`."""
    returns: Any
    """`MISSING` if the function has no return annotation."""
    is_async: bool


def where(function: Any) -> str:
    """The name and place of a function, for messages."""
    name = getattr(function, "__qualname__", None) or repr(function)
    module = getattr(function, "__module__", None)
    return f"the function {module}.{name}" if module else f"the function {name}"


def first_line(error: Exception) -> str:
    """The first line of an error, without the advice that pydantic adds for its own users."""
    return str(error).strip().partition("\n")[0].partition(". Set `arbitrary")[0].rstrip(".")


def read_signature(function: Callable[..., Any]) -> Signature:
    """Read the signature of a tool function.

    Raises:
        ContractError: It is not a plain function, or a parameter is unclear.
    """
    place = where(function)
    _check_plain(function, place)
    hints = _hints(function, place)
    parameters: list[Parameter] = []
    contexts: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        _check_shape(parameter, place)
        annotation = hints.get(parameter.name, MISSING)
        if annotation is MISSING:
            hint = (
                "annotate it as ctx: ToolContext"
                if parameter.name in {"ctx", "context"}
                else "define the tool on the bound method instead, read('…')(instance.method)"
                if parameter.name in {"self", "cls"}
                else f"give it one, such as {parameter.name}: str"
            )
            raise ContractError(f"{place} has the parameter {parameter.name!r} without an annotation; {hint}")
        refuse_injected(place, parameter.name, annotation)
        if is_context(annotation):
            contexts.append(parameter.name)
        else:
            parameters.append(Parameter(parameter.name, annotation, parameter.default))
    if len(contexts) > 1:
        raise ContractError(f"{place} takes its ToolContext twice, as {' and '.join(contexts)}; keep one of them")
    return Signature(
        parameters=tuple(parameters),
        context=contexts[0] if contexts else None,
        returns=hints.get("return", MISSING),
        is_async=inspect.iscoroutinefunction(function),
    )


def refuse_injected(place: str, name: str, annotation: Any) -> None:
    """Refuse a parameter that LangChain would fill: a contract would ask the model for it, which could then choose the value.

    Raises:
        ContractError: The parameter is one.
    """
    found = injected(annotation)
    if found is not None:
        raise ContractError(
            f"{place} has the parameter {name!r}, annotated with LangChain's {found[0]}, and a contract's function receives only the "
            f"model's arguments and its ToolContext; {found[1]}"
        )


def is_context(annotation: Any) -> bool:
    """Whether an annotation is the context: `ToolContext`, with or without the type of its data."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return any(is_context(arm) for arm in get_args(annotation))
    annotated = get_origin(annotation) or annotation
    return isinstance(annotated, type) and issubclass(annotated, ToolContext)


def _check_plain(function: Any, place: str) -> None:
    mend = "write a function with def or async def (a bound method is fine too) and call the other from it"
    if isinstance(function, functools.partial):
        raise ContractError(f"{function!r} is a partial, whose parameters and description are unclear; {mend}")
    if isinstance(function, staticmethod | classmethod):
        raise ContractError(
            f"{place} is a {type(function).__name__}; put the tool's decorator under @{type(function).__name__}, or "
            "define the tool outside of the class"
        )
    if not isinstance(function, types.FunctionType | types.MethodType):
        raise ContractError(f"{function!r} is a {type(function).__qualname__} and no function; {mend}")
    if function.__name__ == "<lambda>":
        raise ContractError(f"{place} is a lambda, which can have no annotations; {mend}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ContractError(f"{place} yields; a tool has one result: return it")


def _check_shape(parameter: inspect.Parameter, place: str) -> None:
    match parameter.kind:
        case inspect.Parameter.VAR_POSITIONAL:
            name, mend = f"*{parameter.name}", "name each parameter, or take one list"
        case inspect.Parameter.VAR_KEYWORD:
            name, mend = f"**{parameter.name}", "name each parameter, or take one dict"
        case inspect.Parameter.POSITIONAL_ONLY:
            name, mend = f"positional-only {parameter.name!r}", "tools are called by name: remove the '/'"
        case _:
            return
    raise ContractError(f"{place} has the parameter {name}, which the model cannot fill in; {mend}")


def _hints(function: Any, place: str) -> dict[str, Any]:
    plain = inspect.unwrap(getattr(function, "__func__", function))
    try:
        return get_type_hints(plain, localns=dict(_definers_locals(plain)), include_extras=True)
    except NameError as error:
        raise ContractError(
            f"{place} is annotated with {error.name!r}, which cannot be found; import it where the function is defined "
            "(not only under TYPE_CHECKING)"
        ) from None
    except Exception as error:
        raise ContractError(f"{place} has an annotation that cannot be read ({error}); fix it") from error


def _definers_locals(function: types.FunctionType) -> Mapping[str, Any]:
    """Collect the local names of the functions and classes around the current definition, from the call stack.

    Annotations kept as text (``from __future__ import annotations``) may use them, and only the running frames have them.
    """
    names: dict[str, Any] = {}
    frame = sys._getframe(1)
    prefix = function.__qualname__
    while frame := frame.f_back:  # type: ignore[assignment]  # ends the loop
        around = frame.f_code.co_qualname
        if frame.f_code.co_filename == function.__code__.co_filename and prefix.startswith(f"{around}."):
            names = {**frame.f_locals, **names}
    return names
