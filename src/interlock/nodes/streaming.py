"""What a workflow says of itself while it runs, to anyone who streams in the mode `custom`: typed events.

On the stream they are plain JSON, as the server and other languages take it; `parse_event` makes models of them. They are sent
after the commit of what they tell of, and what they tell of may be told again: a node that runs again after a crash says the stored
result again, with `replayed`. Sensitive fields are masked in them; the interrupt that an approver decides on shows them.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..tools.canonical import JSON, JsonObject
from ..tools.errors import InvalidInput
from ..tools.results import CommandResult, ErrorResult, ReadResult, WireModel


class _StreamEvent(WireModel):
    # Who reads may be older than who sends: what a later version adds beside these is left out, and no reason to fail.
    # Built when the first one is made: importing Interlock is to cost nothing for those who never stream.
    model_config = ConfigDict(extra="ignore", defer_build=True)

    schema_version: Literal[1] = 1
    workflow_id: str
    tool: str
    """The canonical name; or what the model called it, when no tool is called so."""

    def to_json(self) -> JsonObject:
        """Give the event exactly as it is on the stream."""
        return self.model_dump(mode="json", by_alias=True)


class _OutcomeEvent(_StreamEvent):
    replayed: bool = False
    """The stored result of an earlier attempt, told again: nothing was done this time."""

    def to_json(self) -> JsonObject:
        """Give the event exactly as it is on the stream."""
        # A result leaves out what it does not have.
        return {**super().to_json(), "result": self.result.to_json()}  # type: ignore[attr-defined]


class TransitionEvent(_OutcomeEvent):
    """A command, or an event tool, was carried out, and the workflow is where `result.current_state` says."""

    type: Literal["interlock.transition"] = "interlock.transition"
    result: CommandResult


class ReadEvent(_OutcomeEvent):
    """A read was answered."""

    type: Literal["interlock.read"] = "interlock.read"
    result: ReadResult


class DenialEvent(_OutcomeEvent):
    """A proposal was not carried out: denied by the gate, turned down by a person, or refused by the tool; the code says which."""

    type: Literal["interlock.denial"] = "interlock.denial"
    result: ErrorResult


_WHERE_IT_APPLIES = frozenset({"fields", "supplied", "message", "sources"})
"""What is in an approval only where there is something of that kind."""


class ApprovalEvent(_StreamEvent):
    """A person was asked, once, whether a proposal may run; the interrupt that follows shows the same, sensitive fields in clear, and waits."""

    type: Literal["interlock.approval"] = "interlock.approval"
    approval_id: str
    approval_type: Literal["approval", "confirmation"]
    """`confirmation` where the person decides whom the workflow serves."""
    workflow: str
    state: str
    mode: str
    tool_version: int
    arguments: JsonObject
    proposed_arguments: JsonObject | None = None
    """As they were before a person edited them."""
    fields: tuple[JsonObject, ...] | None = None
    """What only the one who decides states: name, question, whether it is required, JSON Schema. None where there is nothing of that kind."""
    supplied: tuple[str, ...] | None = None
    """The names of the arguments that the application supplied; None where it supplies none."""
    message: str | None = None
    """The question as it is put into the chat; None where the person is not asked in the chat."""
    preview: JSON = None
    """What the tool shows of what it would change."""
    requested_by: str
    reasons: tuple[str, ...] = ()
    origins: JsonObject = Field(default_factory=dict)
    """Where the arguments came from that the request was made for, by their paths."""
    sources: tuple[JsonObject, ...] | None = None
    """Of each argument its origin, whether that is accepted, the source, and a short excerpt; None where nothing is traced."""
    rule: JsonObject
    requested_at: str
    expires_at: str | None = None
    next: JsonObject
    """Where the workflow goes by `approve`, `reject` and `expiry`."""
    problem: str | None = None
    action_requests: tuple[JsonObject, ...] = Field((), alias="action_requests")
    """The same again, for the user interfaces that LangChain's approvals have."""
    review_configs: tuple[JsonObject, ...] = Field((), alias="review_configs")

    def to_json(self) -> JsonObject:
        """Give the event exactly as it is on the stream."""
        shown = super().to_json()
        return {name: value for name, value in shown.items() if value is not None or name not in _WHERE_IT_APPLIES}


StreamEvent = Annotated[TransitionEvent | ReadEvent | DenialEvent | ApprovalEvent, Field(discriminator="type")]
"""Everything that a workflow sends to the stream mode `custom`."""

_TYPES = frozenset({"interlock.transition", "interlock.read", "interlock.denial", "interlock.approval"})
_ASKED = frozenset({"approval", "confirmation"})


def parse_event(chunk: Any) -> TransitionEvent | ReadEvent | DenialEvent | ApprovalEvent | None:
    """Read a chunk of the stream mode `custom`, or the value of an interrupt that asks for an approval.

    Args:
        chunk: As it came: `parse_event(chunk)` for each of `graph.stream(..., stream_mode="custom")`; `parse_event(interrupt.value)` in the
            mode `updates`, which gives the same as the event before it, with sensitive fields in clear.

    Returns:
        The event; None for what is not Interlock's, such as what the application's own tools write to the stream.

    Raises:
        InvalidInput: It says that it is one of these events, and does not fit its model.
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
    """The event that tells of a result.

    Not built through its model: this is after the commit, where a result that an older version stored is no reason to fail.
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
    """The event that tells of a request, of what the approver is shown."""
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
