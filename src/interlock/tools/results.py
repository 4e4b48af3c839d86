"""The results of a step: of a command or a read, an error, and the snapshot of an instance."""

import functools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .canonical import JSON, JsonObject
from .codes import ErrorCode
from .errors import InvalidInput
from .ids import AuditRef, TraceId, WorkflowId
from .wire import camel

if TYPE_CHECKING:
    from .contracts import ToolContract

T = TypeVar("T")


class WireModel(BaseModel):
    """A frozen shape on the wire: camelCase there, snake_case in Python."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=camel, populate_by_name=True)


class ErrorBody(WireModel):
    """Why something was not done."""

    code: ErrorCode
    message: str
    """The cause, and what to do now."""
    retryable: bool = False
    """Whether the same call may succeed later without changes."""
    details: JsonObject = Field(default_factory=dict)


class Answered(WireModel):
    """The answer to a call: a `CommandResult`, a `ReadResult` or an `ErrorResult`."""

    ok: bool
    """Whether the call was carried out."""
    workflow_id: WorkflowId
    current_state: str
    revision: int | None = Field(default=None, ge=0)
    """The revision of the instance that the answer describes; None in a result that an earlier release stored."""
    next_allowed_tools: tuple[str, ...]
    """Canonical names for callers, wire names for the model."""
    audit_ref: AuditRef
    replayed: bool = False
    """Whether this is the stored result of an earlier attempt; on the wire only when true."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data, exactly as on the wire."""
        data = self.model_dump(mode="json", by_alias=True)
        if not data.get("replayed"):
            data.pop("replayed", None)
        if data.get("dryRun") is None:
            data.pop("dryRun", None)
        if data["revision"] is None:
            del data["revision"]
        return data


class _CarriedOut(Answered):
    """The common part of `CommandResult` and `ReadResult`."""

    def output_as(self, tool: "ToolContract[..., T] | type[T]") -> T:
        """The output as the tool's function returned it, such as a pydantic model.

        Args:
            tool: The tool that was carried out, or the type that it returns.

        Raises:
            InvalidInput: The output is of another type, or sensitive values in it were masked.
        """
        kind = tool if isinstance(tool, type) else tool.output_type
        value: JSON = getattr(self, "output")  # noqa: B009 -- each of them declares it in its place on the wire
        return cast("T", _read(value, kind, "The output"))


class CommandResult(_CarriedOut):
    """A command, or an event tool, was carried out."""

    ok: Literal[True] = True
    previous_state: str
    output: JSON = None
    """The output as JSON data, as on the wire; `output_as` converts it to the type that the tool returned."""
    dry_run: JsonObject | None = None
    """In a dry run, what would have happened (`wouldMoveTo`, `preview`); on the wire only there."""


class ReadResult(_CarriedOut):
    """A read was carried out."""

    schema_version: Literal[1] = 1
    ok: Literal[True] = True
    output: JSON = None
    """The output as JSON data, as on the wire; `output_as` converts it to the type that the tool returned."""


class ErrorResult(Answered):
    """A denial, a refusal or a failure. Nothing was carried out, unless the code says otherwise."""

    ok: Literal[False] = False
    error: ErrorBody


class PendingDecision(WireModel):
    """The decision that a person has to take before a proposal is carried out."""

    proposal_id: str
    """The id of the proposal and of its approval: for `instances.proposal`, `withdraw`, `approval` and `decide`."""
    kind: Literal["approval", "confirmation"]
    decided_by: str
    """Who may decide, as text."""
    deadline: str | None = None
    """When the request expires, as RFC 3339 in UTC; None when it stays open."""
    preview: JSON = None
    """The tool's preview of the call."""
    reasons: tuple[str, ...] = ()
    """Why the decision is required."""


class Pending(WireModel):
    """The answer to a proposal that waits for a person's decision: it is neither carried out nor refused yet."""

    ok: None = None
    workflow_id: WorkflowId
    current_state: str
    revision: int = Field(ge=0)
    next_allowed_tools: tuple[str, ...]
    audit_ref: AuditRef
    """The record of the request."""
    pending: PendingDecision

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON data, exactly as on the wire."""
        return self.model_dump(mode="json", by_alias=True)


Result = CommandResult | ReadResult | ErrorResult
"""The answer to a call; `result.ok` and `isinstance` tell which one it is."""


@functools.lru_cache(maxsize=256)
def _reader(kind: Any) -> TypeAdapter[Any]:
    """The validator of a type with its wire names; cached, so that all parsed values of a type have one class."""
    from .schemas.shapes import closed  # noqa: PLC0415 -- schemas know results

    return TypeAdapter(closed(kind))


def _read(value: JSON, kind: Any, what: str) -> Any:
    """Read what is on the wire as a type of the application's.

    Raises:
        InvalidInput: The data does not fit the model.
    """
    try:
        return _reader(kind).validate_python(value)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'the value'}: {item['msg']}" for item in error.errors())
        raise InvalidInput(f"{what} cannot be read as {getattr(kind, '__name__', kind)}: {wrong}.") from error


def parse_result(value: Any) -> Result | None:
    """Parse the answer to a call.

    Args:
        value: The graph's `last_result`, from its output or a stream; or the text of a tool message, in which tools have the names that the
            model knows.

    Returns:
        The result; None if `value` is not a result, such as the `last_result` of a run without calls.

    Raises:
        InvalidInput: `value` claims to be a result and does not fit its model.
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
            f"This is not a result in the wire format: {wrong}. See that sender and reader are of versions that know each other's shapes."
        ) from error


class InstanceSnapshot(WireModel):
    """The current state of one workflow instance."""

    schema_version: Literal[1] = 1
    workflow_id: WorkflowId
    workflow: str
    """The name of the workflow."""
    version: int = Field(ge=1)
    """The version of the workflow."""
    state: str
    revision: int = Field(ge=0)
    data: JSON = None
    """The workflow's data as JSON data; None if the workflow has no data."""
    next_allowed_tools: tuple[str, ...]
    pending_approvals: tuple[JsonObject, ...] = ()
    waits: tuple[JsonObject, ...] = ()
    tenant: str
    trace_id: TraceId

    def data_as(self, model: type[T]) -> T:
        """Return the workflow's data as its pydantic model: `snapshot.data_as(CaseData)`.

        Raises:
            InvalidInput: The data does not fit the model.
        """
        return cast("T", _read(self.data, model, "The data"))

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as JSON data, exactly as on the wire."""
        return self.model_dump(mode="json", by_alias=True)
