"""A client that takes tasks: the SDK has none, so the test asks for them itself."""

from __future__ import annotations

from typing import Any, Literal

from mcp.client.client import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict

from interlock.mcp.server.tasks import EXTENSION


class Created(Result):
    """The answer that is a task."""

    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    status_message: str | None = None
    created_at: str
    last_updated_at: str
    ttl_ms: int | None = None
    poll_interval_ms: int | None = None


class TaskClient(ClientExtension):
    """A client that takes tasks, and leaves it to the test to ask for them."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.created: list[Created] = []

    def claims(self) -> Any:
        return (ResultClaim(result_type="task", model=Created, resolve=self._resolve),)

    async def _resolve(self, created: Created, context: ClaimContext) -> CallToolResult:
        del context
        self.created.append(created)
        return CallToolResult(content=[], structured_content={"ok": None})


class Ask(RequestParams):
    task_id: str
    input_responses: dict[str, Any] | None = None


async def ask(client: Client, method: str, task_id: str, **more: Any) -> dict[str, Any]:
    """Send a request about a task."""

    class Asked(Request[Ask, str]):
        name_param = "taskId"

    request = Asked(method=method, params=Ask(task_id=task_id, **more))
    result = await client.session.send_request(request, Answer)
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


class Answer(Result):
    """Any result, as it came."""

    model_config = ConfigDict(extra="allow")


__all__ = ["Answer", "Ask", "Created", "TaskClient", "ask"]
