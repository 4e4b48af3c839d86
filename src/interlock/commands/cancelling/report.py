"""What became of cancelling an instance: what was undone, what is left for a person, and what is still in progress."""

from typing import Literal

from pydantic import Field

from ...tools.canonical import JsonObject
from ...tools.ids import WorkflowId
from ...tools.results import WireModel


class CancelledCall(WireModel):
    """One call that was carried out on the instance before it was cancelled."""

    tool: str
    """Its canonical name."""
    idempotency_key: str
    """The key that it was carried out under."""
    state: str
    """The state that it was carried out in."""
    became: Literal["to_undo", "undone", "nothing", "left"]
    """It is still to be undone, was undone, needs no undoing, or a person has to see to it."""
    undone_by: str | None = None
    """The tool that undoes it."""
    why: str | None = None
    """Why a person has to see to it, or why there is nothing to undo."""
    audit_ref: str | None = None
    """The record of its undoing."""


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
    """The id of who cancelled it; `interlock.deadline` where that was its deadline."""
    requested_at: str
    """As RFC 3339 in UTC."""
    ended_at: str | None = None
    calls: tuple[CancelledCall, ...]
    """What was carried out, newest first."""
    unresolved: tuple[str, ...] = ()
    """Keys of calls whose outcome nobody knows: nothing older is undone before a person says what became of them."""

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end."""
        return self.ended_at is not None

    @property
    def left(self) -> tuple[CancelledCall, ...]:
        """What a person has to see to."""
        return tuple(call for call in self.calls if call.became == "left")

    @property
    def undone(self) -> tuple[CancelledCall, ...]:
        """What was undone."""
        return tuple(call for call in self.calls if call.became == "undone")

    def to_json(self) -> JsonObject:
        """Give it exactly as it is on the wire."""
        return self.model_dump(mode="json", by_alias=True)


__all__ = ["Cancellation", "CancelledCall"]
