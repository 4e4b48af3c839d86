"""The status of a cancel: the calls that were undone, that are left for a person, and that are still in progress."""

from typing import Literal

from pydantic import Field

from ...tools.canonical import JsonObject
from ...tools.ids import WorkflowId
from ...tools.results import WireModel


class CancelledCall(WireModel):
    """One call that was executed on the instance before it was cancelled."""

    tool: str
    """Its canonical name."""
    idempotency_key: str
    """The idempotency key of the call."""
    state: str
    """The state in which it was executed."""
    became: Literal["to_undo", "undone", "nothing", "left"]
    """`to_undo`: not undone yet; `undone`; `nothing`: needs no undo; `left`: a person has to take care of it."""
    undone_by: str | None = None
    """The tool that undoes it."""
    why: str | None = None
    """Why a person has to take care of it, or why it needs no undo."""
    audit_ref: str | None = None
    """The audit record of the undo."""


class Cancellation(WireModel):
    """The cancellation of one instance."""

    schema_version: Literal[1] = 1
    workflow_id: WorkflowId
    workflow: str
    state: str
    """The current state: `cancelling` while something is to be undone, then `cancelled`."""
    revision: int = Field(ge=0)
    reason: str
    cancelled_by: str
    """The ID of the principal who cancelled it; `interlock.deadline` if its deadline did."""
    requested_at: str
    """The time of the request, as RFC 3339 in UTC."""
    ended_at: str | None = None
    calls: tuple[CancelledCall, ...]
    """The executed calls, newest first."""
    unresolved: tuple[str, ...] = ()
    """The keys of calls whose outcome is unknown. Older calls are not undone until a person resolves these."""

    @property
    def is_done(self) -> bool:
        """Whether the cancellation is complete."""
        return self.ended_at is not None

    @property
    def left(self) -> tuple[CancelledCall, ...]:
        """The calls that could not be undone; a person has to take care of them."""
        return tuple(call for call in self.calls if call.became == "left")

    @property
    def undone(self) -> tuple[CancelledCall, ...]:
        """The calls that were undone."""
        return tuple(call for call in self.calls if call.became == "undone")

    def to_json(self) -> JsonObject:
        """Return it as JSON data, exactly as on the wire."""
        return self.model_dump(mode="json", by_alias=True)


__all__ = ["Cancellation", "CancelledCall"]
