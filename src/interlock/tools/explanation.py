"""The explanation of one workflow instance for a person: why it is in its state, who may move it, and how."""

from typing import Literal

from .canonical import JSON, JsonObject
from .ids import AuditRef, TraceId, WorkflowId
from .results import WireModel


class AllowedTool(WireModel):
    """A tool that may be called now."""

    tool: str
    kind: str
    """read, command or event."""
    leads_to: str
    """The state that follows."""
    asks: str | None = None
    """Who has to decide first, as text; None if no approval is required."""


class BlockedTool(WireModel):
    """A tool that may not be called now."""

    tool: str
    why: str
    """One of `finished`, `state`, `wait`, `guard`, `policy`, `limit`, `mode`, `rule_error`, `under_way`, `approval_open`."""
    reason: str
    """The reason as a sentence."""


class ApprovalHere(WireModel):
    """A request for a decision that is open, or was decided and not followed yet."""

    approval_id: str
    tool: str
    kind: str
    """approval or confirmation."""
    status: str
    requested_by: str
    requested_at: str
    decided_by: str
    """Who may decide, as text; for a decided request, who decided."""
    role: str | None = None
    """The required role; None if the rule names none."""
    agreed: tuple[str, ...] = ()
    """The people who agreed already, if several must."""
    deadline: str | None = None
    after_deadline: str | None = None
    """What happens at the deadline, as text."""
    proposed_outside: bool = False
    """Whether it was proposed from outside the graph (`instances.propose`)."""


class WaitHere(WireModel):
    """A wait for events or a deadline."""

    wait_id: str
    state: str
    expects: tuple[str, ...]
    """The events that settle it, by their names on the wire."""
    settled: int
    needed: int
    leads_to: str | None = None
    since: str
    deadline: str | None = None
    after_deadline: str | None = None
    """The state that follows the deadline."""


class LastDenial(WireModel):
    """The last denied or refused proposal or attempt."""

    audit_ref: AuditRef
    number: int
    """The number of its record in the trail."""
    at: str
    by: str
    """The principal of the proposal or attempt."""
    tool: str | None = None
    code: str | None = None
    reason: str


class AttemptHere(WireModel):
    """An effect outside the database that is in progress, or of unknown outcome."""

    key: str
    tool: str
    attempt: int
    status: Literal["under_way", "unknown"]
    since: str
    requested_by: str | None = None


class FailedTry(WireModel):
    """Something that is settled, and that a tick failed to resume."""

    kind: str
    """`wait`, `approval`, `attempt`, `deadline` or `proposal`."""
    id: str
    attempts: int
    error: str | None = None
    """The last failure: its type and code."""
    next_attempt_at: str


class Happened(WireModel):
    """One record of the instance, as a sentence."""

    number: int
    at: str
    kind: str
    tool: str | None = None
    by: str
    what: str


class NextStep(WireModel):
    """One action that a person can take now."""

    what: str
    """The effect of the action, as a sentence."""
    command: str
    """A command line to paste, without the options for the application and the database."""


class Explanation(WireModel):
    """The current state of one workflow instance, with the reasons."""

    schema_version: Literal[1] = 1
    workflow_id: WorkflowId
    workflow: str
    version: int
    state: str
    revision: int
    finished: bool
    tenant: str
    thread_id: str | None = None
    trace_id: TraceId
    started_by: str
    started_at: str
    changed_at: str
    served: str | None = None
    """The ID of the person whom the instance serves; None for nobody in particular."""
    run_by: str
    """Who may propose calls on it, in words."""
    data: JSON = None
    """The workflow's data, with sensitive fields masked; None if it has no data."""
    waits_for: str
    """What the instance waits for, in a sentence."""
    judged_for: str
    """The principal for whom the tools are judged: by default the proposer on the instance."""
    allowed: tuple[AllowedTool, ...] = ()
    not_allowed: tuple[BlockedTool, ...] = ()
    approvals: tuple[ApprovalHere, ...] = ()
    waits: tuple[WaitHere, ...] = ()
    attempts: tuple[AttemptHere, ...] = ()
    failed_tries: tuple[FailedTry, ...] = ()
    last_denial: LastDenial | None = None
    so_far: tuple[Happened, ...] = ()
    """The latest records, oldest first. The audit trail has all of them."""
    if_nobody_acts: tuple[str, ...] = ()
    """What happens if nobody acts, in sentences."""
    next_steps: tuple[NextStep, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the explanation as JSON data, exactly as on the wire."""
        return self.model_dump(mode="json", by_alias=True)


__all__ = [
    "AllowedTool",
    "ApprovalHere",
    "AttemptHere",
    "BlockedTool",
    "Explanation",
    "FailedTry",
    "Happened",
    "LastDenial",
    "NextStep",
    "WaitHere",
]
