"""Calls a rule of the application that must answer True or False; any other answer is an error, never a yes.

Most Python values are truthy: a reason, a coroutine, a non-empty list. A rule that returns one has a bug, and its intention is
unknown. So only `True` and `False` count; everything else is an error that names the rule.
"""

import functools
import inspect
from collections.abc import Callable
from types import CoroutineType, GeneratorType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from ..errors import RuleError
from ..storable import type_name


def yes_or_no(rule: str, question: Callable[[], Any]) -> bool:
    """Call a rule.

    Args:
        rule: The name of the rule in messages.
        question: Calls the rule.

    Raises:
        RuleError: The rule raised, or answered neither True nor False.
    """
    answer = asked(rule, question)
    if answer is True or answer is False:
        return answer
    raise odd_answer(rule, answer, "return True or False, and nothing else: bool(...) makes one of the two")


def asked(rule: str, question: Callable[[], Any]) -> Any:
    """Return the answer of a rule.

    Raises:
        RuleError: The rule raised an `Exception`. Others, such as a keyboard interrupt, propagate.
    """
    try:
        return question()
    except RuleError:
        raise
    except Exception as error:
        raise RuleError(f"{rule} raised {type_name(error)}", rule=rule) from error


def odd_answer(rule: str, answer: object, advice: str) -> RuleError:
    """The error for an answer that is neither True nor False."""
    discard(answer)
    return RuleError(f"{rule} answered with a value of the type {type_name(answer)}: {advice}", rule=rule)


def discard(answer: object) -> None:
    """Close a coroutine or generator that nobody will run, so that Python does not warn about it later."""
    if issubclass(type(answer), (CoroutineType, GeneratorType)):  # isinstance() would ask the value's own __class__
        cast("CoroutineType[Any, Any, Any]", answer).close()


def plain_function(function: Any) -> Any:
    """The function inside `functools.partial` objects."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def body_of(function: Any) -> Any:
    """The function that a call runs: the one inside `functools.partial` objects, or the `__call__` of an object."""
    plain = plain_function(function)
    return plain if inspect.isroutine(plain) or inspect.isclass(plain) else getattr(type(plain), "__call__", plain)  # noqa: B004


def is_deferred(function: Any) -> bool:
    """Whether a call returns a coroutine or a generator, as far as the definition shows."""
    plain, body = plain_function(function), body_of(function)
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(kind(plain) or kind(body) for kind in kinds)


def why_no_rule(function: Any, *, answers: tuple[type, ...] | None = (bool,)) -> str | None:
    """Explain why something cannot be a rule, as far as its definition shows; None if nothing is wrong.

    Args:
        function: The rule.
        answers: The return types that it may declare; None if any is allowed.
    """
    if not callable(function):
        return f"is {function!r}; give a function"
    if is_deferred(function):
        return "is async or yields, so that what it gives is never False; give a plain def function or lambda"
    returned = None if answers is None else _returned(function)
    if answers is not None and returned is not None and not _may_be(returned, answers):
        told = " or ".join(answer.__name__ if answer is not type(None) else "None" for answer in answers)
        return f"says that it returns {_named(returned)}; it has to return {told}"
    return None


def takes_one(function: Any) -> bool:
    """Whether it can be called with one positional argument, as far as its signature tells."""
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        return False
    except ValueError:  # some built-in functions have no signature
        return True
    return True


def _returned(function: Any) -> Any:
    try:
        return get_type_hints(body_of(function)).get("return")
    except Exception:  # names that only a type checker can resolve
        return None


def _may_be(annotation: Any, answers: tuple[type, ...]) -> bool:
    """Whether an annotation allows only these answers; an annotation that cannot be resolved counts as fitting."""
    origin = get_origin(annotation)
    if origin in {Union, UnionType}:
        return all(_may_be(item, answers) for item in get_args(annotation))
    if origin is Annotated:
        return _may_be(get_args(annotation)[0], answers)
    if origin is Literal:
        return all(type(item) in answers for item in get_args(annotation))
    if isinstance(annotation, type) and origin is None:
        return annotation in {object, Any} or issubclass(annotation, answers)
    return origin is None or not (isinstance(origin, type) and origin is not type)


def _named(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and get_origin(annotation) is None else str(annotation)


__all__ = [
    "asked",
    "body_of",
    "discard",
    "is_deferred",
    "odd_answer",
    "plain_function",
    "takes_one",
    "why_no_rule",
    "yes_or_no",
]
