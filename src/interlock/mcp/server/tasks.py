"""Approvals as tasks: the extension `io.modelcontextprotocol/tasks`, for clients that declare it with a request.

A task has no state of its own. Its id is the approval's, and its status is read from the approval each time, so it outlives every
process, and any process can answer. Task ids are not secrets: the caller is checked each time.
"""

import contextlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from ...checkpointing.store import ApprovalRequest
from ...commands.approvals.payload import moment
from ...tools.canonical import JsonObject
from ...tools.codes import ErrorCode
from ...tools.errors import ConflictError, DefinitionChanged, InterlockError, OutcomeUnknown, RunError, UnknownState
from ...tools.principal import Principal
from .calls import Calls, Waiting
from .catalog import Catalog, ServedWorkflow

EXTENSION = "io.modelcontextprotocol/tasks"
POLL_MS = 5_000
"""The recommended polling interval. People take their time."""


_NOT_OVER = (ConflictError, OutcomeUnknown, DefinitionChanged, UnknownState)
"""The errors that leave a granted call unfinished: another process is executing it, or a person or a release has to act."""


class TaskParams(RequestParams):
    """The parameters of `tasks/get` and `tasks/cancel`."""

    task_id: str = Field(alias="taskId", min_length=1, max_length=255)


class UpdateParams(TaskParams):
    """The parameters of `tasks/update`."""

    input_responses: dict[str, Any] = Field(alias="inputResponses")


class Tasks:
    """Serves approvals as tasks.

    Args:
        catalog: The workflows.
        calls: Looks up the status of proposals.
    """

    def __init__(self, catalog: Catalog, calls: Calls) -> None:
        self._catalog = catalog
        self._calls = calls

    async def created(self, waiting: Waiting) -> JsonObject:
        """The answer to a call that waits for a decision."""
        approval = await _approval(waiting.workflow, waiting.pending.pending.proposal_id)
        return {"resultType": "task", **_task(approval, "working", _asked(waiting))}

    async def get(self, context: ServerRequestContext[Any, Any], params: TaskParams, by: Principal) -> JsonObject:
        """Return the status of a task; executes a granted call, whose result becomes that of the task.

        A call that another process executes, or that was interrupted and has to be resolved by a person, is still `working`. If the workflow
        no longer has the tool, the protocol's error is returned, as for a call, and the task has `failed`.

        Raises:
            MCPError: This principal has no such task, or the client does not declare the extension.
        """
        check(context, params)
        workflow, found = await self._found(params.task_id, by)
        approval = await _approval(workflow, params.task_id)
        if isinstance(found, Waiting):
            return {"resultType": "complete", **_task(approval, "working", _asked(found))}
        if isinstance(found, InterlockError):
            return {"resultType": "complete", **_task(approval, "working", found.message)}
        error = (found.structured_content or {}).get("error") or {}
        if error.get("code") == ErrorCode.APPROVAL_WITHDRAWN:
            return {"resultType": "complete", **_task(approval, "cancelled", str(error["message"]))}
        if error.get("code") == ErrorCode.UNKNOWN_TOOL:
            told = str(error["message"])
            failure: JsonObject = {"code": INVALID_PARAMS, "message": told, "data": found.structured_content}
            return {"resultType": "complete", **_task(approval, "failed", told), "error": failure}
        result = found.model_dump(by_alias=True, mode="json", exclude_none=True)
        said = str(error["message"]) if error else "The call was carried out."
        return {"resultType": "complete", **_task(approval, "completed", said), "result": result}

    async def update(self, context: ServerRequestContext[Any, Any], params: UpdateParams, by: Principal) -> JsonObject:
        """Acknowledge input that nobody requested; decisions are never accepted from the proposer's client.

        Raises:
            MCPError: As `get`.
        """
        check(context, params)
        await self._known(params.task_id, by)
        return {"resultType": "complete"}

    async def cancel(self, context: ServerRequestContext[Any, Any], params: TaskParams, by: Principal) -> JsonObject:
        """Withdraw the proposal if it still waits.

        Raises:
            MCPError: As `get`.
        """
        check(context, params)
        workflow = await self._known(params.task_id, by)
        with contextlib.suppress(RunError):  # it was decided meanwhile, as the next `tasks/get` shows
            await workflow.instances.awithdraw(params.task_id, by=by)
        return {"resultType": "complete"}

    async def _found(
        self, task_id: str, by: Principal
    ) -> tuple[ServedWorkflow, CallToolResult | Waiting | InterlockError]:
        for workflow in self._catalog.workflows:
            try:
                return workflow, await self._calls.proposal(workflow, task_id, by)
            except _NOT_OVER as error:
                return workflow, error
            except InterlockError as error:
                if error.retryable:
                    raise
        raise _not_found()

    async def _known(self, task_id: str, by: Principal) -> ServedWorkflow:
        """The workflow of a proposal, without executing anything."""
        for workflow in self._catalog.workflows:
            try:
                await workflow.look(partial(workflow.instances.approval, task_id, by=by))
            except InterlockError as error:
                if error.retryable:
                    raise
            else:
                return workflow
        raise _not_found()


def declares(context: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client of a request accepts a task as the answer, which it declares in each request of the newer protocol version."""
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return False
    found: Any = (context.meta or {}).get(CLIENT_CAPABILITIES_META_KEY)
    extensions = found.get("extensions") if isinstance(found, Mapping) else None
    return isinstance(extensions, Mapping) and EXTENSION in extensions


def check(context: ServerRequestContext[Any, Any], params: TaskParams) -> None:
    """Check the extension's requirements for a request: the capability, and over HTTP the header that names the task.

    Raises:
        MCPError: One of them is missing.
    """
    if not declares(context):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "Missing required client capability",
            {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )
    if context.request is not None and context.request.headers.get("mcp-name") != params.task_id:
        raise MCPError(HEADER_MISMATCH, "The header Mcp-Name does not name the task of the request")


def _task(approval: ApprovalRequest, status: str, said: str) -> JsonObject:
    return {
        "taskId": approval.approval_id,
        "status": status,
        "statusMessage": said,
        "createdAt": moment(approval.requested_at),
        "lastUpdatedAt": moment(approval.decided_at or approval.requested_at),
        "ttlMs": None,  # the denial is recorded
        "pollIntervalMs": POLL_MS,
    }


def _asked(waiting: Waiting) -> str:
    asked = waiting.pending.pending
    until = "" if asked.deadline is None else f", until {asked.deadline}"
    return f"A person must decide: {asked.decided_by}{until}."


async def _approval(workflow: ServedWorkflow, approval_id: str) -> ApprovalRequest:
    return await workflow.look(lambda: workflow.graph.engine.store.approval(approval_id))


def _not_found() -> MCPError:
    return MCPError(INVALID_PARAMS, "Failed to retrieve task: Task not found")


__all__ = ["EXTENSION", "TaskParams", "Tasks", "UpdateParams", "declares"]
