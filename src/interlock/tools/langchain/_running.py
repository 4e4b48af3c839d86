"""Runs a LangChain tool as an agent would, and reads its answer."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ..context import ToolContext
from ..errors import ContractError, InvalidOutput, Refused
from ..storable import type_name
from ._injection import Injection, call_id, functions_of

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

_NO_COMMANDS = (
    "returns a Command, which would change the state of a graph and send it elsewhere; in a workflow only edges do that. Return the result "
    "itself, and let the workflow's edge say where it leads"
)


class Running:
    """Runs one tool."""

    def __init__(self, tool: "BaseTool", injection: Injection) -> None:
        self._tool = tool
        self._injection = injection

    def run(self, arguments: dict[str, Any], ctx: ToolContext | None = None) -> Any:
        """Run the tool and return the content of its answer."""
        from langchain_core.tools import ToolException  # noqa: PLC0415 -- heavy, and not everybody's

        try:
            return self._content(self._tool.invoke(self._call(arguments, ctx)), ctx)
        except ToolException as error:
            raise _refused(error) from error

    async def arun(self, arguments: dict[str, Any], ctx: ToolContext | None = None) -> Any:
        """As `run`, by the tool's asynchronous function."""
        from langchain_core.tools import ToolException  # noqa: PLC0415 -- see above

        try:
            return self._content(await self._tool.ainvoke(self._call(arguments, ctx)), ctx)
        except ToolException as error:
            raise _refused(error) from error

    def _call(self, arguments: dict[str, Any], ctx: ToolContext | None) -> dict[str, Any]:
        given = {**arguments, **self._injection.values(ctx)}
        return {"name": self._tool.name, "args": given, "id": call_id(ctx), "type": "tool_call"}

    def _content(self, answer: Any, ctx: ToolContext | None) -> Any:
        from langgraph.types import Command  # noqa: PLC0415 -- see above

        answers = answer if isinstance(answer, list) else [answer]
        if any(isinstance(one, Command) for one in answers):
            raise InvalidOutput(
                f"{self._tool.name} {_NO_COMMANDS}.", details={"tool": self._tool.name, "advice": _NO_COMMANDS}
            )
        # A tool may answer with several messages; the model gets the one for its call.
        message = next((one for one in answers if getattr(one, "tool_call_id", None) is not None), answer)
        if getattr(message, "status", "success") == "error":
            raise Refused(str(message.text) or str(message.content))
        artifact = getattr(message, "artifact", None)
        if ctx is not None and artifact is not None and _can_be_kept(artifact):
            ctx.artifact = artifact
        return getattr(message, "content", message)


def _refused(error: Exception) -> Refused:
    """The refusal with which a LangChain tool answered, in its own words where they can be read."""
    try:
        return Refused(str.__str__(str(error)))
    except Exception:  # the exception's own __str__
        return Refused(f"the tool raised {type_name(error)}")


def _can_be_kept(artifact: Any) -> bool:
    """Whether a checkpointer can serialize it. An artifact that cannot be stored must not discard the answer."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer  # noqa: PLC0415 -- see above

    try:
        JsonPlusSerializer().dumps_typed(artifact)
    except Exception:  # of whatever kind: it is left out
        return False
    return True


def refuse_commands(tool: "BaseTool") -> None:
    """Refuse a tool that declares a `Command` as its return type.

    Raises:
        ContractError: The tool declares it.
    """
    from langgraph.types import Command  # noqa: PLC0415 -- see above

    for function in functions_of(tool):
        for one in _within(_returned(function)):
            if isinstance(one, type) and issubclass(one, Command):
                raise ContractError(f"The LangChain tool {tool.name!r} {_NO_COMMANDS}.")


def _returned(function: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(function).get("return")
    except Exception:  # names that only a type checker can resolve
        return None


def _within(annotation: Any) -> Iterator[Any]:
    yield getattr(annotation, "__origin__", None) or annotation
    for one in get_args(annotation):
        yield from _within(one)
