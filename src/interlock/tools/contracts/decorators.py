"""The decorators that make tool contracts from plain functions."""

import datetime as dt
import typing
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..canonical import JsonObject
from ..errors import ContractError
from ..events import Event, check_name, check_version
from ..functions import Rule
from ..kinds import Effect, EffectName, ToolKind
from ..model_answers import Answers, AnswersName, answers_of
from ..schemas.docstring import described_tool
from ..schemas.foreign import routes
from ..schemas.input import Bound, Input
from ..schemas.model_input import make_input
from ..schemas.offered.schema import property_names, unwritten
from ..schemas.output import output_of
from ..schemas.shapes import ExtraValues
from ..schemas.signature import MISSING, Signature, first_line, read_signature, where
from ..wire import WIRE_NAME, camel
from ..wire import wire_name as default_wire_name
from .contract import ToolContract
from .options import OF_COMMANDS, OF_READS, explains_options
from .published_shape import ContractShape, ToolAnnotations
from .retry import RetryPolicy, retry_of
from .undo import Undo, undo_of

__all__ = ["Bound", "ContractShape", "ToolAnnotations", "ToolContract", "command", "event", "read"]

P = ParamSpec("P")
R = TypeVar("R")

Annotations = ToolAnnotations | Mapping[str, bool] | None


@explains_options(**OF_READS)
def read(
    name: str,
    *,
    version: int = 1,
    description: str | None = None,
    check: Rule | None = None,
    preview: Rule | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | dt.timedelta | None = None,
    sensitive: Iterable[str] = (),
    annotations: Annotations = None,
    input_model: type[BaseModel] | None = None,
    extra: ExtraValues | None = None,
    output_model: Any = None,
    wire_name: str | None = None,
    answers: Answers | AnswersName | None = None,
) -> Callable[[Callable[P, R]], ToolContract[P, R]]:
    """Decorate a function as a read: a tool that changes no business data.

    Args:
        name: The canonical name: lower-case words joined by dots, such as `"case.assign"`.
        version: A positive integer. Increase it for a change that breaks callers.
        description: The description for the model. By default the docstring, whose section `Args:` becomes the descriptions of the
            parameters.
        check: A function of the arguments and the system of record that decides at the gate. It takes any of the tool's parameters by name,
            and ``ctx: ToolContext``; it returns True, or False or the reason why not.
        preview: A function of the same parameters. It returns what an approver is shown of the change, as JSON data.
        retry: How a failed attempt is repeated; by default it is not. A call that the tool refuses (`Refused`) is never repeated.
        timeout: The time limit of one attempt, in seconds or as a timedelta. A synchronous body cannot be stopped; it keeps running in its
            own thread.
        sensitive: The names of arguments, or of output fields, that are redacted before anything is stored.
        annotations: MCP annotations that replace those derived from kind and effect.
        input_model: A pydantic model in place of the one that is derived from the parameters. The function takes an instance of it, or its
            fields.
        extra: How unknown arguments are treated: "forbid" denies the call, "ignore" drops them, "allow" passes them to a function that
            takes a whole model. By default the pydantic model decides, and otherwise "forbid".
        output_model: A type in place of the return annotation.
        wire_name: The name that the model uses; by default the name with underscores in place of dots.
        answers: What the model receives as the answer: the whole result (`"envelope"`), or only the output (`"plain"`). By default the
            workflow's setting.

    Raises:
        ContractError: The contract is incomplete or contradictory; the message says how to fix it.
    """
    return _decorator(locals(), ToolKind.READ, None)


@explains_options(**OF_COMMANDS)
def command(
    name: str,
    *,
    version: int = 1,
    effect: Effect | EffectName = Effect.AT_MOST_ONCE,
    description: str | None = None,
    check: Rule | None = None,
    preview: Rule | None = None,
    undo: Undo | ToolContract | Literal[False] | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | dt.timedelta | None = None,
    sensitive: Iterable[str] = (),
    annotations: Annotations = None,
    input_model: type[BaseModel] | None = None,
    extra: ExtraValues | None = None,
    output_model: Any = None,
    wire_name: str | None = None,
    answers: Answers | AnswersName | None = None,
) -> Callable[[Callable[P, R]], ToolContract[P, R]]:
    """Decorate a function as a command: a tool that moves a process forward.

    Args:
        name: The canonical name: lower-case words joined by dots, such as `"case.assign"`.
        version: A positive integer. Increase it for a change that breaks callers.
        effect: Where the effect happens: ``transactional`` if all of it goes through ``ctx.session``; ``idempotent`` if it is outside the
            database and safe to repeat under ``ctx.idempotency_key``; ``at_most_once`` otherwise.
        description: See `read`.
        check: See `read`. It is evaluated at the gate, and again inside the transaction.
        preview: See `read`.
        undo: The command that undoes a call when its instance is cancelled, or `Undo(command, arguments)`. False: nothing has to be undone.
        retry: How a failed attempt is repeated; not for ``at_most_once``.
        timeout: See `read`.
        sensitive: See `read`.
        annotations: See `read`.
        input_model: See `read`.
        extra: See `read`.
        output_model: See `read`.
        wire_name: See `read`.
        answers: See `read`. A result that changes the state is always sent whole.

    Raises:
        ContractError: The contract is incomplete or contradictory; the message says how to fix it.
    """
    return _decorator(locals(), ToolKind.COMMAND, effect)


def event(
    name: str,
    *,
    version: int = 1,
    description: str | None = None,
    check: Rule | None = None,
    preview: Rule | None = None,
    sensitive: Iterable[str] = (),
    annotations: Annotations = None,
    input_model: type[BaseModel] | None = None,
    extra: ExtraValues | None = None,
    output_model: Any = None,
    wire_name: str | None = None,
    answers: Answers | AnswersName | None = None,
) -> Callable[[Callable[P, R]], ToolContract[P, R]]:
    """Decorate a function as an event tool: it states an intent by returning an `Event`, which is emitted in the transition's transaction.

    The arguments are those of `read`, except `retry` and `timeout`.

    Raises:
        ContractError: The contract is incomplete or contradictory; the message says how to fix it.
    """
    return _decorator(locals(), ToolKind.EVENT, Effect.TRANSACTIONAL)


def _decorator(
    given: Mapping[str, Any], kind: ToolKind, effect: Effect | EffectName | None
) -> Callable[[Callable[P, R]], ToolContract[P, R]]:
    def decorate(function: Callable[P, R]) -> ToolContract[P, R]:
        return _define(function, kind, effect, **{key: value for key, value in given.items() if key != "effect"})

    if callable(given["name"]):
        raise ContractError(f'{where(given["name"])} is defined without a name; write @{kind}("some.name")')
    return decorate


def _define(
    function: Callable[P, R],
    kind: ToolKind,
    effect: Effect | EffectName | None,
    *,
    name: str,
    version: int,
    description: str | None,
    check: Rule | None,
    preview: Rule | None,
    sensitive: Iterable[str],
    annotations: Annotations,
    input_model: type[BaseModel] | None,
    extra: ExtraValues | None,
    output_model: Any,
    wire_name: str | None,
    answers: Answers | AnswersName | None,
    undo: object = None,
    retry: RetryPolicy | None = None,
    timeout: float | dt.timedelta | None = None,
) -> ToolContract[P, R]:
    place = where(function)
    check_name(name, place)
    check_version(version, place)
    signature = read_signature(function)
    made = make_input(name, function, signature, input_model, _extra(extra, place))
    output_type = _output_type(signature, output_model, kind, place)
    try:
        arguments_schema = made.printed()
    except Exception as error:
        raise ContractError(
            f"{place} has a parameter that no JSON Schema can describe ({first_line(error)}); take plain types or a pydantic model"
        ) from error
    if lost := unwritten(made.model):
        raise ContractError(
            f"{place} takes {', '.join(sorted(lost))}, which is read but not written back as it was (a SecretStr, "
            "or a field with exclude=True); stored arguments must say what will run: take plain types, and name "
            "what must not be shown in sensitive="
        )
    try:
        output = output_of(output_type)
    except Exception as error:
        raise ContractError(
            f"{place} returns {output_type!r}, which no JSON Schema can describe ({first_line(error)}); return plain data or a pydantic model, or give "
            "output_model="
        ) from error
    return make_contract(
        function,
        kind,
        effect,
        place=place,
        name=name,
        version=version,
        description=_description(function, description, place),
        check=check,
        preview=preview,
        undo=undo,
        sensitive=sensitive,
        annotations=annotations,
        wire_name=wire_name,
        answers=answers,
        retry=retry,
        timeout=timeout,
        given=made,
        arguments_schema=arguments_schema,
        input_model=made.model,
        output_type=output_type,
        output=output.adapter,
        result_schema=output.schema,
        written=output.written,
        is_async=signature.is_async,
        takes_context=signature.context is not None,
        context=signature.context,
    )


def make_contract(
    function: Callable[P, R],
    kind: ToolKind,
    effect: Effect | EffectName | None,
    *,
    place: str,
    name: str,
    version: int,
    description: str,
    check: Rule | None,
    preview: Rule | None,
    undo: object = None,
    sensitive: Iterable[str],
    annotations: Annotations,
    wire_name: str | None,
    answers: Answers | AnswersName | None,
    retry: RetryPolicy | None,
    timeout: float | dt.timedelta | None,
    given: Input,
    arguments_schema: JsonObject,
    input_model: type[BaseModel] | None,
    output_type: Any,
    output: TypeAdapter[Any],
    result_schema: JsonObject,
    written: TypeAdapter[Any] | None = None,
    is_async: bool,
    takes_context: bool = False,
    context: str | None = None,
    context_is_optional: bool = False,
    coroutine: Callable[..., Any] | None = None,
    return_direct: bool = False,
    trusts_markers: bool = True,
) -> ToolContract[P, R]:
    """Make a contract from the parts of a tool, whatever their source.

    Raises:
        ContractError: Some part is unclear, or parts contradict each other.
    """
    check_name(name, place)
    check_version(version, place)
    landing = _effect(effect, place)
    return ToolContract(
        name=name,
        version=version,
        kind=kind,
        effect=landing,
        description=description,
        input_model=input_model,
        output_type=output_type,
        annotations=_annotations(annotations, kind, landing, place),
        wire_name=_wire_name(name, wire_name, place),
        answers=None if answers is None else answers_of(answers, place),
        check=check,
        preview=preview,
        undo=undo_of(undo, place),
        sensitive=_sensitive(sensitive, _known(given, arguments_schema, result_schema), place),
        retry=retry_of(retry, landing, place),
        timeout=_timeout(timeout, place),
        return_direct=return_direct,
        is_marked_destructive=_says_destructive(annotations),
        trusts_markers=trusts_markers,
        is_async=is_async,
        takes_context=takes_context,
        function=function,
        coroutine=coroutine,
        _input=given,
        _output=output,
        written=written,
        _context=context,
        _context_is_optional=context_is_optional,
        _output_schema=result_schema,
    )


def _extra(extra: ExtraValues | None, place: str) -> ExtraValues | None:
    if extra is None or extra in get_args(ExtraValues):
        return extra
    raise ContractError(f"{place} has extra={extra!r}; it is one of {', '.join(get_args(ExtraValues))}")


def _effect(effect: Effect | EffectName | None, place: str) -> Effect | None:
    if effect is None:
        return None
    try:
        return Effect(effect)
    except ValueError:
        raise ContractError(f"{place} has the effect {effect!r}; it is one of {', '.join(Effect)}") from None


def _description(function: Callable[..., Any], description: str | None, place: str) -> str:
    text = described_tool(function) if description is None else description
    if not isinstance(text, str) or not text.strip():
        raise ContractError(
            f"{place} has no description, and the model would not know what it is for; begin it with a docstring, "
            "or give description="
        )
    return text


def _output_type(signature: Signature, explicit: Any, kind: ToolKind, place: str) -> Any:
    output = signature.returns if explicit is None else explicit
    if output is MISSING:
        raise ContractError(
            f"{place} does not say what it returns; annotate it, such as -> Receipt, or give output_model="
        )
    if kind is ToolKind.EVENT:
        emitted = get_args(output) if get_origin(output) in {Union, UnionType} else (output,)
        if not all(isinstance(item, type) and issubclass(item, Event) and item is not Event for item in emitted):
            raise ContractError(f"{place} is an event tool and returns {output!r}; return the Event that it states")
        return output
    if (route := routes(output)) is not None:
        raise ContractError(
            f"{place} returns LangGraph's {route}; the edges decide what follows: return plain data, and change ctx.data"
        )
    if output in {None, NoneType, typing.NoReturn, typing.Never}:
        raise ContractError(f"{place} returns nothing, and nobody would know what it did; return what happened")
    if output in {Any, object}:
        raise ContractError(
            f"{place} returns {output!r}, which promises nothing; annotate it with the type it returns "
            "(pydantic.JsonValue "
            "when it really may be anything)"
        )
    return output


def _annotations(given: Annotations, kind: ToolKind, effect: Effect | None, place: str) -> ToolAnnotations:
    match kind:
        case ToolKind.READ:
            default = ToolAnnotations(read_only_hint=True)
        case ToolKind.EVENT:
            default = ToolAnnotations(
                read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
            )
        case ToolKind.COMMAND:
            default = ToolAnnotations(
                read_only_hint=False,
                destructive_hint=True,
                idempotent_hint=effect is Effect.IDEMPOTENT,
                open_world_hint=effect is not Effect.TRANSACTIONAL,
            )
    if given is None:
        return default
    try:
        chosen = given if isinstance(given, ToolAnnotations) else ToolAnnotations.model_validate(dict(given))
    except (ValidationError, TypeError, ValueError) as error:
        known = ", ".join(camel(field) for field in ToolAnnotations.model_fields)
        raise ContractError(f"{place} has annotations that are not MCP's: {error}; give booleans for {known}") from None
    merged = default.model_copy(update=chosen.model_dump(exclude_none=True))
    if merged.read_only_hint is not (kind is ToolKind.READ):
        raise ContractError(
            f"{place} is a {kind} with the annotation readOnlyHint={merged.read_only_hint}; what changes nothing is "
            "defined with read, what changes something with command"
        )
    return merged


def _says_destructive(given: Annotations) -> bool:
    if given is None:
        return False
    chosen = given if isinstance(given, ToolAnnotations) else ToolAnnotations.model_validate(dict(given))
    return chosen.destructive_hint is True


def _wire_name(name: str, given: str | None, place: str) -> str:
    wire = default_wire_name(name) if given is None else given
    if not isinstance(wire, str) or not WIRE_NAME.fullmatch(wire):
        raise ContractError(
            f"{place} has the wire name {wire!r}, which not every model provider takes; it is a letter or an "
            "underscore and then at most 63 letters, digits, underscores and dashes"
        )
    return wire


def _known(given: Input, arguments: JsonObject, output: JsonObject) -> set[str]:
    """The wire names of all fields that a tool takes or returns, including those that the model does not supply."""
    others = (*getattr(given, "decided", ()), *getattr(given, "supplied", ()))
    nested = [property_names(field.schema) for field in others]
    own = {field.name for field in others}
    return (property_names(arguments) | property_names(output) | own).union(*nested)


def _sensitive(names: Iterable[str], known: set[str], place: str) -> frozenset[str]:
    if isinstance(names, str):
        raise ContractError(f"{place} has sensitive={names!r}; give a collection of names, such as [{names!r}]")
    found = set()
    for name in names:
        wire = next((wire for wire in (name, camel(name)) if wire in known), None)
        if wire is None:
            raise ContractError(
                f"{place} marks {name!r} as sensitive, which is no argument and no field of the output; known are "
                f"{', '.join(sorted(known)) or 'none'}"
            )
        found.add(wire)
    return frozenset(found)


def _timeout(timeout: float | dt.timedelta | None, place: str) -> float | None:
    if timeout is None:
        return None
    seconds = timeout.total_seconds() if isinstance(timeout, dt.timedelta) else timeout
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ContractError(f"{place} has timeout={timeout!r}; give positive seconds, or a timedelta")
    return float(seconds)
