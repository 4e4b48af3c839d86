"""LangChain tools as contracts."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, JsonValue

from ..contracts.contract import ToolContract
from ..contracts.decorators import make_contract
from ..contracts.json_schema import described, names_of, plain_output
from ..contracts.published_shape import ToolAnnotations
from ..contracts.retry import RetryPolicy
from ..errors import ContractError
from ..functions import Rule
from ..kinds import Effect, EffectName, KindName, ToolKind
from ..model_answers import Answers, AnswersName
from ..schemas.offered.schema import property_names
from ..wire import published_canonical_name, published_wire_name
from ._arguments import input_of
from ._injection import Fill, Injection
from ._running import Running, refuse_commands

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


def contract_from_tool(
    tool: "BaseTool",
    *,
    kind: ToolKind | KindName = ToolKind.COMMAND,
    name: str | None = None,
    version: int = 1,
    effect: Effect | EffectName = Effect.AT_MOST_ONCE,
    description: str | None = None,
    wire_name: str | None = None,
    answers: Answers | AnswersName | None = None,
    check: Rule | None = None,
    preview: Rule | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | dt.timedelta | None = None,
    sensitive: Iterable[str] = (),
    annotations: ToolAnnotations | Mapping[str, bool] | None = None,
    inject: Mapping[str, Fill | Any] | None = None,
) -> ToolContract:
    """Make a contract of an existing LangChain tool, with the schema that it has.

    The model continues calling it by its own name and with its own arguments, and LangChain reads and runs them as it does without
    us. The output is the content of the message that a plain agent would get. What the tool reports as its error
    (`ToolException`, or a message with the status "error") becomes the tool's own no, `Refused`.

    Parameters that LangChain or LangGraph inject (`InjectedToolCallId`, `InjectedState`, `InjectedStore`, `ToolRuntime`,
    `RunnableConfig`, callbacks) are filled when the tool runs; the id of the call is the same at each of its attempts.

    Args:
        tool: Any LangChain tool that returns a result. One that returns a `Command` is refused.
        kind: What it is: a tool that changes nothing is a `read`. A command unless said otherwise.
        name: The canonical name; by default the tool's own in lower case.
        version: As in `command`.
        effect: Where its effect lands. A tool of somebody else's cannot be transactional.
        description: For the model; by default the tool's own.
        wire_name: What the model calls it by; by default its own name where every provider takes that, else one made of it.
        check: As in `command`.
        preview: As in `command`.
        retry: As in `command`, and in `read`.
        timeout: As in `command`, and in `read`.
        answers: As in `read`.
        sensitive: As in `command`.
        annotations: As in `command`.
        inject: What parameters marked `InjectedToolArg` are filled with: for each its value, or a function of the
            `ToolContext`. It may also say what the others are filled with.

    Raises:
        ContractError: The tool cannot be run by a workflow, or its contract is unclear.
    """
    _check(tool)
    kind = ToolKind(kind)
    if kind is ToolKind.EVENT or Effect(effect) is Effect.TRANSACTIONAL:
        raise ContractError(
            f"The LangChain tool {tool.name!r} cannot be {'an event tool' if kind is ToolKind.EVENT else 'transactional'}: it knows "
            "neither the workflow's events nor its transaction. Make it a read, or a command that is idempotent or at_most_once."
        )
    place = f"the LangChain tool {tool.name!r}"
    refuse_commands(tool)
    injection = Injection(tool, inject or {})
    canonical = published_canonical_name(tool.name) if name is None else names_of(name, None)[0]
    given = input_of(tool, canonical, injection.names, place)
    running = Running(tool, injection)
    has_sync, has_async = _ways(tool)
    function: Any = _named(running.run if has_sync else running.arun, tool)
    model = tool.args_schema
    return make_contract(
        function,
        kind,
        effect if kind is ToolKind.COMMAND else None,
        place=place,
        name=canonical,
        version=version,
        description=described(canonical, description, tool.description, given.schema().get("description")),
        check=check,
        preview=preview,
        # Fields that pydantic masks (SecretStr) are always sensitive, so that they are never recorded in the clear.
        sensitive=sensitive
        if isinstance(sensitive, str)
        else {*sensitive, *property_names(given.schema(), only="writeOnly")},
        annotations=annotations,
        wire_name=wire_name or published_wire_name(tool.name),
        answers=answers,
        retry=retry,
        timeout=timeout,
        given=given,
        arguments_schema=given.schema(),
        input_model=model if isinstance(model, type) and issubclass(model, BaseModel) else None,
        output_type=JsonValue,
        output=plain_output(),
        result_schema={},
        is_async=not has_sync,
        context="ctx",
        context_is_optional=True,
        coroutine=running.arun if has_sync and has_async else None,
        return_direct=tool.return_direct,
    )


def _check(tool: Any) -> None:
    from langchain_core.tools import BaseTool  # noqa: PLC0415 -- heavy, and not everybody's

    if not isinstance(tool, BaseTool):
        raise ContractError(
            f"{tool!r} is not a LangChain tool. Pass the result of @tool "
            "or StructuredTool; for a function use @read or @command, for a JSON Schema "
            "contract_from_schema."
        )


def _ways(tool: "BaseTool") -> tuple[bool, bool]:
    """Whether a tool runs synchronously, and whether it has its own asynchronous function."""
    from langchain_core.tools import BaseTool, StructuredTool, Tool  # noqa: PLC0415 -- see above

    kind = type(tool)
    if isinstance(tool, (StructuredTool, Tool)) and kind._run in {StructuredTool._run, Tool._run}:
        return tool.func is not None, tool.coroutine is not None
    return True, kind._arun is not BaseTool._arun or kind.ainvoke is not BaseTool.ainvoke


def _named(method: Callable[..., Any], tool: "BaseTool") -> Callable[..., Any]:
    """A separate function with the tool's name."""
    import functools  # noqa: PLC0415
    import inspect  # noqa: PLC0415

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def function(arguments: dict[str, Any], ctx: Any = None) -> Any:
            return await method(arguments, ctx)
    else:

        @functools.wraps(method)
        def function(arguments: dict[str, Any], ctx: Any = None) -> Any:
            return method(arguments, ctx)

    function.__qualname__ = function.__name__ = tool.name
    function.__doc__ = tool.description
    return function
