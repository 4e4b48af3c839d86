"""Executes calls of tools, only through the workflow's `propose`."""

from dataclasses import dataclass
from typing import Any, NoReturn, cast

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult

from ...checkpointing.identifiers import named
from ...checkpointing.store import Instance
from ...commands.running.engine import unknown_instance
from ...tools.canonical import JsonObject, canonical_json, digest
from ...tools.codes import ErrorCode
from ...tools.errors import InputError, InterlockError, NotJson
from ...tools.kinds import ToolKind
from ...tools.principal import Principal
from ...tools.results import Pending
from ...tools.sinks import logger_of
from . import schemas
from .answers import answered, as_named, error_body, failed
from .catalog import Catalog, Does, ServedTool, ServedWorkflow
from .limits import Meter, ServerLimits

logger = logger_of("interlock.mcp")

_PASSING = {ErrorCode.CONFLICT, ErrorCode.IN_PROGRESS, ErrorCode.STORE_UNAVAILABLE, ErrorCode.LIMIT_REACHED}
"""The temporary errors, which do not count as denials."""


@dataclass(frozen=True)
class Waiting:
    """A call that waits for a person's decision."""

    workflow: ServedWorkflow
    pending: Pending
    is_new: bool = False
    """Whether this call made the proposal; False if it only looked it up."""


class Calls:
    """Executes the calls of clients.

    Args:
        catalog: The tools.
        limits: The limits of one call.
        meter: Counts requests and denials.
    """

    def __init__(self, catalog: Catalog, limits: ServerLimits, meter: Meter) -> None:
        self._catalog = catalog
        self._limits = limits
        self._meter = meter

    async def call(self, name: str, arguments: JsonObject, by: Principal) -> CallToolResult | Waiting:
        """Execute one call.

        If the client disconnects during the call, the call is still completed and recorded.

        Args:
            name: The listed name of the tool.
            arguments: The arguments as received.
            by: The caller.

        Returns:
            The result, which may be an error; or the open approval.

        Raises:
            MCPError: There is no such tool.
        """
        tool = self._catalog.tools.get(name)
        try:
            self._meter.call(by)
            self._check_size(arguments)
            with anyio.CancelScope(shield=True):
                if tool is None:
                    await self._unknown(name, arguments, by)
                given = await self._do(tool, arguments, by)
        except InterlockError as error:
            given = failed(error, None if tool is None else tool.workflow)
        # Looking up a rejected proposal again is not a new denial.
        if (
            isinstance(given, CallToolResult)
            and _is_denied(given)
            and tool is not None
            and tool.does is not Does.PROPOSAL
        ):
            self._meter.denied(by)
        return given

    async def _do(self, tool: ServedTool, arguments: JsonObject, by: Principal) -> CallToolResult | Waiting:
        workflow = tool.workflow
        match tool.does:
            case Does.CALL:
                return await self._propose(tool, arguments, by)
            case Does.START:
                return answered(workflow, await start(workflow, arguments, by))
            case Does.STATUS:
                _only(arguments, {schemas.WORKFLOW_ID})
                snapshot = await instance_of(workflow, arguments, by)
                return answered(workflow, {"ok": True, **snapshot})
            case Does.PROPOSAL:
                return await self.proposal(workflow, _id(arguments, schemas.PROPOSAL_ID), by)
            case Does.WITHDRAW:
                proposal_id = _id(arguments, schemas.PROPOSAL_ID)
                return answered(workflow, (await workflow.instances.awithdraw(proposal_id, by=by)).to_json())

    async def proposal(self, workflow: ServedWorkflow, proposal_id: str, by: Principal) -> CallToolResult | Waiting:
        """The status of a proposal; executes a granted one.

        Raises:
            InterlockError: This principal has no such proposal.
        """
        found = await workflow.instances.aproposal(proposal_id, by=by)
        return Waiting(workflow, found) if isinstance(found, Pending) else answered(workflow, found.to_json())

    async def _propose(self, tool: ServedTool, arguments: JsonObject, by: Principal) -> CallToolResult | Waiting:
        assert tool.contract is not None and tool.call is not None  # noqa: S101, PT018 -- a tool of the workflow has both
        workflow = tool.workflow
        envelope, own = tool.call.own_arguments(arguments)
        which = _which(workflow, envelope, by)
        revision, key = envelope.get(schemas.REVISION), envelope.get(schemas.KEY)
        if tool.contract.kind is not ToolKind.READ and revision is None:
            raise InputError(
                f"{tool.name} moves the workflow and was called without {schemas.REVISION}. Nothing was done. Give the revision of the last "
                f"result, or of {workflow.prefix}{Does.STATUS.value}: the call then does nothing if the instance has moved on since.",
                code=ErrorCode.INVALID_ARGUMENTS,
                details={"workflowId": which},
            )
        if revision is not None and (not isinstance(revision, int) or isinstance(revision, bool) or revision < 0):
            raise _invalid(schemas.REVISION, "a whole number that is not negative")
        if key is not None and not isinstance(key, str):
            raise _invalid(schemas.KEY, "a text")
        answer = await workflow.instances.apropose(
            which, tool.contract.name, own, principal=by, key=key, revision=revision
        )
        if isinstance(answer, Pending):
            return Waiting(workflow, answer, is_new=True)
        return answered(workflow, answer.to_json(), tool.contract)

    async def _unknown(self, name: str, arguments: JsonObject, by: Principal) -> NoReturn:
        """Refuse an unknown tool: record it on the instance that the call names, and answer with the protocol's error."""
        data: JsonObject | None = None
        for workflow in self._catalog.workflows:
            envelope = {key: arguments[key] for key in (schemas.WORKFLOW_ID, schemas.REVISION) if key in arguments}
            try:
                which = _which(workflow, envelope, by)
                revision = (await workflow_instance(workflow, which, by)).revision
                answer = await workflow.instances.apropose(which, name, {}, principal=by, revision=revision)
            except InterlockError:
                continue  # it is not of this workflow, or not theirs
            data = as_named(workflow, answer.to_json())
            self._meter.denied(by)
            break
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {name[:100]}", data)

    def _check_size(self, arguments: JsonObject) -> None:
        try:
            size = len(canonical_json(arguments).encode())
        except NotJson as error:
            raise InputError(
                f"The arguments cannot be used: {error.message}", code=ErrorCode.INVALID_ARGUMENTS
            ) from None
        if size > self._limits.request_bytes:
            raise InputError(
                f"The arguments have {size} bytes, and the server takes {self._limits.request_bytes}. Nothing was done; send less.",
                code=ErrorCode.INVALID_ARGUMENTS,
            )


def _which(workflow: ServedWorkflow, envelope: JsonObject, by: Principal) -> str:
    """The instance of a call. `propose` checks whether it exists and belongs to the caller."""
    if workflow.pinned is not None and schemas.WORKFLOW_ID not in envelope:
        return workflow.pinned
    which = envelope.get(schemas.WORKFLOW_ID)
    if not isinstance(which, str) or not which:
        raise _invalid(schemas.WORKFLOW_ID, "the id of an instance, as the tool that starts one gives it")
    if workflow.pinned not in {None, which}:
        raise unknown_instance(which, by)
    return which


async def start(workflow: ServedWorkflow, arguments: JsonObject, by: Principal) -> JsonObject:
    """Start an instance, or return the one that was started with the same key.

    Raises:
        InterlockError: It cannot be started like this.
    """
    _only(arguments, {schemas.KEY, schemas.DATA} if workflow.start_fields else {schemas.KEY})
    key, data = arguments.get(schemas.KEY), arguments.get(schemas.DATA)
    if key is not None and not isinstance(key, str):
        raise _invalid(schemas.KEY, "a text")
    if data is not None:
        if not isinstance(data, dict):
            raise _invalid(schemas.DATA, "an object")
        if foreign := sorted(data.keys() - workflow.start_fields):
            raise InputError(
                f"The data of a new instance says {', '.join(foreign)}, which is not for clients to say. Nothing was started; leave it out.",
                code=ErrorCode.INVALID_ARGUMENTS,
            )
    workflow_id = None if key is None else started_under(workflow, named(schemas.KEY, key, 128), by)
    snapshot = await workflow.instances.astart(principal=by, data=data, workflow_id=workflow_id)
    return {"ok": True, **snapshot.to_json()}


def started_under(workflow: ServedWorkflow, key: str, by: Principal) -> str:
    """The id of the instance that a caller starts with a key: the same for the same caller and key, and different for others."""
    made = digest({"workflow": workflow.name, "tenant": by.tenant, "by": by.id, "key": key})
    return f"mcp_{made.removeprefix('sha256:')[:40]}"


async def instance_of(workflow: ServedWorkflow, arguments: JsonObject, by: Principal) -> JsonObject:
    """The snapshot of the instance that arguments name."""
    which = workflow.pinned or _id(arguments, schemas.WORKFLOW_ID)
    await workflow_instance(workflow, which, by)
    return (await workflow.look(lambda: workflow.instances.snapshot(which, principal=by))).to_json()


async def workflow_instance(workflow: ServedWorkflow, which: str, by: Principal) -> Instance:
    """The instance of an id, if the principal may see it.

    Raises:
        RunError: The workflow has no such instance in the tenant of this principal.
        PrincipalError: The instance serves somebody else.
    """
    if workflow.pinned not in {None, which}:
        raise unknown_instance(which, by)
    instance = await workflow.look(lambda: workflow.instances.get(which, by=by))
    if instance.workflow != workflow.name:
        raise unknown_instance(which, by)
    return instance


def internal(error: Exception) -> MCPError:
    """The error for an unexpected exception, which is logged and not shown to the client."""
    logger.error("a request broke", exc_info=error)
    return MCPError(INTERNAL_ERROR, "The server could not answer. The details are in its log.")


def refused(error: InterlockError) -> MCPError:
    """An error of a request that is not a call."""
    return MCPError(INVALID_PARAMS, error.message, cast("Any", error_body(error)["error"]))


def _is_denied(result: CallToolResult) -> bool:
    body = result.structured_content or {}
    return bool(result.is_error) and body.get("error", {}).get("code") not in {*map(str, _PASSING)}


def _only(arguments: JsonObject, known: set[str]) -> None:
    if foreign := sorted(arguments.keys() - known):
        raise InputError(
            f"There is no argument {', '.join(map(repr, foreign))}. Nothing was done; this tool takes {', '.join(sorted(known)) or 'nothing'}.",
            code=ErrorCode.INVALID_ARGUMENTS,
        )


def _id(arguments: JsonObject, name: str) -> str:
    _only(arguments, {name})
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(name, "an id")
    return value


def _invalid(name: str, wanted: str) -> InputError:
    return InputError(
        f"The argument {name} is missing or cannot be read. Nothing was done; give {wanted}.",
        code=ErrorCode.INVALID_ARGUMENTS,
    )


__all__ = ["Calls", "Waiting", "instance_of", "internal", "refused", "start", "started_under", "workflow_instance"]
