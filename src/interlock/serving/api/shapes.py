"""The API's own request and response models, in addition to the library's wire shapes."""

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from ...commands.budgets.raising import BudgetStanding
from ...tools.canonical import JSON, JsonObject
from ...tools.results import WireModel
from ...tools.wire import camel

LARGEST = 2**53 - 1
"""The largest number in a request, which every client and database can represent."""


class WorkflowSummary(WireModel):
    """A workflow that is served."""

    name: str
    version: int
    fingerprint: str
    """Of the definition: two that differ in a state, an edge or a rule have different ones."""
    initial_state: str
    states: tuple[str, ...]


class WorkflowDescription(WorkflowSummary):
    """A workflow whole: its drawing as data, and the contracts of its tools."""

    drawing: JsonObject
    contracts: tuple[JsonObject, ...]


class WorkflowList(WireModel):
    """The workflows that are served."""

    workflows: tuple[WorkflowSummary, ...]


class StartRequest(WireModel):
    """How an instance begins."""

    data: JsonObject | None = None
    """Its data; the workflow's defaults without."""
    workflow_id: str | None = Field(default=None, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    """Its id, chosen by the caller: to begin it again gives the same instance. By default one is made."""
    served: str | None = Field(default=None, min_length=1, max_length=255)
    """Whom it serves; by default the caller."""


class ProposeRequest(WireModel):
    """A call of a tool."""

    tool: str = Field(min_length=1, max_length=128)
    """The canonical name."""
    arguments: JsonObject = Field(default_factory=dict)


class RaiseBudgetRequest(WireModel):
    """Raise a budget."""

    more: str = Field(min_length=1, max_length=40, pattern=r"^[0-9]+(\.[0-9]{1,6})?$")
    """By how much: tokens, or money, as a decimal number."""
    reason: str = Field(min_length=1, max_length=2000)
    """Why; it is recorded."""


class BudgetList(WireModel):
    """The budgets of an instance."""

    budgets: tuple[BudgetStanding, ...]


class CancelRequest(WireModel):
    """Cancel an instance."""

    reason: str = Field(min_length=1, max_length=2000)
    """Why; it is recorded."""


class ForkRequest(WireModel):
    """Begin its own instance from a checkpoint."""

    checkpoint_id: str | None = Field(default=None, min_length=1, max_length=255)
    """Which checkpoint of the thread; the newest without."""
    thread_id: str | None = Field(default=None, min_length=1, max_length=255)
    """The new thread; by default one is named."""


class ForkAnswer(WireModel):
    """The instance that a fork began."""

    thread_id: str
    workflow_id: str


class EraseRequest(WireModel):
    """Why something is erased; it is recorded."""

    reason: str = Field(min_length=1, max_length=2000)
    what: Literal["payloads", "conversation"] = "payloads"
    """The payloads of the audit trail, or the messages of its thread."""


class Erased(WireModel):
    """What an erasure came to."""

    erased: int
    """How many records of the trail lost their payload, or messages their text."""


class DecideRequest(WireModel):
    """A decision on an approval."""

    decision: Literal["approve", "edit", "reject", "respond"]
    arguments: JsonObject | None = None
    """With `edit`: the arguments, whole."""
    values: JsonObject | None = None
    """With `approve`: what only the one who decides states, by the names in the approval's `fields`."""
    message: str | None = Field(default=None, max_length=10_000)
    """With `reject` and `respond`: what the proposer is told."""
    resume: bool = True
    """Whether the thread runs on at once."""


class Decided(WireModel):
    """An approval after a decision."""

    approval_id: str
    workflow_id: str
    status: str
    resumed: bool
    """Whether the thread ran on, or what was granted was carried out, in this call; otherwise the next tick does it."""


class AssignmentRequest(WireModel):
    """To whom an open request is given."""

    to: tuple[str, ...] = Field(min_length=1, max_length=100)
    """Who decides from now on, by id."""
    reason: str | None = Field(default=None, max_length=10_000)
    """Why, for the record."""


class StillOpen(WireModel):
    """An open request after it was given on, or after a reminder."""

    approval_id: str
    workflow_id: str
    status: str
    rule: JsonObject
    """Who is asked now."""


class DelegationRequest(WireModel):
    """Who decides for the caller while they are away."""

    delegate: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")
    until: AwareDatetime
    since: AwareDatetime | None = None
    """When it begins; now without one."""


class DelegationList(WireModel):
    """The delegations that concern the caller, or all of their tenant for an operator."""

    delegations: tuple[JsonObject, ...]


class ApprovalPage(WireModel):
    """Some approvals, oldest first."""

    approvals: tuple[JsonObject, ...]
    next: str | None = None
    """Give it as `cursor` to continue; null when there are no more."""


class InstanceRow(WireModel):
    """An instance in a list."""

    workflow_id: str
    workflow: str
    version: int
    state: str
    revision: int
    served: str | None
    """Whom it serves; null when that is the tenant."""
    thread_id: str | None
    is_final: bool
    waits_for: str | None
    """`approval`, `event` or `resolution`: why it does not move; null when nothing holds it."""
    created_at: str
    updated_at: str


class InstancePage(WireModel):
    """Some instances, the newest first."""

    instances: tuple[InstanceRow, ...]
    next: str | None = None
    """Give it as `cursor` to continue; null when there are no more."""


class AttemptRow(WireModel):
    """An attempt whose outcome nobody knows."""

    workflow_id: str
    idempotency_key: str
    tool: str
    attempt: int
    started_at: str
    arguments: JSON


class AttemptList(WireModel):
    """The attempts that wait to be resolved, oldest first."""

    attempts: tuple[AttemptRow, ...]


class ResolveRequest(WireModel):
    """What became of an attempt."""

    found: Literal["happened", "retry", "failed"]
    output: JSON = None
    """With `happened`: what the tool would have returned."""
    data: JsonObject | None = None
    """With `happened`: the workflow's data as the tool would have left it, whole; by default it changed nothing."""
    note: str | None = Field(default=None, max_length=2000)
    """How it is known; it is recorded."""
    attempt: int | None = Field(default=None, ge=1, le=LARGEST)
    """Which attempt is spoken of, when it must not be a later one."""


class Resolved(WireModel):
    """What a resolution came to."""

    result: JsonObject | None
    """The result of the call; null when it is to be tried again."""


class DeliverRequest(WireModel):
    """An event in its wire shape, or a CloudEvent."""

    event: JsonObject
    source: str = Field(default="/application", min_length=1, max_length=255)
    """Where it comes from."""


class Delivered(WireModel):
    """What delivering an event to one workflow came to."""

    event_id: str
    workflow: str
    status: str
    note: str | None
    workflow_ids: tuple[str, ...]


class DeliveredList(WireModel):
    """What delivering an event to each workflow came to."""

    deliveries: tuple[Delivered, ...]


class EventRow(WireModel):
    """An event of the outbox or the inbox."""

    box: Literal["out", "in", "webhook"]
    event_id: str
    event_name: str
    workflow_id: str | None
    status: str
    problem: str | None
    """Why it stands so."""
    attempts: int
    at: str
    """When it was written or received."""


class EventList(WireModel):
    """Some events, newest first."""

    events: tuple[EventRow, ...]


class Requeued(WireModel):
    """How many events are tried again."""

    requeued: int


class AuditPage(WireModel):
    """Some records of an audit trail, oldest first."""

    records: tuple[JsonObject, ...]
    next: int | None = None
    """Give it as `after` to continue; null when there are no more."""


class Verification(WireModel):
    """Whether an audit trail is whole."""

    is_whole: bool
    records: int
    problems: tuple[JsonObject, ...]
    head: str
    """The hash of the last record; noted elsewhere, it finds a trail that was rewritten."""


class Statistics(WireModel):
    """Figures of one workflow."""

    workflow: str
    tools: tuple[JsonObject, ...]
    outcomes: tuple[JsonObject, ...]
    counted_at: str = ""
    """When they were counted: figures are counted again now and then."""


def rows(found: Any) -> tuple[JsonObject, ...]:
    """Convert the rows of a report to JSON objects with camelCase keys."""
    return tuple({camel(name): value for name, value in one.items()} for one in found)
