"""The parameters of a LangChain tool that the application fills. A model is never offered them and cannot supply them."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from pydantic import BaseModel

from ..context import ToolContext
from ..errors import ContextError, ContractError
from . import _surroundings

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

Fill = Callable[[ToolContext], Any]
"""Returns the value of one parameter for one call."""


class Source(StrEnum):
    """The source of a parameter's value."""

    CALL_ID = "the id of the call"
    STATE = "the state of a graph"
    STORE = "the store of a graph"
    RUNTIME = "the ToolRuntime of a graph"
    APPLICATION = "a value of the application's"


@dataclass(frozen=True)
class Parameter:
    """One parameter that the application fills."""

    name: str
    source: Source
    field: str | None = None
    """The field of the state; None for the whole state."""
    is_optional: bool = False


class Injection:
    """Fills the parameters of one tool."""

    def __init__(self, tool: "BaseTool", fills: Mapping[str, Fill | Any]) -> None:
        self._tool = tool.name
        self._parameters = {parameter.name: parameter for parameter in _parameters(tool)}
        self._fills = dict(fills)
        unknown = sorted({*fills} - {*self._parameters})
        if unknown:
            raise ContractError(
                f"The LangChain tool {tool.name!r} was given inject= for {', '.join(unknown)}, which is not one of its injected parameters; those are "
                f"{', '.join(sorted(self._parameters)) or 'none'}. Annotate it with InjectedToolArg, or leave it out."
            )
        for parameter in self._parameters.values():
            if parameter.source is Source.APPLICATION and not parameter.is_optional and parameter.name not in fills:
                raise ContractError(
                    f"The LangChain tool {tool.name!r} takes {parameter.name!r} from the application (InjectedToolArg), and its "
                    f'value is missing. Pass inject={{"{parameter.name}": lambda ctx: ...}}, a function of the ToolContext, which knows the principal and the workflow.'
                )

    @property
    def names(self) -> frozenset[str]:
        """The parameters that are filled."""
        return frozenset(self._parameters)

    def values(self, ctx: ToolContext | None) -> dict[str, Any]:
        """The values of the parameters for one call.

        Raises:
            ContextError: The tool runs where a parameter has no value.
        """
        values: dict[str, Any] = {}
        for parameter in self._parameters.values():
            try:
                values[parameter.name] = self._value(parameter, ctx)
            except LookupError:
                if not parameter.is_optional:
                    raise ContextError(
                        f"{self._tool} takes {parameter.name!r}, {parameter.source}, and it was called where there is none. It did not run. Run it in a "
                        f'graph, or say what it is with inject={{"{parameter.name}": lambda ctx: ...}}.'
                    ) from None
        return values

    def _value(self, parameter: Parameter, ctx: ToolContext | None) -> Any:
        if parameter.name in self._fills:
            fill = self._fills[parameter.name]
            if not callable(fill):
                return fill
            if ctx is None:
                raise LookupError
            return fill(ctx)
        match parameter.source:
            case Source.CALL_ID:
                return call_id(ctx)
            case Source.STATE:
                return _of_state(_surroundings.state(), parameter.field)
            case Source.STORE:
                return _surroundings.store()
            case Source.RUNTIME:
                return _surroundings.tool_runtime(call_id(ctx))
            case Source.APPLICATION:
                raise LookupError


def call_id(ctx: ToolContext | None) -> str:
    """The tool call id: the same at every attempt of a call, also when its graph runs again."""
    return "interlock" if ctx is None else str(ctx.idempotency_key)


def _of_state(state: Any, field: str | None) -> Any:
    if field is None:
        return state
    if isinstance(state, Mapping):
        return state[field]
    try:
        return getattr(state, field)
    except AttributeError:
        raise LookupError from None


def _parameters(tool: "BaseTool") -> Iterator[Parameter]:
    annotations, optional = _annotations(tool)
    for name, annotation in annotations.items():
        found = _marked(annotation)
        if found is not None:
            source, field = found
            yield Parameter(name, source, field, name in optional)


def functions_of(tool: "BaseTool") -> list[Callable[..., Any]]:
    """The functions that a tool runs."""
    own = [getattr(tool, "func", None), getattr(tool, "coroutine", None)]
    return [one for one in own if one is not None] or [tool._run, tool._arun]


def _annotations(tool: "BaseTool") -> tuple[dict[str, Any], set[str]]:
    """The annotations of all parameters of a tool, from its schema and its functions, and the names of the optional ones."""
    from langchain_core.tools.base import get_all_basemodel_annotations  # noqa: PLC0415 -- heavy, and not everybody's

    annotations: dict[str, Any] = {}
    optional: set[str] = set()
    for function in functions_of(tool):
        try:
            hints = get_type_hints(function, include_extras=True)
        except Exception:  # names that only a type checker can resolve: LangChain cannot either
            hints = {}
        for name, parameter in inspect.signature(function).parameters.items():
            annotations.setdefault(name, hints.get(name, parameter.annotation))
            if parameter.default is not parameter.empty:
                optional.add(name)
    if isinstance(tool.args_schema, type):
        annotations |= get_all_basemodel_annotations(tool.args_schema)
        model: Any = tool.args_schema
        fields: Any = model.model_fields if issubclass(model, BaseModel) else model.__fields__
        for name, info in fields.items():
            required = info.is_required() if callable(getattr(info, "is_required", None)) else bool(info.required)
            (optional.discard if required else optional.add)(name)
    return annotations, optional


def _marked(annotation: Any) -> tuple[Source, str | None] | None:
    """The source of a parameter whose annotation says that the application fills it, or None."""
    from langchain_core.tools import InjectedToolArg, InjectedToolCallId  # noqa: PLC0415 -- see above
    from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime  # noqa: PLC0415

    for one in (annotation, *_within(annotation)):
        kind = one if isinstance(one, type) else getattr(one, "__origin__", None) or type(one)
        if not isinstance(kind, type):
            continue
        if issubclass(kind, ToolRuntime):
            return Source.RUNTIME, None
        if issubclass(kind, InjectedState):
            return Source.STATE, getattr(one, "field", None) if not isinstance(one, type) else None
        if issubclass(kind, InjectedStore):
            return Source.STORE, None
        if issubclass(kind, InjectedToolCallId):
            return Source.CALL_ID, None
        if issubclass(kind, InjectedToolArg) or "_DirectlyInjectedToolArg" in {base.__name__ for base in kind.__mro__}:
            return Source.APPLICATION, None
    return None


def _within(annotation: Any) -> Iterator[Any]:
    for one in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield one
        yield from _within(one)
