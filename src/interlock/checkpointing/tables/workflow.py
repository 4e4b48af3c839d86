"""The tables of the workflow store: definitions, instances, ledger and its counters, approvals and decisions, audit
trail, outbox.

No message text is in any of them; what a tool was called with and what it answered does, for that is workflow data.
"""

import sqlalchemy as sa

from ..vault import Protected
from .budgets import budgets
from .cancellations import cancellations
from .columns import TABLE_OPTIONS, counter, ident, instant, metadata, only_where, text
from .feedback import feedback
from .outcomes import outcomes
from .resumptions import resumptions
from .retired import retired
from .sources import sources
from .webhooks import webhooks

definitions = sa.Table(
    "workflow_definitions",
    metadata,
    sa.Column("workflow", ident(), primary_key=True),
    sa.Column("fingerprint", ident(80), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column(
        "shape",
        text(),
        nullable=False,
        comment="its states and edges, as JSON: what a later definition is compared with",
    ),
    sa.Column("seen_at", instant(), nullable=False),
    **TABLE_OPTIONS,
)

instances = sa.Table(
    "workflow_instances",
    metadata,
    sa.Column("workflow_id", ident(64), primary_key=True),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("workflow", ident(), nullable=False),
    sa.Column("workflow_version", sa.Integer, nullable=False),
    sa.Column("definition", ident(80), nullable=False, comment="fingerprint of states, edges and contracts"),
    sa.Column("state", ident(), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, comment="count of transitions and data changes"),
    sa.Column("data", Protected("workflow_instances.data"), nullable=False, comment="the typed business data, as JSON"),
    sa.Column("finished", sa.SmallInteger, nullable=False),
    sa.Column("thread_id", ident(255), nullable=True),
    sa.Column("checkpoint_ns", text(), nullable=True),
    sa.Column("head_checkpoint", ident(64), nullable=True, comment="root checkpoint that the last command ran on"),
    sa.Column("running_key", ident(80), nullable=True, comment="the command whose outside effect is under way"),
    sa.Column("lease_owner", ident(64), nullable=True),
    sa.Column("lease_epoch", sa.BigInteger, nullable=False),
    sa.Column("lease_until", instant(), nullable=True),
    sa.Column("trace_id", ident(64), nullable=False),
    sa.Column("started_by", text(), nullable=False, comment="the principal that started it, as JSON"),
    sa.Column("proposer", text(), nullable=False, comment="the principal whose turn it is, as JSON"),
    sa.Column("seal", ident(64), nullable=False, comment="what waiting proposals are signed with; shown nowhere"),
    sa.Column(
        "served", ident(255), nullable=True, comment="the id of the person whom it is for; NULL: nobody in particular"
    ),
    sa.Column(
        "run_by", text(), nullable=True, comment="who else may propose on it, as JSON; NULL: the person served alone"
    ),
    sa.Column("last_result", Protected("workflow_instances.last_result"), nullable=True),
    sa.Column("audit_count", sa.BigInteger, nullable=False),
    sa.Column("audit_head", ident(80), nullable=False, comment="hash of the last audit record"),
    sa.Column("created_at", instant(), nullable=False),
    sa.Column("updated_at", instant(), nullable=False),
    # No column that a command changes is indexed: that would slow every command, and prevent PostgreSQL's in-place (HOT) updates.
    sa.Index("ix_workflow_instances_listing", "tenant", "workflow"),
    # The start of an instance never changes, so only starting one updates this index.
    sa.Index("ix_workflow_instances_newest", "tenant", "created_at", "workflow_id"),
    sa.Index("ix_workflow_instances_served", "tenant", "served", "created_at", "workflow_id"),
    sa.Index("ix_workflow_instances_oldest", "created_at", "workflow_id"),
    # Without instances that have no thread: SQLite would count them as many instances of one thread, and not use the index.
    sa.Index("ix_workflow_instances_thread", "thread_id", **only_where("thread_id IS NOT NULL")),
    sa.Index("ix_workflow_instances_trace", "trace_id"),
    info={"place": ("workflow_id",), "protected": ("data", "last_result")},
    **TABLE_OPTIONS,
)

ledger = sa.Table(
    "workflow_ledger",
    metadata,
    sa.Column("workflow_id", ident(64), primary_key=True),
    sa.Column("idempotency_key", ident(128), primary_key=True),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("fingerprint", ident(80), nullable=False, comment="digest of tool, version and canonical arguments"),
    sa.Column("tool", ident(64), nullable=False),
    sa.Column("tool_version", sa.Integer, nullable=False),
    sa.Column("status", ident(16), nullable=False, comment="started, completed, failed, unknown"),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("principal_id", ident(255), nullable=True, comment="who proposed it: what limits per person count by"),
    sa.Column(
        "requester",
        text(),
        nullable=True,
        comment="the principal who proposed it, as JSON; while it may have to be resolved",
    ),
    sa.Column("owner", ident(64), nullable=True, comment="the attempt's process, and the attempt"),
    sa.Column("arguments", Protected("workflow_ledger.arguments"), nullable=False),
    sa.Column("result", Protected("workflow_ledger.result"), nullable=True),
    sa.Column("audit_ref", ident(64), nullable=False),
    sa.Column("started_at", instant(), nullable=False),
    sa.Column("finished_at", instant(), nullable=True),
    sa.Index("ix_workflow_ledger_unsettled", "status", "started_at", **only_where("status IN ('started', 'unknown')")),
    sa.Index("ix_workflow_ledger_limits", "tenant", "tool", "started_at"),
    info={"place": ("workflow_id", "idempotency_key"), "protected": ("arguments", "result")},
    **TABLE_OPTIONS,
)

counters = sa.Table(
    "workflow_counters",
    metadata,
    sa.Column(
        "scope",
        ident(64),
        primary_key=True,
        comment="an instance's id; or a digest of a tenant, or of one of its people",
    ),
    sa.Column("tool", ident(64), primary_key=True),
    sa.Column("field", ident(255), primary_key=True, comment="the argument that is added up; empty: calls alone"),
    sa.Column(
        "number", sa.BigInteger, nullable=False, comment="how many entries of the ledger count; -1 until counted"
    ),
    sa.Column("total", text(), nullable=False, comment="the sum of the field, as a decimal number"),
    sa.Column("unreadable", sa.BigInteger, nullable=False, comment="how many have something else than a number there"),
    sa.Column(
        "by_time", sa.SmallInteger, nullable=False, comment="1: workflow_counted has what it was after each entry"
    ),
    sa.Column("last_at", instant(), nullable=False, comment="of the newest row there"),
    **TABLE_OPTIONS,
)

counted = sa.Table(
    "workflow_counted",
    metadata,
    sa.Column("scope", ident(64), primary_key=True),
    sa.Column("tool", ident(64), primary_key=True),
    sa.Column("field", ident(255), primary_key=True),
    sa.Column("at", instant(), primary_key=True, autoincrement=False),
    sa.Column("workflow_id", ident(64), nullable=False, comment="with the key: the entry of the ledger"),
    sa.Column("idempotency_key", ident(128), nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False, comment="the counter after this entry"),
    sa.Column("total", text(), nullable=False),
    sa.Column("unreadable", sa.BigInteger, nullable=False),
    **TABLE_OPTIONS,
)

approvals = sa.Table(
    "workflow_approvals",
    metadata,
    sa.Column("approval_id", ident(64), primary_key=True),
    sa.Column("workflow_id", ident(64), nullable=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("idempotency_key", ident(128), nullable=False),
    sa.Column("workflow", ident(), nullable=False),
    sa.Column("tool", ident(64), nullable=False),
    sa.Column("tool_version", sa.Integer, nullable=False),
    sa.Column(
        "arguments", Protected("workflow_approvals.arguments"), nullable=False, comment="canonical arguments as shown"
    ),
    sa.Column("edited_arguments", Protected("workflow_approvals.edited_arguments"), nullable=True),
    sa.Column("digest", ident(80), nullable=False, comment="binds the decision to what was shown"),
    sa.Column("state", ident(), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column(
        "shown",
        Protected("workflow_approvals.shown"),
        nullable=False,
        comment="everything the approver was shown, as JSON",
    ),
    sa.Column("rule", text(), nullable=False, comment="who may decide and how, as JSON"),
    sa.Column(
        "status",
        ident(16),
        nullable=False,
        comment="requested, approved, edited, rejected, responded, expired, withdrawn, void, used",
    ),
    sa.Column("message", Protected("workflow_approvals.message"), nullable=True),
    sa.Column("requester", text(), nullable=False, comment="the principal whose run proposed it, as JSON"),
    sa.Column("message_key", ident(80), nullable=False, comment="the message whose proposals belong together"),
    sa.Column("thread_id", ident(255), nullable=True),
    sa.Column(
        "interrupt_id",
        ident(64),
        nullable=True,
        comment="what its graph stands at; NULL once it was seen to have gone on from a settled one, and where no graph asked",
    ),
    sa.Column(
        "answers", sa.Integer, nullable=False, comment="answers of this interrupt's task that were taken already"
    ),
    sa.Column("requested_at", instant(), nullable=False),
    sa.Column("expires_at", instant(), nullable=True),
    sa.Column("remind_at", instant(), nullable=True, comment="when those who are asked are reminded next"),
    sa.Column("decided_at", instant(), nullable=True),
    sa.Column("used_at", instant(), nullable=True),
    sa.Column("settled_at", instant(), nullable=True, comment="when it was first not requested any more"),
    sa.UniqueConstraint("workflow_id", "idempotency_key"),
    sa.Index("ix_workflow_approvals_pending", "tenant", "status", "requested_at", "approval_id"),
    sa.Index("ix_workflow_approvals_due", "status", "expires_at"),
    sa.Index(
        "ix_workflow_approvals_remind",
        "workflow",
        "remind_at",
        **only_where("status = 'requested' AND remind_at IS NOT NULL"),
    ),
    # For recent outcomes of such calls; these columns never change.
    sa.Index("ix_workflow_approvals_asked", "tenant", "workflow", "tool", "requested_at"),
    # For requests since outcomes were last added to the sums.
    sa.Index("ix_workflow_approvals_new", "workflow", "requested_at", "tenant"),
    sa.Index(
        "ix_workflow_approvals_settled", "workflow", "settled_at", "tenant", **only_where("settled_at IS NOT NULL")
    ),
    sa.Index("ix_workflow_approvals_oldest", "status", "requested_at", "approval_id"),
    sa.Index(
        "ix_workflow_approvals_resume",
        "workflow",
        "status",
        "interrupt_id",
        **only_where("status <> 'requested' AND status <> 'used' AND interrupt_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_workflow_approvals_granted",
        "workflow",
        "status",
        "decided_at",
        "approval_id",
        **only_where("status IN ('approved', 'edited')"),
    ),
    info={"place": ("approval_id",), "protected": ("arguments", "edited_arguments", "shown", "message")},
    **TABLE_OPTIONS,
)

decisions = sa.Table(
    "workflow_decisions",
    metadata,
    sa.Column("approval_id", ident(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", ident(16), nullable=False, comment="approve, edit, reject, respond"),
    sa.Column("principal_id", ident(255), nullable=False),
    sa.Column("principal", text(), nullable=False),
    sa.Column("on_behalf_of", ident(255), nullable=True, comment="the person whose delegate decided"),
    sa.Column("arguments", Protected("workflow_decisions.arguments"), nullable=True),
    sa.Column("message", Protected("workflow_decisions.message"), nullable=True),
    sa.Column("decided_at", instant(), nullable=False),
    info={"place": ("approval_id", "number"), "protected": ("arguments", "message")},
    **TABLE_OPTIONS,
)

audit = sa.Table(
    "workflow_audit",
    metadata,
    sa.Column("workflow_id", ident(64), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    # Unique by construction, and only queried within an instance's trail: an index would cost every command a page.
    sa.Column("audit_ref", ident(64), nullable=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("kind", ident(32), nullable=False),
    sa.Column("tool", ident(64), nullable=True),
    sa.Column("code", ident(64), nullable=True, comment="the error code of a denial or refusal"),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("trace_id", ident(64), nullable=False),
    sa.Column("principal_id", ident(255), nullable=False),
    sa.Column("payload", Protected("workflow_audit.payload"), nullable=True, comment="NULL once erased"),
    sa.Column("payload_digest", ident(80), nullable=False),
    sa.Column("previous_hash", ident(80), nullable=False),
    sa.Column("hash", ident(80), nullable=False),
    sa.Column("recorded_at", instant(), nullable=False),
    sa.Column("schema_version", sa.SmallInteger, nullable=False),
    sa.Column("trace_run", ident(64), nullable=True, comment="LangSmith's trace, for looking up; not in the hash"),
    sa.Index("ix_workflow_audit_trace_run", "trace_run", **only_where("trace_run IS NOT NULL")),
    info={"place": ("workflow_id", "number"), "protected": ("payload",)},
    **TABLE_OPTIONS,
)

outbox = sa.Table(
    "workflow_outbox",
    metadata,
    sa.Column("position", counter(), primary_key=True, autoincrement=True),
    sa.Column("event_id", ident(64), nullable=False, unique=True),
    sa.Column("workflow_id", ident(64), nullable=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("event_name", ident(), nullable=False),
    sa.Column("trace_id", ident(64), nullable=False),
    sa.Column("envelope", Protected("workflow_outbox.envelope"), nullable=False),
    sa.Column("status", ident(16), nullable=False, comment="pending, published, dead"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", instant(), nullable=False),
    sa.Column("error", text(), nullable=True),
    sa.Column("created_at", instant(), nullable=False),
    sa.Column("published_at", instant(), nullable=True),
    sa.Column("destination", ident(255), nullable=True, comment="where it was published to"),
    # Read in order of position, so that published rows cost nothing; a due time in the index would need a sort.
    sa.Index("ix_workflow_outbox_due", "status", "position"),
    sa.Index("ix_workflow_outbox_workflow", "workflow_id", "position"),
    sa.Index("ix_workflow_outbox_trace", "trace_id"),
    info={"place": ("event_id",), "protected": ("envelope",)},
    **TABLE_OPTIONS,
)

relay_lanes = sa.Table(
    "workflow_relay_lanes",
    metadata,
    sa.Column(
        "workflow_id",
        ident(64),
        primary_key=True,
        comment="whose events are being published; empty: the gate of claims",
    ),
    sa.Column(
        "owner", ident(64), nullable=False, comment="the claim that holds it; empty while it waits for another try"
    ),
    sa.Column("held_until", instant(), nullable=False),
    sa.Column(
        "claimed_to", sa.BigInteger, nullable=False, comment="the position of the last event that its holder has"
    ),
    **TABLE_OPTIONS,
)

inbox = sa.Table(
    "workflow_inbox",
    metadata,
    sa.Column("position", counter(), primary_key=True, autoincrement=True),
    sa.Column("consumer", ident(64), nullable=False, comment="the workflow that took it in"),
    sa.Column("source", ident(255), nullable=False),
    sa.Column("event_id", ident(128), nullable=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("event_name", ident(), nullable=False),
    sa.Column("workflow_id", ident(64), nullable=True, comment="the instance that the event names"),
    sa.Column("correlation", ident(96), nullable=True, comment="what waits are found by; NULL when no wait expects it"),
    sa.Column("trace_id", ident(64), nullable=False),
    sa.Column("envelope", Protected("workflow_inbox.envelope"), nullable=False),
    sa.Column("status", ident(16), nullable=False, comment="taken, kept, late, unmatched, failed"),
    sa.Column("note", text(), nullable=True, comment="why it stands so"),
    sa.Column("repeats", sa.Integer, nullable=False, comment="how often it came again"),
    sa.Column("received_at", instant(), nullable=False),
    sa.Column("settled_at", instant(), nullable=True),
    sa.UniqueConstraint("consumer", "source", "event_id"),
    sa.Index("ix_workflow_inbox_kept", "consumer", "correlation", "event_name", "status"),
    sa.Index("ix_workflow_inbox_listing", "status", "position"),
    sa.Index("ix_workflow_inbox_lately", "consumer", "settled_at", **only_where("status IN ('kept', 'unmatched')")),
    sa.Index("ix_workflow_inbox_held", "consumer", "status", **only_where("status = 'kept' AND note IS NOT NULL")),
    sa.Index("ix_workflow_inbox_trace", "trace_id"),
    sa.Index("ix_workflow_inbox_instance", "workflow_id", **only_where("workflow_id IS NOT NULL")),
    info={"place": ("consumer", "source", "event_id"), "protected": ("envelope",)},
    **TABLE_OPTIONS,
)

looks = sa.Table(
    "workflow_looks",
    metadata,
    sa.Column("workflow", ident(), primary_key=True),
    sa.Column(
        "looked_at",
        instant(),
        nullable=False,
        comment="events that came before were looked through for waits that missed them",
    ),
    **TABLE_OPTIONS,
)

waits = sa.Table(
    "workflow_waits",
    metadata,
    sa.Column("wait_id", ident(64), primary_key=True),
    sa.Column("workflow_id", ident(64), nullable=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("workflow", ident(), nullable=False),
    sa.Column("state", ident(), nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, comment="of the instance when the wait began"),
    sa.Column("status", ident(16), nullable=False, comment="open, done, failed, timed_out, left"),
    sa.Column("needed", sa.Integer, nullable=False, comment="how many of its items end it"),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("settled", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("resumed", sa.SmallInteger, nullable=False, comment="0 from its end until the graph has gone on from it"),
    sa.Column("opened_at", instant(), nullable=False),
    sa.Column("due_at", instant(), nullable=True),
    sa.Column("ended_at", instant(), nullable=True, comment="NULL while it is open"),
    sa.Index("ix_workflow_waits_instance", "workflow_id", "status"),
    # Indexes of open waits: due ones, a tenant's overdue ones, all of a tenant. Not `WHERE status = 'open'`: PostgreSQL would then
    # not search the index by status, and so not by the columns after it.
    sa.Index("ix_workflow_waits_due", "workflow", "status", "due_at", **only_where("ended_at IS NULL")),
    sa.Index("ix_workflow_waits_overdue", "tenant", "status", "due_at", **only_where("ended_at IS NULL")),
    sa.Index("ix_workflow_waits_open", "tenant", "status", "opened_at", **only_where("ended_at IS NULL")),
    sa.Index("ix_workflow_waits_resume", "workflow", "resumed", **only_where("status <> 'open' AND resumed = 0")),
    **TABLE_OPTIONS,
)

wait_events = sa.Table(
    "workflow_wait_events",
    metadata,
    sa.Column("wait_id", ident(64), primary_key=True),
    sa.Column("event_name", ident(), primary_key=True),
    sa.Column("workflow", ident(), nullable=False),
    sa.Column("correlation", ident(96), nullable=False),
    sa.Index("ix_workflow_wait_events_found", "workflow", "correlation", "event_name"),
    **TABLE_OPTIONS,
)

wait_items = sa.Table(
    "workflow_wait_items",
    metadata,
    sa.Column("wait_id", ident(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("event_name", ident(), nullable=False, comment="the event that settles it"),
    sa.Column("part", ident(255), nullable=True, comment="which of several: a recipient, a report"),
    sa.Column("status", ident(16), nullable=False, comment="requested, delivered, acknowledged, failed, timed_out"),
    sa.Column("event_id", ident(128), nullable=True),
    sa.Column("changed_at", instant(), nullable=False),
    sa.Index("ix_workflow_wait_items_part", "wait_id", "part", "event_name"),
    sa.Index("ix_workflow_wait_items_event", "event_id"),
    **TABLE_OPTIONS,
)

PROTECTED = (instances, ledger, approvals, decisions, audit, outbox, inbox, feedback, sources, cancellations, outcomes)
"""The tables with columns that are encrypted if there are keys."""

__all__ = [
    "PROTECTED", "approvals", "audit", "budgets", "cancellations", "counted", "counters", "decisions", "definitions", "feedback", "inbox", "instances", "ledger",
    "looks", "outbox", "relay_lanes", "resumptions", "retired", "wait_events", "wait_items", "waits", "webhooks",
]  # fmt: skip
