"""An agent's requests and answers as other middlewares leave them: whose call it is, and what it is answered under."""

from typing import Any

from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

from .messages import unreadable


def with_call(request: ToolCallRequest, call: Any) -> ToolCallRequest:
    """The request with the call as it came out of the other middlewares; its id is the one that is answered."""
    made: ToolCall = {"type": "tool_call", "name": call["name"], "args": call["args"], "id": request.tool_call["id"]}
    return request.override(tool_call=made)


def paired(answer: ToolMessage | Command[Any], request: ToolCallRequest) -> ToolMessage | Command[Any]:
    """The answer, with the id of its call, whatever another middleware made of it."""
    wanted = str(request.tool_call["id"])
    if not isinstance(answer, ToolMessage) or answer.tool_call_id == wanted:
        return answer
    return answer.model_copy(update={"tool_call_id": wanted})


def not_called(request: ToolCallRequest) -> ToolMessage | None:
    """The answer to a call of an ungated tool that cannot be read, which no tool is to guess at."""
    problem = unreadable(request)
    if problem is None:
        return None
    call = request.tool_call
    return ToolMessage(f"Nothing was done: {problem}.", tool_call_id=str(call["id"]), name=call["name"], status="error")


def name_of(tool: Any) -> str:
    """A tool's name; a provider's own tool has sometimes only a type."""
    if isinstance(tool, dict):
        return str(tool.get("name") or tool.get("function", {}).get("name") or tool.get("type"))
    return str(tool.name)


def as_noted(tool: BaseTool, given: Any) -> BaseTool:
    """The workflow's tool with what another middleware noted on the one in the request, such as how a provider is to load it."""
    noted = given.extras if isinstance(given, BaseTool) else None
    return tool if noted in (None, tool.extras) else tool.model_copy(update={"extras": noted})
