"""Functions that look at a call before it runs: checks and previews."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ._signature import is_context, where
from .context import ToolContext
from .errors import ContractError


@dataclass(frozen=True)
class Predicate:
    """A function that takes some of a tool's parameters by name, and the context if it asks for it."""

    function: Callable[..., Any]
    parameters: tuple[str, ...]
    context: str | None
    none_holds: bool
    """Whether None is an answer that the function says it gives (``-> str | None``), and no forgotten return."""

    @classmethod
    def read(
        cls, function: Callable[..., Any], role: str, tool: str, names: Collection[str], context: str | None
    ) -> "Predicate":
        """Read what a function takes.

        `names` are the tool's parameters, and `context` is the one of them that takes its context.

        Raises:
            ContractError: it is no plain sync function, or asks for something that the tool does not have.
        """
        place = f"{where(function)}, the {role} of {tool!r}," if callable(function) else f"the {role} of {tool!r}"
        if not callable(function):
            raise ContractError(f"{place} is {function!r}; give a function")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise ContractError(
                f"{place} is async or yields; it is read inside the transaction: give a plain def function"
            )
        hints = _hints_or_text(function)
        taken: list[str] = []
        wants: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            annotation = hints.get(parameter.name)
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
                raise ContractError(
                    f"{place} has the parameter {str(parameter)!r}; name the tool's parameters that it looks at"
                )
            if _asks_for_context(annotation) or (annotation is None and parameter.name in {"ctx", context}):
                wants = parameter.name
            elif parameter.name in names:
                taken.append(parameter.name)
            elif parameter.default is parameter.empty:
                raise ContractError(
                    f"{place} asks for {parameter.name!r}, which is no parameter of the tool; it can have any of "
                    f"{', '.join(sorted(names)) or 'none'}, and ctx: ToolContext"
                )
        return cls(function, tuple(taken), wants, _says_none(hints.get("return")))

    def __call__(self, arguments: Mapping[str, Any], ctx: ToolContext | None) -> Any:
        """Call the function."""
        keywords = {name: arguments[name] for name in self.parameters}
        if self.context is not None:
            keywords[self.context] = ctx
        return self.function(**keywords)

    def reason(self, arguments: Mapping[str, Any], ctx: ToolContext | None) -> str | None:
        """Say why the check does not hold, or None when it does.

        Raises:
            ContractError: the function answered neither True nor False nor a reason.
        """
        answer = self(arguments, ctx)
        if answer is True or (answer is None and self.none_holds):
            return None
        if answer is False:
            return self.what_it_says
        if isinstance(answer, str) and answer:
            return answer
        if inspect.iscoroutine(answer):
            answer.close()
        raise ContractError(
            f"{where(self.function)} answered {type(answer).__qualname__} as a check; return True when it holds, "
            "and False or the "
            "reason as a string when it does not (None holds only where the function is annotated -> str | None)"
        )

    @property
    def what_it_says(self) -> str:
        """What the check demands: the first line of its docstring, or its name."""
        text = inspect.getdoc(self.function)
        return text.splitlines()[0].strip() if text else getattr(self.function, "__name__", repr(self.function))


def _hints_or_text(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except Exception:  # names that only a type checker sees; the text is enough to find the context
        return dict(getattr(function, "__annotations__", {}))


def _asks_for_context(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[")[0].rsplit(".")[-1] == ToolContext.__name__
    return is_context(annotation)


def _says_none(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return re.search(r"\|\s*None\b|\bNone\s*\||\bOptional\[", annotation) is not None
    return get_origin(annotation) in {Union, UnionType} and type(None) in get_args(annotation)
