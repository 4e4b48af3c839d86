"""The tables of the first release: frozen, for a migration must not change with the code.

Written by `python -m tests.checkpointing.upgrading.frozen`.
"""

# ruff: noqa: E501

import sqlalchemy as sa

from interlock.checkpointing.migrations.creating import create
from interlock.checkpointing.tables.columns import blob, counter, ident, instant, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Packed, for it is written once and compared, not read.
# fmt: off
def upgrade() -> None:
    """Create everything."""
    create(
        'conversation_messages', sa.Column('conversation', sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column('position', sa.Integer(), primary_key=True, autoincrement=False), sa.Column('message_id', ident(255)),
        sa.Column('role', ident(32), nullable=False), sa.Column('kind', ident(64), nullable=False), sa.Column('body', blob(), nullable=False),
        sa.Column('created_at', instant(), nullable=False), sa.Column('erased_at', instant()),
    )
    create(
        'conversation_threads', sa.Column('id', counter(), primary_key=True, autoincrement=True),
        sa.Column('thread_id', ident(255), nullable=False), sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('created_at', instant(), nullable=False), sa.Column('erased_at', instant()), sa.UniqueConstraint('thread_id'),
        sqlite_autoincrement=True,
    )
    create(
        'workflow_approvals', sa.Column('approval_id', ident(64), primary_key=True), sa.Column('workflow_id', ident(64), nullable=False),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('idempotency_key', ident(128), nullable=False),
        sa.Column('workflow', ident(128), nullable=False), sa.Column('tool', ident(64), nullable=False),
        sa.Column('tool_version', sa.Integer(), nullable=False),
        sa.Column('arguments', text(), nullable=False, comment='canonical arguments as shown'), sa.Column('edited_arguments', text()),
        sa.Column('digest', ident(80), nullable=False, comment='binds the decision to what was shown'),
        sa.Column('state', ident(128), nullable=False), sa.Column('revision', sa.BigInteger(), nullable=False),
        sa.Column('shown', text(), nullable=False, comment='everything the approver was shown, as JSON'),
        sa.Column('rule', text(), nullable=False, comment='who may decide and how, as JSON'),
        sa.Column('status', ident(16), nullable=False, comment='requested, approved, edited, rejected, responded, expired, withdrawn, void, used'),
        sa.Column('message', text()), sa.Column('requester', text(), nullable=False, comment='the principal whose run proposed it, as JSON'),
        sa.Column('message_key', ident(80), nullable=False, comment='the message whose proposals belong together'),
        sa.Column('thread_id', ident(255)),
        sa.Column('interrupt_id', ident(64), comment='what its graph stands at; NULL once it was seen to have gone on from a settled one, and where no graph asked'),
        sa.Column('answers', sa.Integer(), nullable=False, comment="answers of this interrupt's task that were taken already"),
        sa.Column('requested_at', instant(), nullable=False), sa.Column('expires_at', instant()),
        sa.Column('remind_at', instant(), comment='when those who are asked are reminded next'), sa.Column('decided_at', instant()),
        sa.Column('used_at', instant()), sa.Column('settled_at', instant(), comment='when it was first not requested any more'),
        sa.UniqueConstraint('workflow_id', 'idempotency_key'),
        sa.Index('ix_workflow_approvals_asked', 'tenant', 'workflow', 'tool', 'requested_at'),
        sa.Index('ix_workflow_approvals_due', 'status', 'expires_at'),
        sa.Index('ix_workflow_approvals_granted', 'workflow', 'status', 'decided_at', 'approval_id', sqlite_where=sa.text("status IN ('approved', 'edited')"), postgresql_where=sa.text("status IN ('approved', 'edited')")),
        sa.Index('ix_workflow_approvals_new', 'workflow', 'requested_at', 'tenant'),
        sa.Index('ix_workflow_approvals_oldest', 'status', 'requested_at', 'approval_id'),
        sa.Index('ix_workflow_approvals_pending', 'tenant', 'status', 'requested_at', 'approval_id'),
        sa.Index('ix_workflow_approvals_remind', 'workflow', 'remind_at', sqlite_where=sa.text("status = 'requested' AND remind_at IS NOT NULL"), postgresql_where=sa.text("status = 'requested' AND remind_at IS NOT NULL")),
        sa.Index('ix_workflow_approvals_resume', 'workflow', 'status', 'interrupt_id', sqlite_where=sa.text("status <> 'requested' AND status <> 'used' AND interrupt_id IS NOT NULL"), postgresql_where=sa.text("status <> 'requested' AND status <> 'used' AND interrupt_id IS NOT NULL")),
        sa.Index('ix_workflow_approvals_settled', 'workflow', 'settled_at', 'tenant', sqlite_where=sa.text('settled_at IS NOT NULL'), postgresql_where=sa.text('settled_at IS NOT NULL')),
    )
    create(
        'workflow_audit', sa.Column('workflow_id', ident(64), primary_key=True),
        sa.Column('number', sa.BigInteger(), primary_key=True, autoincrement=False), sa.Column('audit_ref', ident(64), nullable=False),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('kind', ident(32), nullable=False), sa.Column('tool', ident(64)),
        sa.Column('code', ident(64), comment='the error code of a denial or refusal'), sa.Column('revision', sa.BigInteger(), nullable=False),
        sa.Column('trace_id', ident(64), nullable=False), sa.Column('principal_id', ident(255), nullable=False),
        sa.Column('payload', text(), comment='NULL once erased'), sa.Column('payload_digest', ident(80), nullable=False),
        sa.Column('previous_hash', ident(80), nullable=False), sa.Column('hash', ident(80), nullable=False),
        sa.Column('recorded_at', instant(), nullable=False), sa.Column('schema_version', sa.SmallInteger(), nullable=False),
        sa.Column('trace_run', ident(64), comment="LangSmith's trace, for looking up; not in the hash"),
        sa.Index('ix_workflow_audit_trace_run', 'trace_run', sqlite_where=sa.text('trace_run IS NOT NULL'), postgresql_where=sa.text('trace_run IS NOT NULL')),
    )
    create(
        'workflow_budgets',
        sa.Column('scope', ident(64), primary_key=True, comment="an instance's id; or a digest of a turn, of a tenant, or of one of its people"),
        sa.Column('budget', ident(64), primary_key=True, comment='its name'),
        sa.Column('began_at', instant(), primary_key=True, autoincrement=False, comment='when its period began; 0: it has none'),
        sa.Column('workflow_id', ident(64), comment='of an instance or a turn: whose it is'),
        sa.Column('spent', sa.BigInteger(), nullable=False, comment='tokens or millionths of money, reservations included'),
        sa.Column('raised', sa.BigInteger(), nullable=False, comment='what people added'), sa.Column('changed_at', instant(), nullable=False),
        sa.Index('ix_workflow_budgets_instance', 'workflow_id', sqlite_where=sa.text('workflow_id IS NOT NULL'), postgresql_where=sa.text('workflow_id IS NOT NULL')),
    )
    create(
        'workflow_cancellations', sa.Column('workflow_id', ident(64), primary_key=True), sa.Column('tenant', ident(128), nullable=False),
        sa.Column('workflow', ident(128), nullable=False),
        sa.Column('status', ident(16), nullable=False, comment='due (at its deadline), open (being undone), done'),
        sa.Column('due_at', instant(), comment='when it is cancelled automatically; NULL without a deadline'),
        sa.Column('requested_at', instant()), sa.Column('requested_by', text(), comment='the principal who cancelled it, as JSON'),
        sa.Column('reason', text()),
        sa.Column('calls', text(), comment='what was carried out, newest first, and what became of each, as JSON'),
        sa.Column('left_over', sa.Integer(), nullable=False, comment='how many calls a person has to see to'),
        sa.Column('ended_at', instant()),
        sa.Index('ix_workflow_cancellations_due', 'workflow', 'due_at', sqlite_where=sa.text("status = 'due'"), postgresql_where=sa.text("status = 'due'")),
        sa.Index('ix_workflow_cancellations_open', 'workflow', sqlite_where=sa.text("status = 'open'"), postgresql_where=sa.text("status = 'open'")),
    )
    create(
        'workflow_channel_values', sa.Column('thread', sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column('value_id', sa.BigInteger(), primary_key=True, autoincrement=False), sa.Column('channel', text(), nullable=False),
        sa.Column('version', text(), nullable=False), sa.Column('kind', ident(64), nullable=False), sa.Column('body', blob(), nullable=False),
    )
    create(
        'workflow_checkpoints', sa.Column('thread', sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column('checkpoint_id', ident(128), primary_key=True), sa.Column('parent_id', ident(128)),
        sa.Column('kind', ident(64), nullable=False), sa.Column('body', blob(), nullable=False),
        sa.Column('metadata', text(), nullable=False), sa.Column('run_id', ident(255)), sa.Column('outside', text()),
        sa.Index('ix_workflow_checkpoints_run_id', 'run_id', sqlite_where=sa.text('run_id IS NOT NULL'), postgresql_where=sa.text('run_id IS NOT NULL')),
    )
    create(
        'workflow_counted', sa.Column('scope', ident(64), primary_key=True), sa.Column('tool', ident(64), primary_key=True),
        sa.Column('field', ident(255), primary_key=True), sa.Column('at', sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column('workflow_id', ident(64), nullable=False, comment='with the key: the entry of the ledger'),
        sa.Column('idempotency_key', ident(128), nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False, comment='the counter after this entry'),
        sa.Column('total', text(), nullable=False), sa.Column('unreadable', sa.BigInteger(), nullable=False),
    )
    create(
        'workflow_counters',
        sa.Column('scope', ident(64), primary_key=True, comment="an instance's id; or a digest of a tenant, or of one of its people"),
        sa.Column('tool', ident(64), primary_key=True),
        sa.Column('field', ident(255), primary_key=True, comment='the argument that is added up; empty: calls alone'),
        sa.Column('number', sa.BigInteger(), nullable=False, comment='how many entries of the ledger count; -1 until counted'),
        sa.Column('total', text(), nullable=False, comment='the sum of the field, as a decimal number'),
        sa.Column('unreadable', sa.BigInteger(), nullable=False, comment='how many have something else than a number there'),
        sa.Column('by_time', sa.SmallInteger(), nullable=False, comment='1: workflow_counted has what it was after each entry'),
        sa.Column('last_at', instant(), nullable=False, comment='of the newest row there'),
    )
    create(
        'workflow_decisions', sa.Column('approval_id', ident(64), primary_key=True),
        sa.Column('number', sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column('kind', ident(16), nullable=False, comment='approve, edit, reject, respond'),
        sa.Column('principal_id', ident(255), nullable=False), sa.Column('principal', text(), nullable=False),
        sa.Column('on_behalf_of', ident(255), comment='the person whose delegate decided'), sa.Column('arguments', text()),
        sa.Column('message', text()), sa.Column('decided_at', instant(), nullable=False),
    )
    create(
        'workflow_definitions', sa.Column('workflow', ident(128), primary_key=True), sa.Column('fingerprint', ident(80), primary_key=True),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.Column('shape', text(), nullable=False, comment='its states and edges, as JSON: what a later definition is compared with'),
        sa.Column('seen_at', instant(), nullable=False),
    )
    create(
        'workflow_delegations', sa.Column('delegation_id', ident(64), primary_key=True), sa.Column('tenant', ident(128), nullable=False),
        sa.Column('person', ident(255), nullable=False, comment='who is away, and said so'),
        sa.Column('delegate', ident(255), nullable=False, comment='who decides for them'), sa.Column('begins_at', instant(), nullable=False),
        sa.Column('ends_at', instant(), nullable=False), sa.Column('made_at', instant(), nullable=False),
        sa.Column('ended_at', instant(), comment='when the person ended it before its time'),
        sa.Index('ix_workflow_delegations_delegate', 'tenant', 'delegate', 'ends_at'),
        sa.Index('ix_workflow_delegations_person', 'tenant', 'person', 'ends_at'),
    )
    create(
        'workflow_feedback', sa.Column('feedback_id', ident(64), primary_key=True), sa.Column('workflow_id', ident(64), nullable=False),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('audit_ref', ident(64), nullable=False, comment="the decision's record"),
        sa.Column('body', text(), nullable=False, comment='what is to be said of which run, as JSON'),
        sa.Column('status', ident(16), nullable=False, comment='pending, sent, dead'), sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('next_attempt_at', instant(), nullable=False), sa.Column('error', text()),
        sa.Column('created_at', instant(), nullable=False), sa.Column('sent_at', instant()),
        sa.Index('ix_workflow_feedback_due', 'status', 'next_attempt_at'), sa.Index('ix_workflow_feedback_workflow', 'workflow_id'),
    )
    create(
        'workflow_inbox', sa.Column('position', counter(), primary_key=True, autoincrement=True),
        sa.Column('consumer', ident(64), nullable=False, comment='the workflow that took it in'),
        sa.Column('source', ident(255), nullable=False), sa.Column('event_id', ident(128), nullable=False),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('event_name', ident(128), nullable=False),
        sa.Column('workflow_id', ident(64), comment='the instance that the event names'),
        sa.Column('correlation', ident(96), comment='what waits are found by; NULL when no wait expects it'),
        sa.Column('trace_id', ident(64), nullable=False), sa.Column('envelope', text(), nullable=False),
        sa.Column('status', ident(16), nullable=False, comment='taken, kept, late, unmatched, failed'),
        sa.Column('note', text(), comment='why it stands so'),
        sa.Column('repeats', sa.Integer(), nullable=False, comment='how often it came again'),
        sa.Column('received_at', instant(), nullable=False), sa.Column('settled_at', instant()),
        sa.UniqueConstraint('consumer', 'source', 'event_id'),
        sa.Index('ix_workflow_inbox_held', 'consumer', 'status', sqlite_where=sa.text("status = 'kept' AND note IS NOT NULL"), postgresql_where=sa.text("status = 'kept' AND note IS NOT NULL")),
        sa.Index('ix_workflow_inbox_instance', 'workflow_id', sqlite_where=sa.text('workflow_id IS NOT NULL'), postgresql_where=sa.text('workflow_id IS NOT NULL')),
        sa.Index('ix_workflow_inbox_kept', 'consumer', 'correlation', 'event_name', 'status'),
        sa.Index('ix_workflow_inbox_lately', 'consumer', 'settled_at', sqlite_where=sa.text("status IN ('kept', 'unmatched')"), postgresql_where=sa.text("status IN ('kept', 'unmatched')")),
        sa.Index('ix_workflow_inbox_listing', 'status', 'position'), sa.Index('ix_workflow_inbox_trace', 'trace_id'),
    )
    create(
        'workflow_instances', sa.Column('workflow_id', ident(64), primary_key=True), sa.Column('tenant', ident(128), nullable=False),
        sa.Column('workflow', ident(128), nullable=False), sa.Column('workflow_version', sa.Integer(), nullable=False),
        sa.Column('definition', ident(80), nullable=False, comment='fingerprint of states, edges and contracts'),
        sa.Column('state', ident(128), nullable=False),
        sa.Column('revision', sa.BigInteger(), nullable=False, comment='count of transitions and data changes'),
        sa.Column('data', text(), nullable=False, comment='the typed business data, as JSON'),
        sa.Column('finished', sa.SmallInteger(), nullable=False), sa.Column('thread_id', ident(255)), sa.Column('checkpoint_ns', text()),
        sa.Column('head_checkpoint', ident(64), comment='root checkpoint that the last command ran on'),
        sa.Column('running_key', ident(80), comment='the command whose outside effect is under way'), sa.Column('lease_owner', ident(64)),
        sa.Column('lease_epoch', sa.BigInteger(), nullable=False), sa.Column('lease_until', sa.BigInteger()),
        sa.Column('trace_id', ident(64), nullable=False),
        sa.Column('started_by', text(), nullable=False, comment='the principal that started it, as JSON'),
        sa.Column('proposer', text(), nullable=False, comment='the principal whose turn it is, as JSON'),
        sa.Column('seal', ident(64), nullable=False, comment='what waiting proposals are signed with; shown nowhere'),
        sa.Column('served', ident(255), comment='the id of the person whom it is for; NULL: nobody in particular'),
        sa.Column('run_by', text(), comment='who else may propose on it, as JSON; NULL: the person served alone'),
        sa.Column('last_result', text()), sa.Column('audit_count', sa.BigInteger(), nullable=False),
        sa.Column('audit_head', ident(80), nullable=False, comment='hash of the last audit record'),
        sa.Column('created_at', instant(), nullable=False), sa.Column('updated_at', instant(), nullable=False),
        sa.Index('ix_workflow_instances_listing', 'tenant', 'workflow'),
        sa.Index('ix_workflow_instances_newest', 'tenant', 'created_at', 'workflow_id'),
        sa.Index('ix_workflow_instances_oldest', 'created_at', 'workflow_id'),
        sa.Index('ix_workflow_instances_served', 'tenant', 'served', 'created_at', 'workflow_id'),
        sa.Index('ix_workflow_instances_thread', 'thread_id', sqlite_where=sa.text('thread_id IS NOT NULL'), postgresql_where=sa.text('thread_id IS NOT NULL')),
        sa.Index('ix_workflow_instances_trace', 'trace_id'),
    )
    create(
        'workflow_ledger', sa.Column('workflow_id', ident(64), primary_key=True), sa.Column('idempotency_key', ident(128), primary_key=True),
        sa.Column('tenant', ident(128), nullable=False),
        sa.Column('fingerprint', ident(80), nullable=False, comment='digest of tool, version and canonical arguments'),
        sa.Column('tool', ident(64), nullable=False), sa.Column('tool_version', sa.Integer(), nullable=False),
        sa.Column('status', ident(16), nullable=False, comment='started, completed, failed, unknown'),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('principal_id', ident(255), comment='who proposed it: what limits per person count by'),
        sa.Column('requester', text(), comment='the principal who proposed it, as JSON; while it may have to be resolved'),
        sa.Column('owner', ident(64), comment="the attempt's process, and the attempt"), sa.Column('arguments', text(), nullable=False),
        sa.Column('result', text()), sa.Column('audit_ref', ident(64), nullable=False), sa.Column('started_at', instant(), nullable=False),
        sa.Column('finished_at', instant()), sa.Index('ix_workflow_ledger_limits', 'tenant', 'tool', 'started_at'),
        sa.Index('ix_workflow_ledger_unsettled', 'status', 'started_at', sqlite_where=sa.text("status IN ('started', 'unknown')"), postgresql_where=sa.text("status IN ('started', 'unknown')")),
    )
    create(
        'workflow_looks', sa.Column('workflow', ident(128), primary_key=True),
        sa.Column('looked_at', instant(), nullable=False, comment='events that came before were looked through for waits that missed them'),
    )
    create(
        'workflow_outbox', sa.Column('position', counter(), primary_key=True, autoincrement=True),
        sa.Column('event_id', ident(64), nullable=False), sa.Column('workflow_id', ident(64), nullable=False),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('event_name', ident(128), nullable=False),
        sa.Column('trace_id', ident(64), nullable=False), sa.Column('envelope', text(), nullable=False),
        sa.Column('status', ident(16), nullable=False, comment='pending, published, dead'),
        sa.Column('attempts', sa.Integer(), nullable=False), sa.Column('next_attempt_at', instant(), nullable=False),
        sa.Column('error', text()), sa.Column('created_at', instant(), nullable=False), sa.Column('published_at', instant()),
        sa.Column('destination', ident(255), comment='where it was published to'), sa.UniqueConstraint('event_id'),
        sa.Index('ix_workflow_outbox_due', 'status', 'position'), sa.Index('ix_workflow_outbox_trace', 'trace_id'),
        sa.Index('ix_workflow_outbox_workflow', 'workflow_id', 'position'),
    )
    create(
        'workflow_outcomes', sa.Column('workflow', ident(128), primary_key=True),
        sa.Column('tenant', ident(128), primary_key=True, comment="empty: everybody's together"),
        sa.Column('added_up_to', sa.BigInteger(), nullable=False, comment='what was requested or settled up to then is in the sums; 0 while nothing is'),
        sa.Column('sums', text(), nullable=False, comment='by tool, state and approver, as JSON'),
    )
    create(
        'workflow_recovery', sa.Column('id', sa.SmallInteger(), primary_key=True, autoincrement=False, comment='1: there is one row'),
        sa.Column('identity', text(), nullable=False, comment='what the server said it was when work last went on, as JSON'),
        sa.Column('incarnation', ident(255), comment='what the application called this life of the database'),
        sa.Column('any_timeline', sa.SmallInteger(), nullable=False, comment='1: a new timeline alone does not hold it'),
        sa.Column('held_since', sa.BigInteger(), comment='NULL: not held'),
        sa.Column('reason', text(), comment='why it is, or was last, held'), sa.Column('resumed_at', instant()),
        sa.Column('resumed_by', ident(255)),
    )
    create(
        'workflow_relay_lanes',
        sa.Column('workflow_id', ident(64), primary_key=True, comment='whose events are being published; empty: the gate of claims'),
        sa.Column('owner', ident(64), nullable=False, comment='the claim that holds it; empty while it waits for another try'),
        sa.Column('held_until', sa.BigInteger(), nullable=False),
        sa.Column('claimed_to', sa.BigInteger(), nullable=False, comment='the position of the last event that its holder has'),
    )
    create(
        'workflow_resumptions', sa.Column('kind', ident(16), primary_key=True, comment='wait, approval, attempt, deadline, proposal, cancel'),
        sa.Column('workflow_id', ident(64), primary_key=True),
        sa.Column('stop_id', ident(128), primary_key=True, comment="of the wait, the approval, or the attempt's key"),
        sa.Column('workflow', ident(128), nullable=False), sa.Column('settled_at', instant(), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False, comment='how many failed since it was settled'),
        sa.Column('error', text(), comment='the last failure: its type and code'), sa.Column('next_attempt_at', instant(), nullable=False),
        sa.Column('owner', ident(64), comment='who has taken it up'),
        sa.Column('held_until', sa.BigInteger(), nullable=False, comment='unless the owner renews it'),
        sa.Index('ix_workflow_resumptions_due', 'workflow', 'kind', 'next_attempt_at'),
        sa.Index('ix_workflow_resumptions_instance', 'workflow_id'),
    )
    create(
        'workflow_retired', sa.Column('workflow_id', ident(64), primary_key=True),
        sa.Column('retired_at', instant(), primary_key=True, autoincrement=False), sa.Column('tenant', ident(128), nullable=False),
        sa.Column('workflow', ident(128), nullable=False),
        sa.Column('audit_count', sa.BigInteger(), nullable=False, comment='how many records its trail had'),
        sa.Column('audit_head', ident(80), nullable=False, comment='the hash of the last of them'),
        sa.Column('exported', sa.SmallInteger(), nullable=False, comment='1: the trail was exported before it was deleted'),
    )
    create(
        'workflow_sources', sa.Column('workflow_id', ident(64), primary_key=True), sa.Column('source_id', ident(64), primary_key=True),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('kind', ident(16), nullable=False, comment='words, output'),
        sa.Column('name', ident(255), nullable=False, comment='who said it, or the tool that returned it'),
        sa.Column('audit_ref', ident(64), comment='the record of what the tool returned'), sa.Column('kept_at', instant(), nullable=False),
        sa.Column('salt', text(), nullable=False, comment='the key of the hashes, one per instance'),
        sa.Column('held', text(), nullable=False, comment='hashes of trusted values, as JSON'),
    )
    create(
        'workflow_threads', sa.Column('id', counter(), primary_key=True, autoincrement=True),
        sa.Column('thread_id', ident(255), nullable=False), sa.Column('namespace_key', ident(128), nullable=False),
        sa.Column('long_namespace', text()), sa.Column('head', ident(128)), sa.Column('deleted_up_to', ident(128)),
        sa.UniqueConstraint('thread_id', 'namespace_key'), sqlite_autoincrement=True,
    )
    create(
        'workflow_wait_events', sa.Column('wait_id', ident(64), primary_key=True), sa.Column('event_name', ident(128), primary_key=True),
        sa.Column('workflow', ident(128), nullable=False), sa.Column('correlation', ident(96), nullable=False),
        sa.Index('ix_workflow_wait_events_found', 'workflow', 'correlation', 'event_name'),
    )
    create(
        'workflow_wait_items', sa.Column('wait_id', ident(64), primary_key=True),
        sa.Column('number', sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column('event_name', ident(128), nullable=False, comment='the event that settles it'),
        sa.Column('part', ident(255), comment='which of several: a recipient, a report'),
        sa.Column('status', ident(16), nullable=False, comment='requested, delivered, acknowledged, failed, timed_out'),
        sa.Column('event_id', ident(128)), sa.Column('changed_at', instant(), nullable=False),
        sa.Index('ix_workflow_wait_items_event', 'event_id'), sa.Index('ix_workflow_wait_items_part', 'wait_id', 'part', 'event_name'),
    )
    create(
        'workflow_waits', sa.Column('wait_id', ident(64), primary_key=True), sa.Column('workflow_id', ident(64), nullable=False),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('workflow', ident(128), nullable=False),
        sa.Column('state', ident(128), nullable=False),
        sa.Column('revision', sa.BigInteger(), nullable=False, comment='of the instance when the wait began'),
        sa.Column('status', ident(16), nullable=False, comment='open, done, failed, timed_out, left'),
        sa.Column('needed', sa.Integer(), nullable=False, comment='how many of its items end it'),
        sa.Column('total', sa.Integer(), nullable=False), sa.Column('settled', sa.Integer(), nullable=False),
        sa.Column('failed', sa.Integer(), nullable=False),
        sa.Column('resumed', sa.SmallInteger(), nullable=False, comment='0 from its end until the graph has gone on from it'),
        sa.Column('opened_at', instant(), nullable=False), sa.Column('due_at', instant()),
        sa.Column('ended_at', instant(), comment='NULL while it is open'),
        sa.Index('ix_workflow_waits_due', 'workflow', 'status', 'due_at', sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL')),
        sa.Index('ix_workflow_waits_instance', 'workflow_id', 'status'),
        sa.Index('ix_workflow_waits_open', 'tenant', 'status', 'opened_at', sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL')),
        sa.Index('ix_workflow_waits_overdue', 'tenant', 'status', 'due_at', sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL')),
        sa.Index('ix_workflow_waits_resume', 'workflow', 'resumed', sqlite_where=sa.text("status <> 'open' AND resumed = 0"), postgresql_where=sa.text("status <> 'open' AND resumed = 0")),
    )
    create(
        'workflow_webhooks', sa.Column('hook', ident(64), primary_key=True, comment='the name of the webhook'),
        sa.Column('event_id', ident(64), primary_key=True), sa.Column('workflow_id', ident(64), nullable=False),
        sa.Column('tenant', ident(128), nullable=False), sa.Column('status', ident(16), nullable=False, comment='pending, delivered, dead'),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('next_attempt_at', instant(), nullable=False, comment='while it is being sent: when somebody else may'),
        sa.Column('error', text()), sa.Column('created_at', instant(), nullable=False), sa.Column('settled_at', instant()),
        sa.Index('ix_workflow_webhooks_due', 'status', 'next_attempt_at'), sa.Index('ix_workflow_webhooks_instance', 'workflow_id'),
    )
    create(
        'workflow_writes', sa.Column('thread', sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column('checkpoint_id', ident(128), primary_key=True), sa.Column('task_id', ident(128), primary_key=True),
        sa.Column('part', sa.SmallInteger(), primary_key=True, autoincrement=False), sa.Column('task_path', text(), nullable=False),
        sa.Column('kind', ident(64), nullable=False), sa.Column('body', blob(), nullable=False),
    )
