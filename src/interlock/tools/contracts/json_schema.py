"""Contracts of tools that are described only by a JSON Schema: tools of servers, of other languages, and of other registries."""

import copy
import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, JsonValue, TypeAdapter
from pydantic_core import to_jsonable_python

from ..canonical import JsonObject
from ..errors import ContractError
from ..functions import Rule
from ..kinds import Effect, EffectName, KindName, ToolKind
from ..model_answers import Answers, AnswersName
from ..schemas.arguments import invalid, plain_arguments
from ..schemas.published import published_schema
from ..schemas.signature import is_context
from ..schemas.validator import Validator
from ..wire import LONGEST_NAME, TOOL_NAME, published_canonical_name, published_wire_name
from .contract import ToolContract
from .decorators import make_contract
from .published_shape import ToolAnnotations
from .retry import RetryPolicy
from .undo import Undo

WHOLE = "arguments"
"""The name of the parameter that receives all arguments as one dict."""


class SchemaInput:
    """The input of a tool that a published JSON Schema describes. The arguments are a dict, unchanged."""

    def __init__(
        self, tool: str, schema: object, place: str, *, passed_over: Callable[[str], bool] | None = None
    ) -> None:
        """Create it from a schema.

        Args:
            tool: The name of the tool.
            schema: Its schema.
            place: The name of the tool in errors.
            passed_over: Whether an argument is dropped from calls, as if it had not been given.
        """
        self._tool = tool
        self._passed_over = passed_over
        self._validator = Validator(published_schema(schema, place))
        self._validator.check()

    is_steady = True

    def schema(self) -> JsonObject:
        """The schema as published."""
        return self._validator.schema

    def printed(self) -> JsonObject:
        """The same schema."""
        return self._validator.schema

    @property
    def _properties(self) -> list[str]:
        own = self._validator.schema.get("properties")
        return [name for name in own if name.isidentifier()] if isinstance(own, dict) else []

    @property
    def names(self) -> frozenset[str]:
        """The arguments whose names are Python identifiers, and `arguments` for all of them."""
        return frozenset([*self._properties, WHOLE])

    @property
    def varying(self) -> frozenset[str]:
        """Always empty: omitted arguments stay omitted, because a default in a JSON Schema only documents the tool's behaviour."""
        return frozenset()

    def parse(self, arguments: object) -> JsonObject:
        """Validate the arguments of a call against the schema.

        Raises:
            InvalidArguments: They do not fit, or cannot be stored.
        """
        given = plain_arguments(self._tool, arguments)
        if self._passed_over is not None:
            given = {name: item for name, item in given.items() if not self._passed_over(name)}
        problems = self._validator.problems(given)
        if problems:
            raise invalid(self._tool, problems)
        return given

    def canonical(self, parsed: Any) -> JsonObject:
        """Return the arguments unchanged."""
        return cast("JsonObject", copy.deepcopy(parsed))

    def values(self, parsed: Any) -> dict[str, Any]:
        """Return the arguments by name, with None for omitted ones, and all of them as `arguments`."""
        return {WHOLE: parsed, **{name: parsed.get(name) for name in self._properties}}

    def keywords(self, parsed: Any) -> dict[str, Any]:
        """Return all arguments as one separate dict."""
        return {WHOLE: copy.deepcopy(parsed)}

    def read(self, parsed: Any) -> Any:
        """Return the arguments unchanged, without defaults."""
        return parsed


def contract_from_schema(
    name: str,
    input_schema: Mapping[str, Any],
    call: Callable[..., Any],
    *,
    coroutine: Callable[..., Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
    kind: ToolKind | KindName = ToolKind.COMMAND,
    version: int = 1,
    effect: Effect | EffectName = Effect.AT_MOST_ONCE,
    description: str | None = None,
    wire_name: str | None = None,
    answers: Answers | AnswersName | None = None,
    check: Rule | None = None,
    preview: Rule | None = None,
    undo: Undo | ToolContract | Literal[False] | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | dt.timedelta | None = None,
    sensitive: Iterable[str] = (),
    annotations: ToolAnnotations | Mapping[str, bool] | None = None,
    trust_markers: bool = False,
) -> ToolContract:
    """Create the contract of a tool that is described by a JSON Schema.

    The model receives the schema unchanged. The arguments of a proposal are validated against it, and run as they were given, without
    adding defaults. `format` is not asserted, which is the standard's default.

    Args:
        name: The name of the tool. If it is not canonical (``resolve-library-id``), a canonical name is derived (``resolve_library_id``);
            the model still uses the original name if every provider accepts it.
        input_schema: The JSON Schema of the arguments: draft 2020-12, unless its ``$schema`` names an older one. It may only refer to
            itself.
        call: The function, which returns JSON data. With one parameter, it receives the arguments as a dict; with ``**arguments`` or
            several parameters, by name. It may also take ``ctx: ToolContext`` (``ctx: ToolContext | None = None`` if it works without one),
            and may be async.
        coroutine: The function for asynchronous runs, with the parameters of `call`, if `call` is not async.
        output_schema: The JSON Schema of the result, against which the result is validated.
        kind: `"command"`, or `"read"` for a tool that changes nothing, or `"event"`.
        version: As in `command`.
        effect: As in `command`; ``transactional`` only if `call` does all its work through ``ctx.session``.
        description: The description for the model; by default that of the schema, or the docstring of `call`.
        wire_name: The name that the model uses.
        check: As in `command`. It can take arguments by name, or all of them as ``arguments``.
        preview: As `check`.
        undo: As in `command`. Arguments are by their names in the schema.
        retry: As in `command`.
        timeout: As in `command`.
        answers: As in `read`.
        sensitive: As in `command`.
        annotations: As in `command`.
        trust_markers: Whether to trust the markers `id` and `own` of the output schema (`x-interlock-origin`). Set it only for a schema
            that the application itself writes.

    Raises:
        ContractError: The schema cannot be used, or the contract is incomplete; the message says how to fix it.
    """
    kind = ToolKind(kind)
    place = f"the tool {name!r}"
    if kind is ToolKind.EVENT:
        raise ContractError(f"{place} cannot be an event tool: those return an Event; define it with @event")
    if undo is not None and kind is ToolKind.READ:
        raise ContractError(f"{place} is a read with undo=; a read changes nothing that could be undone. Leave it out.")
    canonical, own_wire = names_of(name, wire_name)
    given = SchemaInput(canonical, input_schema, place)
    output, result_schema = _output(output_schema, place)
    function, is_async, context, is_optional = _called(call, given, place)
    arun = None
    if coroutine is not None:
        arun, also_async, its_context, _ = _called(coroutine, given, place)
        if is_async or not also_async or its_context != context:
            raise ContractError(
                f"{place} was given a coroutine= that does not go with its call; let call be a plain function, coroutine an async one, and both "
                "take the same"
            )
    return make_contract(
        function,
        kind,
        effect if kind is ToolKind.COMMAND else None,
        place=place,
        name=canonical,
        version=version,
        description=description
        if description and description.strip()
        else described(canonical, given.schema().get("description"), inspect.getdoc(call)),
        check=check,
        preview=preview,
        undo=undo,
        sensitive=sensitive,
        annotations=annotations,
        wire_name=own_wire,
        answers=answers,
        retry=retry,
        timeout=timeout,
        given=given,
        arguments_schema=given.schema(),
        input_model=None,
        output_type=JsonValue,
        output=output,
        result_schema=result_schema,
        is_async=is_async,
        takes_context=context is not None,
        context=context,
        context_is_optional=is_optional,
        coroutine=arun,
        trusts_markers=trust_markers,
    )


def names_of(name: str, wire_name: str | None) -> tuple[str, str | None]:
    """Return the canonical name and the wire name of a foreign tool; the wire name is None if the default suffices."""
    if TOOL_NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name, wire_name
    return published_canonical_name(name), wire_name or published_wire_name(name)


def described(name: str, *texts: object) -> str:
    """Return the first text that is not empty, or a default text, because models need a description."""
    for text in texts:
        if isinstance(text, str) and text.strip():
            return text.strip()
    return f"The tool {name}."


def _output(schema: Mapping[str, Any] | None, place: str) -> tuple[TypeAdapter[Any], JsonObject]:
    if schema is None:
        return plain_output(), {}
    validator = Validator(published_schema(schema, f"{place}, in its output,"))
    validator.check()

    def fits(value: JsonValue) -> JsonValue:
        problems = validator.problems(value)
        if problems:
            raise ValueError("; ".join(f"{one['field'] or 'the value'}: {one['problem']}" for one in problems))
        return value

    return plain_output(AfterValidator(fits)), validator.schema


def plain_output(*also: Any) -> TypeAdapter[Any]:
    """The output type of a tool that promises nothing but JSON."""
    return TypeAdapter(Annotated[(JsonValue, BeforeValidator(_plain), *also)])


def _plain(value: Any) -> Any:
    return to_jsonable_python(value, by_alias=True)


def _called(
    call: Callable[..., Any], given: SchemaInput, place: str
) -> tuple[Callable[..., Any], bool, str | None, bool]:
    """Wrap a function as a function of `arguments` and, if it takes one, of an optional context."""
    if not callable(call):
        raise ContractError(f"{place} was given {call!r} as its call; give a function")
    parameters = _parameters(call)
    contexts = [one.name for one in parameters if _wants_context(call, one)]
    others = [one for one in parameters if one.name not in contexts]
    context = contexts[0] if contexts else None
    is_optional = any(one.name == context and one.default is None for one in parameters)
    taken = _by_name(others, given, place)
    is_async = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004

    def filled(arguments: dict[str, Any], more: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if taken is None:
            return (arguments,), more
        return (), {**{name: value for name, value in arguments.items() if taken(name)}, **more}

    def run(arguments: dict[str, Any], **more: Any) -> Any:
        positional, keywords = filled(arguments, more)
        return call(*positional, **keywords)

    async def arun(arguments: dict[str, Any], **more: Any) -> Any:
        positional, keywords = filled(arguments, more)
        return await call(*positional, **keywords)

    function: Callable[..., Any] = arun if is_async else run
    function.__name__ = getattr(call, "__name__", type(call).__name__)
    function.__qualname__ = getattr(call, "__qualname__", function.__name__)
    function.__module__ = getattr(call, "__module__", __name__) or __name__
    function.__doc__ = inspect.getdoc(call)
    return function, is_async, context, is_optional


def _parameters(call: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return [*inspect.signature(call).parameters.values()]
    except (TypeError, ValueError):  # a function that is not written in Python
        return [inspect.Parameter(WHOLE, inspect.Parameter.POSITIONAL_ONLY)]


def _wants_context(call: Callable[..., Any], parameter: inspect.Parameter) -> bool:
    annotation: Any = parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = inspect.get_annotations(inspect.unwrap(call), eval_str=True).get(parameter.name)
        except Exception:  # names that only a type checker sees
            return bool(str(annotation).split("[")[0].rsplit(".")[-1] == "ToolContext")
    unsaid = annotation is inspect.Parameter.empty and parameter.name == "ctx"
    return bool(unsaid or is_context(annotation))


def _by_name(parameters: list[inspect.Parameter], given: SchemaInput, place: str) -> Callable[[str], bool] | None:
    """Whether the function takes an argument by name; None if it takes all of them as one dict."""
    positional = [one for one in parameters if one.kind not in {one.VAR_KEYWORD, one.KEYWORD_ONLY}]
    if len(positional) == 1 and all(one.default is not one.empty for one in parameters if one is not positional[0]):
        return None
    own = given.schema().get("properties")
    known = set(own) if isinstance(own, dict) else set()
    required = given.schema().get("required")
    needed = {str(one) for one in required} if isinstance(required, list) else set()
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    names = {one.name for one in parameters if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}}
    wanting = {
        one.name for one in parameters if one.name in names and one.default is one.empty and one.name not in needed
    }
    missing = set() if takes_any else known - names
    if wanting or missing:
        raise ContractError(
            f"{place} calls a function that takes {', '.join(sorted(names)) or 'nothing'}, and its schema has {', '.join(sorted(known)) or 'nothing'} "
            f"({', '.join(sorted(needed)) or 'nothing'} required); let it take one parameter, which is given all arguments as a dict"
        )
    return lambda name: takes_any or name in names


__all__ = ["SchemaInput", "contract_from_schema", "described", "names_of", "plain_output"]
