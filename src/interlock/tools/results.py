"""What a step is answered with: the result of a command or a read, an error, and the snapshot of an instance."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .canonical import JSON, JsonObject
from .codes import ErrorCode
from .errors import InvalidInput
from .ids import AuditRef, TraceId, WorkflowId
from .wire import camel


class WireModel(BaseModel):
    """A frozen shape on the wire: camelCase there, snake_case in Python."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=camel, populate_by_name=True)


class ErrorBody(WireModel):
    """Why something was not done."""

    code: ErrorCode
    message: str
    """What happened, and what to do now."""
    retryable: bool = False
    """Whether the same call may succeed later without anything being changed about it."""
    details: JsonObject = Field(default_factory=dict)


class Answered(WireModel):
    """What a call was answered with: a `CommandResult`, a `ReadResult` or an `ErrorResult`."""

    ok: bool
    """Whether it was carried out."""
    workflow_id: WorkflowId
    current_state: str
    revision: int | None = Field(default=None, ge=0)
    """The revision of the instance that the answer speaks of; None in a result that an earlier release stored."""
    next_allowed_tools: tuple[str, ...]
    """Canonical names for callers, wire names for the model."""
    audit_ref: AuditRef
    replayed: bool = False
    """The stored result of an earlier attempt; only on the wire when true."""

    def to_json(self) -> JsonObject:
        """Give the result exactly as it is on the wire."""
        data = self.model_dump(mode="json", by_alias=True)
        if not data.get("replayed"):
            data.pop("replayed", None)
        if data.get("dryRun") is None:
            data.pop("dryRun", None)
        if data["revision"] is None:
            del data["revision"]
        return data


class CommandResult(Answered):
    """A command, or an event tool, was carried out."""

    ok: Literal[True] = True
    previous_state: str
    output: JSON = None
    """As `ToolContract.dump_output` gives it."""
    dry_run: JsonObject | None = None
    """What would have happened (`wouldMoveTo`, `preview`), in a dry run; only on the wire there."""


class ReadResult(Answered):
    """A read was carried out."""

    schema_version: Literal[1] = 1
    ok: Literal[True] = True
    output: JSON = None


class ErrorResult(Answered):
    """A denial, a refusal, or a failure; nothing was carried out unless the code says otherwise."""

    ok: Literal[False] = False
    error: ErrorBody


class PendingDecision(WireModel):
    """What a person has to decide before a proposal is carried out."""

    proposal_id: str
    """The id of the proposal and of its approval: for `instances.proposal`, `withdraw`, `approval` and `decide`."""
    kind: Literal["approval", "confirmation"]
    decided_by: str
    """Who may decide, in words."""
    deadline: str | None = None
    """When the request expires, as RFC 3339 in UTC; None when it stays open."""
    preview: JSON = None
    """What the tool shows of the call."""
    reasons: tuple[str, ...] = ()
    """Why it is asked."""


class Pending(WireModel):
    """A proposal that waits for a person's decision: neither carried out nor refused."""

    ok: None = None
    workflow_id: WorkflowId
    current_state: str
    revision: int = Field(ge=0)
    next_allowed_tools: tuple[str, ...]
    audit_ref: AuditRef
    """The record of the request."""
    pending: PendingDecision

    def to_json(self) -> JsonObject:
        """Give the answer exactly as it is on the wire."""
        return self.model_dump(mode="json", by_alias=True)


def parse_result(value: Any) -> CommandResult | ReadResult | ErrorResult | None:
    """Read what a call was answered with.

    Args:
        value: The graph's `last_result`, in its output or on a stream, or the text of a tool's answer to the model, which has the names that
            the model knows.

    Returns:
        The result; None for what is none, such as the `last_result` of a run in which nothing was called.

    Raises:
        InvalidInput: It says that it is one, and does not fit its model.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, Mapping) or "ok" not in value or "auditRef" not in value:
        return None
    model = ErrorResult if not value["ok"] else CommandResult if "previousState" in value else ReadResult
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidInput(
            f"This is no result as it is on the wire: {wrong}. See that sender and reader are of versions that know each other's shapes."
        ) from error


class InstanceSnapshot(WireModel):
    """Where one workflow instance stands."""

    schema_version: Literal[1] = 1
    workflow_id: WorkflowId
    workflow: str
    """The name of the workflow."""
    version: int = Field(ge=1)
    """The version of the workflow."""
    state: str
    revision: int = Field(ge=0)
    data: JSON = None
    """The workflow's data; null where it has none."""
    next_allowed_tools: tuple[str, ...]
    pending_approvals: tuple[JsonObject, ...] = ()
    waits: tuple[JsonObject, ...] = ()
    tenant: str
    trace_id: TraceId

    def to_json(self) -> JsonObject:
        """Give the snapshot exactly as it is on the wire."""
        return self.model_dump(mode="json", by_alias=True)
