"""Asking a rule of the application's own a question that has two answers: whatever is neither of them is not a yes.

Python takes most things for true: a reason, a coroutine, a non-empty list. A rule that answers so was meant otherwise, and which way
nobody can tell. So only `True` and `False` count; everything else is an error that names the rule.
"""

import functools
import inspect
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import RuleError


def yes_or_no(rule: str, question: Callable[[], Any]) -> bool:
    """Ask a rule.

    Args:
        rule: What the rule is called in messages.
        question: Calls it.

    Raises:
        RuleError: It raised, or answered neither True nor False.
    """
    answer = asked(rule, question)
    if answer is True or answer is False:
        return answer
    raise odd_answer(rule, answer, "return True or False, and nothing else: bool(...) makes one of the two")


def asked(rule: str, question: Callable[[], Any]) -> Any:
    """What a rule answers.

    Raises:
        RuleError: It raised. What is no `Exception` goes through: a keyboard interrupt is nobody's answer.
    """
    try:
        return question()
    except RuleError:
        raise
    except Exception as error:
        raise RuleError(f"{rule} raised {type(error).__name__}", rule=rule) from error


def odd_answer(rule: str, answer: object, advice: str) -> RuleError:
    """The error for an answer that says neither yes nor no."""
    discard(answer)
    return RuleError(f"{rule} answered with a value of the type {type(answer).__qualname__}: {advice}", rule=rule)


def discard(answer: object) -> None:
    """Close a coroutine or generator that nobody is going to run, so that it does not complain later."""
    if inspect.iscoroutine(answer) or inspect.isgenerator(answer):
        answer.close()


def plain_function(function: Any) -> Any:
    """The function behind partial applications."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def body_of(function: Any) -> Any:
    """What runs when it is called: the function behind partial applications, the method of an object that can be called."""
    plain = plain_function(function)
    return plain if inspect.isroutine(plain) or inspect.isclass(plain) else getattr(type(plain), "__call__", plain)  # noqa: B004


def is_deferred(function: Any) -> bool:
    """Whether calling it gives a coroutine or a generator, as far as can be seen without calling it."""
    plain, body = plain_function(function), body_of(function)
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(kind(plain) or kind(body) for kind in kinds)


def why_no_rule(function: Any, *, answers: tuple[type, ...] | None = (bool,)) -> str | None:
    """Say why something cannot be asked a question with two answers, as far as can be seen without asking; None where nothing is seen.

    Args:
        function: The rule.
        answers: The types that it may say it returns; None where it may return anything.
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
    except Exception:  # names that only a type checker sees
        return None


def _may_be(annotation: Any, answers: tuple[type, ...]) -> bool:
    """Whether all that an annotation allows is among the answers; what cannot be told is."""
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
