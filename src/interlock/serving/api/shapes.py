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
    """A served workflow."""

    name: str
    version: int
    fingerprint: str
    """The fingerprint of the definition: definitions that differ in a state, an edge or a rule have different ones."""
    initial_state: str
    states: tuple[str, ...]


class WorkflowDescription(WorkflowSummary):
    """A complete workflow: its drawing as data, and the contracts of its tools."""

    drawing: JsonObject
    contracts: tuple[JsonObject, ...]


class WorkflowList(WireModel):
    """The served workflows."""

    workflows: tuple[WorkflowSummary, ...]


class StartRequest(WireModel):
    """A new instance."""

    data: JsonObject | None = None
    """Its data; by default the workflow's defaults."""
    workflow_id: str | None = Field(default=None, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    """Its id, chosen by the caller: starting it again returns the same instance. By default, the service generates one."""
    served: str | None = Field(default=None, min_length=1, max_length=255)
    """The person whom it serves; by default the caller."""


class ProposeRequest(WireModel):
    """A call of a tool."""

    tool: str = Field(min_length=1, max_length=128)
    """The canonical name."""
    arguments: JsonObject = Field(default_factory=dict)


class RaiseBudgetRequest(WireModel):
    """Raise a budget."""

    more: str = Field(min_length=1, max_length=40, pattern=r"^[0-9]+(\.[0-9]{1,6})?$")
    """The amount to add: tokens, or money as a decimal number."""
    reason: str = Field(min_length=1, max_length=2000)
    """The reason, which is recorded."""


class BudgetList(WireModel):
    """The budgets of an instance."""

    budgets: tuple[BudgetStanding, ...]


class CancelRequest(WireModel):
    """Cancel an instance."""

    reason: str = Field(min_length=1, max_length=2000)
    """The reason, which is recorded."""


class ForkRequest(WireModel):
    """Start a new instance from a checkpoint."""

    checkpoint_id: str | None = Field(default=None, min_length=1, max_length=255)
    """The checkpoint of the thread; by default the newest."""
    thread_id: str | None = Field(default=None, min_length=1, max_length=255)
    """The new thread; by default the service generates an id."""


class ForkAnswer(WireModel):
    """The instance that a fork started."""

    thread_id: str
    workflow_id: str


class EraseRequest(WireModel):
    """The reason for an erasure, which is recorded."""

    reason: str = Field(min_length=1, max_length=2000)
    what: Literal["payloads", "conversation"] = "payloads"
    """The payloads of the audit trail, or the messages of its thread."""


class Erased(WireModel):
    """The result of an erasure."""

    erased: int
    """The number of records that lost their payload, or of messages that lost their text."""


class DecideRequest(WireModel):
    """A decision on an approval."""

    decision: Literal["approve", "edit", "reject", "respond"]
    arguments: JsonObject | None = None
    """With `edit`: the complete arguments."""
    values: JsonObject | None = None
    """With `approve`: the parameters that only the approver fills in, by the names in the approval's `fields`."""
    message: str | None = Field(default=None, max_length=10_000)
    """With `reject` and `respond`: the message to the proposer."""
    resume: bool = True
    """Whether to resume the thread immediately."""


class Decided(WireModel):
    """An approval after a decision."""

    approval_id: str
    workflow_id: str
    status: str
    resumed: bool
    """Whether this call resumed the thread, or executed the granted call; otherwise the next tick does."""


class AssignmentRequest(WireModel):
    """The reassignment of an open request."""

    to: tuple[str, ...] = Field(min_length=1, max_length=100)
    """The ids of the people who decide from now on."""
    reason: str | None = Field(default=None, max_length=10_000)
    """The reason, which is recorded."""


class StillOpen(WireModel):
    """An open request after a reassignment or a reminder."""

    approval_id: str
    workflow_id: str
    status: str
    rule: JsonObject
    """The current deciders."""


class DelegationRequest(WireModel):
    """A delegation of the caller's decisions during an absence."""

    delegate: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")
    until: AwareDatetime
    since: AwareDatetime | None = None
    """The start; by default now."""


class DelegationList(WireModel):
    """The delegations that concern the caller, or all of their tenant for an operator."""

    delegations: tuple[JsonObject, ...]


class ApprovalPage(WireModel):
    """A page of approvals, oldest first."""

    approvals: tuple[JsonObject, ...]
    next: str | None = None
    """Pass it as `cursor` to read the next page; null on the last page."""


class InstanceRow(WireModel):
    """An instance in a list."""

    workflow_id: str
    workflow: str
    version: int
    state: str
    revision: int
    served: str | None
    """The person whom it serves; null if it serves the whole tenant."""
    thread_id: str | None
    is_final: bool
    waits_for: str | None
    """`approval`, `event` or `resolution`: what it waits for; null if it does not wait."""
    created_at: str
    updated_at: str


class InstancePage(WireModel):
    """A page of instances, newest first."""

    instances: tuple[InstanceRow, ...]
    next: str | None = None
    """Pass it as `cursor` to read the next page; null on the last page."""


class AttemptRow(WireModel):
    """An attempt of unknown outcome."""

    workflow_id: str
    idempotency_key: str
    tool: str
    attempt: int
    started_at: str
    arguments: JSON


class AttemptList(WireModel):
    """The attempts that have to be resolved, oldest first."""

    attempts: tuple[AttemptRow, ...]


class ResolveRequest(WireModel):
    """The resolution of an attempt."""

    found: Literal["happened", "retry", "failed"]
    output: JSON = None
    """With `happened`: the output that the tool would have returned."""
    data: JsonObject | None = None
    """With `happened`: the complete workflow data after the call; by default the call did not change it."""
    note: str | None = Field(default=None, max_length=2000)
    """How the outcome was determined; it is recorded."""
    attempt: int | None = Field(default=None, ge=1, le=LARGEST)
    """The number of the attempt, so that the resolution does not apply to a later one."""


class Resolved(WireModel):
    """The result of a resolution."""

    result: JsonObject | None
    """The result of the call; null if the call will be retried."""


class DeliverRequest(WireModel):
    """An event in its wire form, or a CloudEvent."""

    event: JsonObject
    source: str = Field(default="/application", min_length=1, max_length=255)
    """The source of the event."""


class Delivered(WireModel):
    """The result of delivering an event to one workflow."""

    event_id: str
    workflow: str
    status: str
    note: str | None
    workflow_ids: tuple[str, ...]


class DeliveredList(WireModel):
    """The results of delivering an event to each workflow."""

    deliveries: tuple[Delivered, ...]


class EventRow(WireModel):
    """An event of the outbox or the inbox."""

    box: Literal["out", "in", "webhook"]
    event_id: str
    event_name: str
    workflow_id: str | None
    status: str
    problem: str | None
    """The reason for its status."""
    attempts: int
    at: str
    """When it was stored or received."""


class EventList(WireModel):
    """A page of events, newest first."""

    events: tuple[EventRow, ...]


class Requeued(WireModel):
    """The number of events that will be retried."""

    requeued: int


class AuditPage(WireModel):
    """A page of records of an audit trail, oldest first."""

    records: tuple[JsonObject, ...]
    next: int | None = None
    """Pass it as `after` to read the next page; null on the last page."""


class Verification(WireModel):
    """The result of verifying an audit trail."""

    is_whole: bool
    records: int
    problems: tuple[JsonObject, ...]
    head: str
    """The hash of the last record. Compared with a copy elsewhere, it reveals a rewritten trail."""


class Statistics(WireModel):
    """Statistics of one workflow."""

    workflow: str
    tools: tuple[JsonObject, ...]
    outcomes: tuple[JsonObject, ...]
    counted_at: str = ""
    """When they were counted; the service recounts them from time to time."""


def rows(found: Any) -> tuple[JsonObject, ...]:
    """Convert the rows of a report to JSON objects with camelCase keys."""
    return tuple({camel(name): value for name, value in one.items()} for one in found)
