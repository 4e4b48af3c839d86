"""The typed events of a workflow on the stream mode `custom`.

On the stream they are plain JSON, for the server and other languages; `parse_event` converts them to models. They are sent after the
commit and may be repeated: a node that runs again after a crash sends the stored result again, with `replayed`. Sensitive fields are
masked; only the approver's interrupt shows them.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..tools.canonical import JSON, JsonObject
from ..tools.errors import InvalidInput
from ..tools.results import CommandResult, ErrorResult, ReadResult, WireModel


class _StreamEvent(WireModel):
    # The reader may be older than the sender, so fields of later versions are ignored.
    # Built on first use, so that importing Interlock costs nothing for programs that never stream.
    model_config = ConfigDict(extra="ignore", defer_build=True)

    schema_version: Literal[1] = 1
    workflow_id: str
    tool: str
    """The canonical name of the tool; or the name that the model used, if no tool has that name."""

    def to_json(self) -> JsonObject:
        """Return the event as JSON data, exactly as on the stream."""
        return self.model_dump(mode="json", by_alias=True)


class _OutcomeEvent(_StreamEvent):
    replayed: bool = False
    """True when this is the stored result of an earlier attempt; nothing was executed this time."""

    def to_json(self) -> JsonObject:
        """Return the event as JSON data, exactly as on the stream."""
        # A result leaves out missing values.
        return {**super().to_json(), "result": self.result.to_json()}  # type: ignore[attr-defined]


class TransitionEvent(_OutcomeEvent):
    """A command or an event tool was carried out; `result.current_state` is the new state."""

    type: Literal["interlock.transition"] = "interlock.transition"
    result: CommandResult


class ReadEvent(_OutcomeEvent):
    """A read was carried out."""

    type: Literal["interlock.read"] = "interlock.read"
    result: ReadResult


class DenialEvent(_OutcomeEvent):
    """A proposal was not carried out: the gate denied it, a person rejected it, or the tool refused it. The code says which."""

    type: Literal["interlock.denial"] = "interlock.denial"
    result: ErrorResult


_WHERE_IT_APPLIES = frozenset({"fields", "supplied", "message", "sources"})
"""The keys of an approval that are left out if they have no value."""


class ApprovalEvent(_StreamEvent):
    """A proposal waits for a person's decision. The event is sent once. The interrupt that follows has the same content, with sensitive
    fields in clear text.
    """

    type: Literal["interlock.approval"] = "interlock.approval"
    approval_id: str
    approval_type: Literal["approval", "confirmation"]
    """`confirmation` if the person whom the workflow serves decides."""
    workflow: str
    state: str
    mode: str
    tool_version: int
    arguments: JsonObject
    proposed_arguments: JsonObject | None = None
    """The arguments before a person edited them."""
    fields: tuple[JsonObject, ...] | None = None
    """The parameters that only the approver fills in: name, question, whether it is required, and JSON Schema. None if there are none."""
    supplied: tuple[str, ...] | None = None
    """The names of the arguments that the application supplied; None if it supplied none."""
    message: str | None = None
    """The question in the chat; None if it is not asked there."""
    preview: JSON = None
    """The tool's preview of what it would change."""
    requested_by: str
    reasons: tuple[str, ...] = ()
    origins: JsonObject = Field(default_factory=dict)
    """The origins of the arguments for which the approval is required, by path."""
    sources: tuple[JsonObject, ...] | None = None
    """For each argument: its origin, whether the origin is accepted, its source, and a short excerpt. None if nothing is traced."""
    rule: JsonObject
    requested_at: str
    expires_at: str | None = None
    next: JsonObject
    """The state that follows each of `approve`, `reject` and `expiry`."""
    problem: str | None = None
    action_requests: tuple[JsonObject, ...] = Field((), alias="action_requests")
    """The same request in the format of LangChain's user interfaces for approvals."""
    review_configs: tuple[JsonObject, ...] = Field((), alias="review_configs")

    def to_json(self) -> JsonObject:
        """Return the event as JSON data, exactly as on the stream."""
        shown = super().to_json()
        return {name: value for name, value in shown.items() if value is not None or name not in _WHERE_IT_APPLIES}


StreamEvent = Annotated[TransitionEvent | ReadEvent | DenialEvent | ApprovalEvent, Field(discriminator="type")]
"""The events that a workflow sends on the stream mode `custom`."""

_TYPES = frozenset({"interlock.transition", "interlock.read", "interlock.denial", "interlock.approval"})
_ASKED = frozenset({"approval", "confirmation"})


def parse_event(chunk: Any) -> TransitionEvent | ReadEvent | DenialEvent | ApprovalEvent | None:
    """Parse a chunk of the stream mode `custom`, or the value of an interrupt that asks for an approval.

    Args:
        chunk: A chunk of `graph.stream(..., stream_mode="custom")`; or, in the mode `updates`, `interrupt.value`, which has the content of
            the event before it with sensitive fields in clear text.

    Returns:
        The event; None if the chunk is not one of Interlock's, such as what the application's own tools write to the stream.

    Raises:
        InvalidInput: The chunk claims to be one of these events and does not fit its model.
    """
    if isinstance(chunk, Mapping) and chunk.get("type") in _ASKED and "approvalId" in chunk:
        chunk = approval_event(dict(chunk))
    if not isinstance(chunk, Mapping) or chunk.get("type") not in _TYPES:
        return None
    try:
        return _events().validate_python(dict(chunk))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
        raise InvalidInput(
            f"A chunk of the stream calls itself {chunk['type']} and does not fit: {wrong}. Nothing was lost, the audit trail has what happened; "
            "see that sender and reader are of versions that know each other's schemaVersion."
        ) from error


@cache
def _events() -> TypeAdapter[TransitionEvent | ReadEvent | DenialEvent | ApprovalEvent]:
    return TypeAdapter(StreamEvent)


def outcome_event(tool: str, result: JsonObject, *, replayed: bool) -> JsonObject:
    """The event of a result.

    It is not built through its model: this runs after the commit, where an old stored result must not cause a failure.
    """
    kind = "denial" if not result["ok"] else "transition" if "previousState" in result else "read"
    return {
        "schemaVersion": 1,
        "workflowId": result["workflowId"],
        "tool": tool,
        "replayed": replayed,
        "type": f"interlock.{kind}",
        "result": result,
    }


def approval_event(shown: JsonObject) -> JsonObject:
    """The event of a request, from the content for the approver."""
    return {**shown, "type": "interlock.approval", "schemaVersion": 1, "approvalType": shown["type"]}


__all__ = [
    "ApprovalEvent",
    "DenialEvent",
    "ReadEvent",
    "StreamEvent",
    "TransitionEvent",
    "approval_event",
    "outcome_event",
    "parse_event",
]
