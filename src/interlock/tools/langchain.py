"""Between contracts and LangChain tools, both ways. LangChain is imported when one of these is called, not before."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema, create_model
from pydantic.fields import FieldInfo

from ._contract import ToolContract
from .contracts import command, event, read
from .errors import ContractError, Refused
from .kinds import Effect, ToolKind
from .retry import RetryPolicy

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool, StructuredTool

_DECORATORS: Mapping[ToolKind, Callable[..., Any]] = {
    ToolKind.READ: read,
    ToolKind.COMMAND: command,
    ToolKind.EVENT: event,
}
_PLAIN = {"string": str, "integer": int, "number": float, "boolean": bool}


def as_tool(contract: ToolContract) -> "StructuredTool":
    """Make a plain LangChain tool of a contract: the same name for the model, description and schema, and the function.

    Nothing stands between such a tool and its function but the contract's own reading of the arguments: no gate, no approval
    and no record. Those come with a workflow, or with its middleware in an agent.

    Raises:
        ContextError: When it is called, and the function takes a `ToolContext`, which only a workflow can give.
    """
    from langchain_core.tools import StructuredTool  # noqa: PLC0415 -- heavy, and not everybody's

    def run(**arguments: Any) -> Any:
        return contract.dump_output(contract.call(contract.parse(arguments)))

    async def arun(**arguments: Any) -> Any:
        output = contract.call(contract.parse(arguments))
        return contract.dump_output(await output if contract.is_async else output)

    return StructuredTool(
        name=contract.wire_name,
        description=contract.description,
        args_schema=contract.offered_schema(),
        func=None if contract.is_async else run,
        coroutine=arun,
        metadata={"interlock": contract.name, "version": contract.version},
    )


def contract_from_tool(
    tool: "BaseTool",
    *,
    kind: ToolKind | str = ToolKind.COMMAND,
    name: str | None = None,
    version: int = 1,
    effect: Effect | str = Effect.AT_MOST_ONCE,
    description: str | None = None,
    check: Callable[..., Any] | None = None,
    preview: Callable[..., Any] | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | None = None,
    sensitive: Iterable[str] = (),
) -> ToolContract:
    """Make a contract of an existing LangChain tool, with the schema that it has.

    The model goes on calling it by its own name and with its own arguments. What the tool reports as its error
    (`ToolException`, or a message with the status "error") becomes the tool's own no, `Refused`.

    Args:
        tool: Any LangChain tool; it may take a tool call id, but nothing else that LangGraph injects.
        kind: What it is: a tool that changes nothing is a `read`. A command unless said otherwise.
        name: The canonical name; by default the tool's own in lower case.
        version: As in `command`.
        effect: Where its effect lands. A tool of somebody else's cannot be transactional.
        description: For the model; by default the tool's own.
        check: As in `command`.
        preview: As in `command`.
        retry: As in `command`.
        timeout: As in `command`.
        sensitive: As in `command`.

    Raises:
        ContractError: The tool cannot be run by a workflow, or its contract is unclear.
    """
    kind = ToolKind(kind)
    if kind is ToolKind.EVENT or Effect(effect) is Effect.TRANSACTIONAL:
        raise ContractError(
            f"The LangChain tool {tool.name!r} cannot be {'an event tool' if kind is ToolKind.EVENT else 'transactional'}: it knows "
            "neither the workflow's events nor its transaction. Make it a read, or a command that is idempotent or at_most_once."
        )
    model = _model_of(tool)
    function = _async_function(tool, model) if _only_async(tool) else _function(tool, model)
    options: dict[str, Any] = {}
    if kind is ToolKind.COMMAND:
        options = {"effect": effect, "retry": retry, "timeout": timeout}
    made = _DECORATORS[kind](
        name or _canonical(tool.name),
        version=version,
        description=description or tool.description,
        check=check,
        preview=preview,
        sensitive=sensitive,
        input_model=model,
        output_model=JsonValue,
        wire_name=tool.name,
        **options,
    )(function)
    return cast("ToolContract", made)


def _function(tool: "BaseTool", model: type[BaseModel]) -> Callable[..., Any]:
    def run(arguments: Any) -> Any:
        with _refusals():
            return _content(tool.invoke(_call(tool, arguments)))

    run.__annotations__ = {"arguments": model, "return": JsonValue}
    run.__qualname__ = run.__name__ = tool.name
    return run


def _async_function(tool: "BaseTool", model: type[BaseModel]) -> Callable[..., Any]:
    async def run(arguments: Any) -> Any:
        with _refusals():
            return _content(await tool.ainvoke(_call(tool, arguments)))

    run.__annotations__ = {"arguments": model, "return": JsonValue}
    run.__qualname__ = run.__name__ = tool.name
    return run


class _refusals:  # noqa: N801 -- a context manager, used as a word
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from langchain_core.tools import ToolException  # noqa: PLC0415

        if isinstance(error, ToolException):
            raise Refused(str(error)) from error


def _call(tool: "BaseTool", arguments: BaseModel) -> dict[str, Any]:
    given = {field: getattr(arguments, field) for field in arguments.model_fields_set}
    plain = {key: value.model_dump() if isinstance(value, BaseModel) else value for key, value in given.items()}
    return {"name": tool.name, "args": plain, "id": "interlock", "type": "tool_call"}


def _content(message: Any) -> Any:
    if getattr(message, "status", "success") == "error":
        raise Refused(str(message.content))
    return getattr(message, "content", message)


def _only_async(tool: "BaseTool") -> bool:
    return getattr(tool, "coroutine", None) is not None and getattr(tool, "func", None) is None


def _canonical(name: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).strip("_").lower()
    return words if re.match("[a-z]", words) else f"tool_{words}"


def _model_of(tool: "BaseTool") -> type[BaseModel]:
    schema: Any = tool.tool_call_schema
    fields: dict[str, Any]
    if isinstance(schema, dict):
        wanted = schema.get("required", [])
        fields = {key: _described(value, key, key in wanted) for key, value in schema.get("properties", {}).items()}
    elif isinstance(schema, type) and issubclass(schema, BaseModel):
        _refuse_injected(tool, set(schema.model_fields))
        fields = {key: (info.annotation, _under_its_name(info, key)) for key, info in schema.model_fields.items()}
    else:
        raise ContractError(
            f"The LangChain tool {tool.name!r} has no schema that can be read: {schema!r}. Give it an args_schema."
        )
    return create_model(f"{tool.name}Arguments", __config__=ConfigDict(protected_namespaces=()), **fields)


def _refuse_injected(tool: "BaseTool", offered: set[str]) -> None:
    whole = cast("type[BaseModel]", tool.get_input_schema())
    hidden = {key: info for key, info in whole.model_fields.items() if key not in offered}
    others = sorted(key for key, info in hidden.items() if "InjectedToolCallId" not in repr(info))
    if others:
        raise ContractError(
            f"The LangChain tool {tool.name!r} takes {', '.join(others)} from LangGraph, which a workflow does not inject. Write a function for it with "
            "@command or @read, which is given a ToolContext."
        )


def _under_its_name(info: FieldInfo, name: str) -> FieldInfo:
    return FieldInfo.merge_field_infos(info, alias=name, validation_alias=name, serialization_alias=name)


def _described(schema: Mapping[str, Any], name: str, required: bool) -> tuple[Any, Any]:
    plain = _PLAIN.get(str(schema.get("type")))
    annotation: Any = (
        plain if plain is not None and "enum" not in schema else Annotated[JsonValue, WithJsonSchema(dict(schema))]
    )
    if required:
        return annotation, Field(alias=name, description=schema.get("description"))
    return annotation | None, Field(default=schema.get("default"), alias=name, description=schema.get("description"))
