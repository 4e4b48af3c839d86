"""Adapts an agent's requests and answers after other middlewares: the call, and the id of its answer."""

from typing import Any

from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

from .messages import unreadable


def with_call(request: ToolCallRequest, call: Any) -> ToolCallRequest:
    """The request with the call after the other middlewares, and the original id, which is answered."""
    made: ToolCall = {"type": "tool_call", "name": call["name"], "args": call["args"], "id": request.tool_call["id"]}
    return request.override(tool_call=made)


def paired(answer: ToolMessage | Command[Any], request: ToolCallRequest) -> ToolMessage | Command[Any]:
    """The answer with the id of its call, even if another middleware changed it."""
    wanted = str(request.tool_call["id"])
    if not isinstance(answer, ToolMessage) or answer.tool_call_id == wanted:
        return answer
    return answer.model_copy(update={"tool_call_id": wanted})


def not_called(request: ToolCallRequest) -> ToolMessage | None:
    """The answer to an unreadable call of an ungated tool, which must not guess its arguments."""
    problem = unreadable(request)
    if problem is None:
        return None
    call = request.tool_call
    return ToolMessage(f"Nothing was done: {problem}.", tool_call_id=str(call["id"]), name=call["name"], status="error")


def name_of(tool: Any) -> str:
    """A tool's name; a provider's own tool may have only a type."""
    if isinstance(tool, dict):
        return str(tool.get("name") or tool.get("function", {}).get("name") or tool.get("type"))
    return str(tool.name)


def as_noted(tool: BaseTool, given: Any) -> BaseTool:
    """The workflow's tool with the `extras` that another middleware set on the request's tool, such as how a provider loads it."""
    noted = given.extras if isinstance(given, BaseTool) else None
    return tool if noted in (None, tool.extras) else tool.model_copy(update={"extras": noted})
