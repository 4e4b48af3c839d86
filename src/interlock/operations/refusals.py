"""Refusals before any work: arguments of a wrong type, and requests at the graph's entrances, which are recorded."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..commands.running.access import has_thread, meant, record_denial
from ..commands.running.engine import Engine
from ..commands.running.scope import is_nested
from ..tools.errors import InputError, InterlockError, PrincipalError
from ..tools.principal import Principal


def record_refusal(
    engine: Engine, configurable: Mapping[str, Any], error: InterlockError, *, by: Principal | None, **tried: Any
) -> None:
    """Record a denial in the trail of the instance that a config names, if there is one.

    Args:
        engine: The workflow.
        configurable: The `configurable` of the request. Nothing is recorded for a config inside another graph's run, because the
            instance is unknown here.
        error: The error of the refusal.
        by: The principal; None if unknown. A principal of another tenant is not recorded on the instance.
        tried: Details of the request: plain JSON, and never a value that was to be written.
    """
    if is_nested(configurable) or not has_thread(configurable):
        return
    record_denial(engine, meant(engine, configurable), error, by=by, **tried)


FaceT = TypeVar("FaceT")


def _principal(name: str, value: object) -> None:
    if not isinstance(value, Principal):
        raise PrincipalError(
            f"{name}= is {_short(value)}, which does not identify a principal. Nothing was done; pass {name}=Principal(id=...)."
        )


def _id(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InputError(
            f"{name} is {_short(value)}. Nothing was done; pass the ID as a text. It is the `approvalId` of the interrupt, the `approval_id` in "
            "instances.approvals(), or the `proposal_id` of a Pending."
        )


def _which(name: str, value: object) -> None:
    if not isinstance(value, str | Mapping):
        raise InputError(
            f"{name} is {_short(value)}, which does not name an instance. Nothing was done; pass its workflow ID, or the config of its thread, such as "
            '{"configurable": {"thread_id": "t-1"}}.'
        )


def _mapping(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise InputError(
            f'{name} is of the type {type(value).__name__}. Nothing was done; pass a dict with the names on the wire, such as {{"orderId": "W1"}}.'
        )


_CHECKS: dict[str, Callable[[str, object], None]] = {
    "by": _principal,
    "principal": _principal,
    "approval_id": _id,
    "proposal_id": _id,
    "which": _which,
    "config": _which,
    "arguments": _mapping,
}


def checked(face: type[FaceT]) -> type[FaceT]:
    """Make the public methods of a class refuse arguments of a wrong type, by the names of their parameters.

    Otherwise each method would fail differently, somewhere inside: with an `AttributeError`, or with a database error.
    """
    for name in dir(face):
        method = getattr(face, name)
        if not name.startswith("_") and inspect.isfunction(method) and not inspect.isasyncgenfunction(method):
            places = [
                (position, one.name, one.default is None, _CHECKS[one.name])
                for position, one in enumerate(inspect.signature(method).parameters.values())
                # A parameter with another default has another meaning: `by` of `outcomes` takes names of columns.
                if one.name in _CHECKS and (one.default is None or one.default is inspect.Parameter.empty)
            ]
            if places:
                setattr(face, name, _checking(method, places))
    return face


_Place = tuple[int, str, bool, Callable[[str, object], None]]


def _checking(method: Callable[..., Any], places: list[_Place]) -> Callable[..., Any]:
    def check(given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        for position, name, is_optional, test in places:
            if name in named:
                value = named[name]
            elif position < len(given):
                value = given[position]
            else:
                continue  # left out: its default, or Python's own error
            if value is not None or not is_optional:
                test(name, value)

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def awaited(*given: Any, **named: Any) -> Any:
            check(given, named)
            return await method(*given, **named)

        return awaited

    @functools.wraps(method)
    def called(*given: Any, **named: Any) -> Any:
        check(given, named)
        return method(*given, **named)

    return called


def _short(value: object) -> str:
    return repr(value) if isinstance(value, str) and len(value) < 60 else f"of the type {type(value).__name__}"


__all__ = ["checked", "record_refusal"]
