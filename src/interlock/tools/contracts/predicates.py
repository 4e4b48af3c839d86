"""Functions that inspect a call before it runs: checks, previews, and the conditions of approvals."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from ..context import ToolContext
from ..errors import ContractError, Refused, RuleError
from ..schemas.signature import is_context, where
from ..storable import type_name
from .yes_or_no import body_of, odd_answer, plain_function, why_no_rule, yes_or_no


@dataclass(frozen=True)
class Predicate:
    """A function that takes some of a tool's parameters by name, and the context or the view if it asks for them."""

    function: Callable[..., Any]
    label: str
    """The name of the function in messages: the role, the function and the tool."""
    parameters: tuple[str, ...]
    context: str | None
    view: str | None
    """The parameter that takes the view of the workflow, as guards receive it."""
    whole: str | None
    """The parameter that takes the tool's input model."""
    takes_all: bool
    """Whether it takes all parameters of the tool, as `**arguments`."""
    none_holds: bool
    """Whether its annotation declares None as an answer (``-> str | None``), so that None is not a forgotten return."""

    @classmethod
    def read(
        cls,
        function: Callable[..., Any],
        role: str,
        tool: str,
        names: Collection[str],
        context: str | None,
        *,
        model: type[BaseModel] | None = None,
    ) -> "Predicate":
        """Read the signature of a function.

        `names` are the tool's parameters, `context` is the one of them that takes its context, and `model` is the tool's input.

        Raises:
            ContractError: It is not a synchronous function, takes a parameter that the tool does not have, or declares a return
                type that is not an answer.
        """
        place = f"{where(function)}, the {role} of {tool!r}," if callable(function) else f"the {role} of {tool!r}"
        problem = why_no_rule(function, answers=_ANSWERS[role])
        if problem is not None:
            raise ContractError(f"{place} {problem}")
        hints = _hints_or_text(function)
        taken: list[str] = []
        wants: dict[str, str] = {}
        takes_all = False
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:  # functions that are not written in Python have no signature
            raise ContractError(
                f"{place} does not say what it takes; give a function written in Python, or a lambda"
            ) from error
        for parameter in parameters:
            annotation = hints.get(parameter.name)
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_all = True
                continue
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY}:
                raise ContractError(
                    f"{place} has the parameter {str(parameter)!r}; name the tool's parameters that it looks at"
                )
            if _asks_for_context(annotation) or (annotation is None and parameter.name in {"ctx", context}):
                wants["ctx"] = parameter.name
            elif _asks_for_view(annotation, parameter.name, names):
                wants["view"] = parameter.name
            elif model is not None and _asks_for_model(annotation, model):
                wants["whole"] = parameter.name
            elif parameter.name in names:
                taken.append(parameter.name)
            elif parameter.default is parameter.empty:
                raise ContractError(
                    f"{place} asks for {parameter.name!r}, which is not a parameter of the tool; it can have any of "
                    f"{', '.join(sorted(names)) or 'none'}, ctx: ToolContext and view: GuardView"
                )
        if takes_all and model is not None:  # each argument once, and not the model that holds all of them beside them
            taken, takes_all = [*dict.fromkeys([*taken, *model.model_fields])], False
        name = _name(function)
        label = f"the {role} of {tool}" if name is None else f"the {role} {name!r} of {tool}"
        none_holds = _says_none(hints.get("return"))
        return cls(
            function,
            label,
            tuple(taken),
            wants.get("ctx"),
            wants.get("view"),
            whole=wants.get("whole"),
            takes_all=takes_all,
            none_holds=none_holds,
        )

    def __call__(self, arguments: Mapping[str, Any], ctx: ToolContext | None, view: Any = None) -> Any:
        """Call the function.

        Raises:
            RuleError: It raised. `Refused` propagates, because it is an answer.
        """
        given = {name: value for name, value in arguments.items() if name != WHOLE}
        keywords = given if self.takes_all else {name: given[name] for name in self.parameters}
        if self.whole is not None:
            keywords[self.whole] = arguments.get(WHOLE)
        if self.context is not None:
            keywords[self.context] = ctx
        if self.view is not None:
            keywords[self.view] = view
        try:
            return self.function(**keywords)
        except Refused:
            raise
        except Exception as error:
            raise RuleError(f"{self.label} raised {type_name(error)}", rule=self.label) from error

    def reason(self, arguments: Mapping[str, Any], ctx: ToolContext | None, view: Any = None) -> str | None:
        """Return why the check does not hold, or None if it does.

        Raises:
            RuleError: The function raised, or returned neither True nor False nor a reason.
            Refused: The function raised it to refuse the call.
        """
        answer = self(arguments, ctx, view)
        if answer is True or (answer is None and self.none_holds):
            return None
        if answer is False:
            return self.requirement
        if (
            issubclass(type(answer), str) and (told := str.__str__(answer)).strip()
        ):  # a subclass's own methods may raise
            return told
        raise odd_answer(
            self.label,
            answer,
            "return True when it holds, and False or the reason as a string when it does not (None holds only where the "
            "function is annotated -> str | None)",
        )

    def holds(self, arguments: Mapping[str, Any], ctx: ToolContext | None, view: Any = None) -> bool:
        """Return whether the condition holds.

        Raises:
            RuleError: The function raised, or returned neither True nor False.
        """
        try:
            return yes_or_no(self.label, lambda: self(arguments, ctx, view))
        except Refused as error:
            raise RuleError(f"{self.label} raised Refused; it answers True or False", rule=self.label) from error

    @property
    def requirement(self) -> str:
        """The requirement of the check: the first line of its docstring, or that a check of this name does not hold."""
        plain = plain_function(self.function)
        documented = plain if inspect.isroutine(plain) else type(plain)
        text = inspect.getdoc(documented)
        if text and text.strip():
            return text.strip().splitlines()[0].strip()
        name = _name(self.function)
        return (
            f"its check {name!r} does not hold for these arguments"
            if name
            else "its check does not hold for these arguments"
        )


WHOLE = "*"
"""The key of all arguments as one value, in addition to each by its name."""


def looked_at(values: Mapping[str, Any], parsed: Any) -> dict[str, Any]:
    """The values that a function can take: each argument by its name, and all of them as one."""
    return {**values, WHOLE: parsed}


CHECK, PREVIEW, CONDITION, SUPPLIER = "check", "preview", "condition", "supplier"
_ANSWERS: Mapping[str, tuple[type, ...] | None] = {
    CHECK: (bool, str, type(None)),
    PREVIEW: None,
    CONDITION: (bool,),
    SUPPLIER: None,
}
"""The return types that a function in each role may declare."""


def _name(function: Any) -> str | None:
    """The name of a function; None for a lambda."""
    plain = plain_function(function)
    name = str(getattr(plain, "__name__", type(plain).__name__))
    return None if name == "<lambda>" else name


def _asks_for_model(annotation: Any, model: type[BaseModel]) -> bool:
    """Whether a parameter takes the input model of the tool."""
    if isinstance(annotation, str):
        return any(annotation == one.__name__ for one in model.__mro__ if one is not BaseModel and one is not object)
    return (
        isinstance(annotation, type)
        and annotation is not BaseModel
        and issubclass(annotation, BaseModel)
        and issubclass(model, annotation)
    )


def _asks_for_view(annotation: Any, name: str, names: Collection[str]) -> bool:
    """Whether a parameter takes the view that guards receive; its class is in a package above this one."""
    if annotation is None:
        return name == "view" and name not in names
    told = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return told.rsplit(".")[-1] == "GuardView"


def _hints_or_text(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(body_of(function))
    except Exception:  # names that only a type checker can resolve; the text is enough to find the context
        return dict(getattr(body_of(function), "__annotations__", {}))


def _asks_for_context(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[")[0].rsplit(".")[-1] == ToolContext.__name__
    return is_context(annotation)


def _says_none(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return re.search(r"\|\s*None\b|\bNone\s*\||\bOptional\[", annotation) is not None
    return get_origin(annotation) in {Union, UnionType} and type(None) in get_args(annotation)
