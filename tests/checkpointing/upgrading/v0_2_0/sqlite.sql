CREATE TABLE conversation_messages (
  conversation BIGINT NOT NULL,
  position INTEGER NOT NULL,
  message_id VARCHAR(255),
  role VARCHAR(32) NOT NULL,
  kind VARCHAR(64) NOT NULL,
  body BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  erased_at BIGINT,
  PRIMARY KEY (conversation, position)
);

CREATE TABLE conversation_threads (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  thread_id VARCHAR(255) NOT NULL,
  epoch INTEGER NOT NULL,
  created_at BIGINT NOT NULL,
  erased_at BIGINT,
  CONSTRAINT uq_conversation_threads_thread_id UNIQUE (thread_id)
);

CREATE TABLE workflow_approvals (
  approval_id VARCHAR(64) NOT NULL,
  workflow_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  idempotency_key VARCHAR(128) NOT NULL,
  workflow VARCHAR(128) NOT NULL,
  tool VARCHAR(64) NOT NULL,
  tool_version INTEGER NOT NULL,
  arguments TEXT NOT NULL,
  edited_arguments TEXT,
  digest VARCHAR(80) NOT NULL,
  state VARCHAR(128) NOT NULL,
  revision BIGINT NOT NULL,
  shown TEXT NOT NULL,
  rule TEXT NOT NULL,
  status VARCHAR(16) NOT NULL,
  message TEXT,
  requester TEXT NOT NULL,
  message_key VARCHAR(80) NOT NULL,
  thread_id VARCHAR(255),
  interrupt_id VARCHAR(64),
  answers INTEGER NOT NULL,
  requested_at BIGINT NOT NULL,
  expires_at BIGINT,
  remind_at BIGINT,
  decided_at BIGINT,
  used_at BIGINT,
  settled_at BIGINT,
  PRIMARY KEY (approval_id),
  CONSTRAINT uq_workflow_approvals_workflow_id_idempotency_key UNIQUE (workflow_id, idempotency_key)
);

CREATE INDEX ix_workflow_approvals_asked ON workflow_approvals (tenant, workflow, tool, requested_at);

CREATE INDEX ix_workflow_approvals_due ON workflow_approvals (status, expires_at);

CREATE INDEX ix_workflow_approvals_granted ON workflow_approvals (workflow, status, decided_at, approval_id) WHERE status IN ('approved', 'edited');

CREATE INDEX ix_workflow_approvals_new ON workflow_approvals (workflow, requested_at, tenant);

CREATE INDEX ix_workflow_approvals_oldest ON workflow_approvals (status, requested_at, approval_id);

CREATE INDEX ix_workflow_approvals_pending ON workflow_approvals (tenant, status, requested_at, approval_id);

CREATE INDEX ix_workflow_approvals_remind ON workflow_approvals (workflow, remind_at) WHERE status = 'requested' AND remind_at IS NOT NULL;

CREATE INDEX ix_workflow_approvals_resume ON workflow_approvals (workflow, status, interrupt_id) WHERE status <> 'requested' AND status <> 'used' AND interrupt_id IS NOT NULL;

CREATE INDEX ix_workflow_approvals_settled ON workflow_approvals (workflow, settled_at, tenant) WHERE settled_at IS NOT NULL;

CREATE TABLE workflow_audit (
  workflow_id VARCHAR(64) NOT NULL,
  number BIGINT NOT NULL,
  audit_ref VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  kind VARCHAR(32) NOT NULL,
  tool VARCHAR(64),
  code VARCHAR(64),
  revision BIGINT NOT NULL,
  trace_id VARCHAR(64) NOT NULL,
  principal_id VARCHAR(255) NOT NULL,
  payload TEXT,
  payload_digest VARCHAR(80) NOT NULL,
  previous_hash VARCHAR(80) NOT NULL,
  hash VARCHAR(80) NOT NULL,
  recorded_at BIGINT NOT NULL,
  schema_version SMALLINT NOT NULL,
  trace_run VARCHAR(64),
  PRIMARY KEY (workflow_id, number)
);

CREATE INDEX ix_workflow_audit_trace_run ON workflow_audit (trace_run) WHERE trace_run IS NOT NULL;

CREATE TABLE workflow_budgets (
  scope VARCHAR(64) NOT NULL,
  budget VARCHAR(64) NOT NULL,
  began_at BIGINT NOT NULL,
  workflow_id VARCHAR(64),
  spent BIGINT NOT NULL,
  raised BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (scope, budget, began_at)
);

CREATE INDEX ix_workflow_budgets_instance ON workflow_budgets (workflow_id) WHERE workflow_id IS NOT NULL;

CREATE TABLE workflow_cancellations (
  workflow_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  workflow VARCHAR(128) NOT NULL,
  status VARCHAR(16) NOT NULL,
  due_at BIGINT,
  requested_at BIGINT,
  requested_by TEXT,
  reason TEXT,
  calls TEXT,
  left_over INTEGER NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (workflow_id)
);

CREATE INDEX ix_workflow_cancellations_due ON workflow_cancellations (workflow, due_at) WHERE status = 'due';

CREATE INDEX ix_workflow_cancellations_open ON workflow_cancellations (workflow) WHERE status = 'open';

CREATE TABLE workflow_channel_values (
  thread BIGINT NOT NULL,
  value_id BIGINT NOT NULL,
  channel TEXT NOT NULL,
  version TEXT NOT NULL,
  kind VARCHAR(64) NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (thread, value_id)
);

CREATE TABLE workflow_checkpoints (
  thread BIGINT NOT NULL,
  checkpoint_id VARCHAR(128) NOT NULL,
  parent_id VARCHAR(128),
  kind VARCHAR(64) NOT NULL,
  body BLOB NOT NULL,
  metadata TEXT NOT NULL,
  run_id VARCHAR(255),
  outside TEXT,
  PRIMARY KEY (thread, checkpoint_id)
);

CREATE INDEX ix_workflow_checkpoints_run_id ON workflow_checkpoints (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE workflow_counted (
  scope VARCHAR(64) NOT NULL,
  tool VARCHAR(64) NOT NULL,
  field VARCHAR(255) NOT NULL,
  at BIGINT NOT NULL,
  workflow_id VARCHAR(64) NOT NULL,
  idempotency_key VARCHAR(128) NOT NULL,
  number BIGINT NOT NULL,
  total TEXT NOT NULL,
  unreadable BIGINT NOT NULL,
  PRIMARY KEY (scope, tool, field, at)
);

CREATE TABLE workflow_counters (
  scope VARCHAR(64) NOT NULL,
  tool VARCHAR(64) NOT NULL,
  field VARCHAR(255) NOT NULL,
  number BIGINT NOT NULL,
  total TEXT NOT NULL,
  unreadable BIGINT NOT NULL,
  by_time SMALLINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (scope, tool, field)
);

CREATE TABLE workflow_decisions (
  approval_id VARCHAR(64) NOT NULL,
  number INTEGER NOT NULL,
  kind VARCHAR(16) NOT NULL,
  principal_id VARCHAR(255) NOT NULL,
  principal TEXT NOT NULL,
  on_behalf_of VARCHAR(255),
  arguments TEXT,
  message TEXT,
  decided_at BIGINT NOT NULL,
  PRIMARY KEY (approval_id, number)
);

CREATE TABLE workflow_definitions (
  workflow VARCHAR(128) NOT NULL,
  fingerprint VARCHAR(80) NOT NULL,
  version INTEGER NOT NULL,
  shape TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (workflow, fingerprint)
);

CREATE TABLE workflow_delegations (
  delegation_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  person VARCHAR(255) NOT NULL,
  delegate VARCHAR(255) NOT NULL,
  begins_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  made_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (delegation_id)
);

CREATE INDEX ix_workflow_delegations_delegate ON workflow_delegations (tenant, delegate, ends_at);

CREATE INDEX ix_workflow_delegations_person ON workflow_delegations (tenant, person, ends_at);

CREATE TABLE workflow_feedback (
  feedback_id VARCHAR(64) NOT NULL,
  workflow_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  audit_ref VARCHAR(64) NOT NULL,
  body TEXT NOT NULL,
  status VARCHAR(16) NOT NULL,
  attempts INTEGER NOT NULL,
  next_attempt_at BIGINT NOT NULL,
  error TEXT,
  created_at BIGINT NOT NULL,
  sent_at BIGINT,
  PRIMARY KEY (feedback_id)
);

CREATE INDEX ix_workflow_feedback_due ON workflow_feedback (status, next_attempt_at);

CREATE INDEX ix_workflow_feedback_workflow ON workflow_feedback (workflow_id);

CREATE TABLE workflow_inbox (
  position INTEGER NOT NULL,
  consumer VARCHAR(64) NOT NULL,
  source VARCHAR(255) NOT NULL,
  event_id VARCHAR(128) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  event_name VARCHAR(128) NOT NULL,
  workflow_id VARCHAR(64),
  correlation VARCHAR(96),
  trace_id VARCHAR(64) NOT NULL,
  envelope TEXT NOT NULL,
  status VARCHAR(16) NOT NULL,
  note TEXT,
  repeats INTEGER NOT NULL,
  received_at BIGINT NOT NULL,
  settled_at BIGINT,
  PRIMARY KEY (position),
  CONSTRAINT uq_workflow_inbox_consumer_source_event_id UNIQUE (consumer, source, event_id)
);

CREATE INDEX ix_workflow_inbox_held ON workflow_inbox (consumer, status) WHERE status = 'kept' AND note IS NOT NULL;

CREATE INDEX ix_workflow_inbox_instance ON workflow_inbox (workflow_id) WHERE workflow_id IS NOT NULL;

CREATE INDEX ix_workflow_inbox_kept ON workflow_inbox (consumer, correlation, event_name, status);

CREATE INDEX ix_workflow_inbox_lately ON workflow_inbox (consumer, settled_at) WHERE status IN ('kept', 'unmatched');

CREATE INDEX ix_workflow_inbox_listing ON workflow_inbox (status, position);

CREATE INDEX ix_workflow_inbox_trace ON workflow_inbox (trace_id);

CREATE TABLE workflow_instances (
  workflow_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  workflow VARCHAR(128) NOT NULL,
  workflow_version INTEGER NOT NULL,
  definition VARCHAR(80) NOT NULL,
  state VARCHAR(128) NOT NULL,
  revision BIGINT NOT NULL,
  data TEXT NOT NULL,
  finished SMALLINT NOT NULL,
  thread_id VARCHAR(255),
  checkpoint_ns TEXT,
  head_checkpoint VARCHAR(64),
  running_key VARCHAR(80),
  lease_owner VARCHAR(64),
  lease_epoch BIGINT NOT NULL,
  lease_until BIGINT,
  trace_id VARCHAR(64) NOT NULL,
  started_by TEXT NOT NULL,
  proposer TEXT NOT NULL,
  seal VARCHAR(64) NOT NULL,
  served VARCHAR(255),
  run_by TEXT,
  last_result TEXT,
  audit_count BIGINT NOT NULL,
  audit_head VARCHAR(80) NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (workflow_id)
);

CREATE INDEX ix_workflow_instances_listing ON workflow_instances (tenant, workflow);

CREATE INDEX ix_workflow_instances_newest ON workflow_instances (tenant, created_at, workflow_id);

CREATE INDEX ix_workflow_instances_oldest ON workflow_instances (created_at, workflow_id);

CREATE INDEX ix_workflow_instances_served ON workflow_instances (tenant, served, created_at, workflow_id);

CREATE INDEX ix_workflow_instances_thread ON workflow_instances (thread_id) WHERE thread_id IS NOT NULL;

CREATE INDEX ix_workflow_instances_trace ON workflow_instances (trace_id);

CREATE TABLE workflow_ledger (
  workflow_id VARCHAR(64) NOT NULL,
  idempotency_key VARCHAR(128) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  fingerprint VARCHAR(80) NOT NULL,
  tool VARCHAR(64) NOT NULL,
  tool_version INTEGER NOT NULL,
  status VARCHAR(16) NOT NULL,
  attempt INTEGER NOT NULL,
  principal_id VARCHAR(255),
  requester TEXT,
  owner VARCHAR(64),
  arguments TEXT NOT NULL,
  result TEXT,
  audit_ref VARCHAR(64) NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (workflow_id, idempotency_key)
);

CREATE INDEX ix_workflow_ledger_limits ON workflow_ledger (tenant, tool, started_at);

CREATE INDEX ix_workflow_ledger_unsettled ON workflow_ledger (status, started_at) WHERE status IN ('started', 'unknown');

CREATE TABLE workflow_looks (
  workflow VARCHAR(128) NOT NULL,
  looked_at BIGINT NOT NULL,
  PRIMARY KEY (workflow)
);

CREATE TABLE workflow_outbox (
  position INTEGER NOT NULL,
  event_id VARCHAR(64) NOT NULL,
  workflow_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  event_name VARCHAR(128) NOT NULL,
  trace_id VARCHAR(64) NOT NULL,
  envelope TEXT NOT NULL,
  status VARCHAR(16) NOT NULL,
  attempts INTEGER NOT NULL,
  next_attempt_at BIGINT NOT NULL,
  error TEXT,
  created_at BIGINT NOT NULL,
  published_at BIGINT,
  destination VARCHAR(255),
  PRIMARY KEY (position),
  CONSTRAINT uq_workflow_outbox_event_id UNIQUE (event_id)
);

CREATE INDEX ix_workflow_outbox_due ON workflow_outbox (status, position);

CREATE INDEX ix_workflow_outbox_trace ON workflow_outbox (trace_id);

CREATE INDEX ix_workflow_outbox_workflow ON workflow_outbox (workflow_id, position);

CREATE TABLE workflow_outcomes (
  workflow VARCHAR(128) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  added_up_to BIGINT NOT NULL,
  sums TEXT NOT NULL,
  PRIMARY KEY (workflow, tenant)
);

CREATE TABLE workflow_recovery (
  id SMALLINT NOT NULL,
  identity TEXT NOT NULL,
  incarnation VARCHAR(255),
  any_timeline SMALLINT NOT NULL,
  held_since BIGINT,
  reason TEXT,
  resumed_at BIGINT,
  resumed_by VARCHAR(255),
  PRIMARY KEY (id)
);

CREATE TABLE workflow_relay_lanes (
  workflow_id VARCHAR(64) NOT NULL,
  owner VARCHAR(64) NOT NULL,
  held_until BIGINT NOT NULL,
  claimed_to BIGINT NOT NULL,
  PRIMARY KEY (workflow_id)
);

CREATE TABLE workflow_resumptions (
  kind VARCHAR(16) NOT NULL,
  workflow_id VARCHAR(64) NOT NULL,
  stop_id VARCHAR(128) NOT NULL,
  workflow VARCHAR(128) NOT NULL,
  settled_at BIGINT NOT NULL,
  attempts INTEGER NOT NULL,
  error TEXT,
  next_attempt_at BIGINT NOT NULL,
  owner VARCHAR(64),
  held_until BIGINT NOT NULL,
  PRIMARY KEY (kind, workflow_id, stop_id)
);

CREATE INDEX ix_workflow_resumptions_due ON workflow_resumptions (workflow, kind, next_attempt_at);

CREATE INDEX ix_workflow_resumptions_instance ON workflow_resumptions (workflow_id);

CREATE TABLE workflow_retired (
  workflow_id VARCHAR(64) NOT NULL,
  retired_at BIGINT NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  workflow VARCHAR(128) NOT NULL,
  audit_count BIGINT NOT NULL,
  audit_head VARCHAR(80) NOT NULL,
  exported SMALLINT NOT NULL,
  PRIMARY KEY (workflow_id, retired_at)
);

CREATE TABLE workflow_sources (
  workflow_id VARCHAR(64) NOT NULL,
  source_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  kind VARCHAR(16) NOT NULL,
  name VARCHAR(255) NOT NULL,
  audit_ref VARCHAR(64),
  kept_at BIGINT NOT NULL,
  salt TEXT NOT NULL,
  held TEXT NOT NULL,
  PRIMARY KEY (workflow_id, source_id)
);

CREATE TABLE workflow_threads (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  thread_id VARCHAR(255) NOT NULL,
  namespace_key VARCHAR(128) NOT NULL,
  long_namespace TEXT,
  head VARCHAR(128),
  deleted_up_to VARCHAR(128),
  CONSTRAINT uq_workflow_threads_thread_id_namespace_key UNIQUE (thread_id, namespace_key)
);

CREATE TABLE workflow_wait_events (
  wait_id VARCHAR(64) NOT NULL,
  event_name VARCHAR(128) NOT NULL,
  workflow VARCHAR(128) NOT NULL,
  correlation VARCHAR(96) NOT NULL,
  PRIMARY KEY (wait_id, event_name)
);

CREATE INDEX ix_workflow_wait_events_found ON workflow_wait_events (workflow, correlation, event_name);

CREATE TABLE workflow_wait_items (
  wait_id VARCHAR(64) NOT NULL,
  number INTEGER NOT NULL,
  event_name VARCHAR(128) NOT NULL,
  part VARCHAR(255),
  status VARCHAR(16) NOT NULL,
  event_id VARCHAR(128),
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (wait_id, number)
);

CREATE INDEX ix_workflow_wait_items_event ON workflow_wait_items (event_id);

CREATE INDEX ix_workflow_wait_items_part ON workflow_wait_items (wait_id, part, event_name);

CREATE TABLE workflow_waits (
  wait_id VARCHAR(64) NOT NULL,
  workflow_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  workflow VARCHAR(128) NOT NULL,
  state VARCHAR(128) NOT NULL,
  revision BIGINT NOT NULL,
  status VARCHAR(16) NOT NULL,
  needed INTEGER NOT NULL,
  total INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  resumed SMALLINT NOT NULL,
  opened_at BIGINT NOT NULL,
  due_at BIGINT,
  ended_at BIGINT,
  PRIMARY KEY (wait_id)
);

CREATE INDEX ix_workflow_waits_due ON workflow_waits (workflow, status, due_at) WHERE ended_at IS NULL;

CREATE INDEX ix_workflow_waits_instance ON workflow_waits (workflow_id, status);

CREATE INDEX ix_workflow_waits_open ON workflow_waits (tenant, status, opened_at) WHERE ended_at IS NULL;

CREATE INDEX ix_workflow_waits_overdue ON workflow_waits (tenant, status, due_at) WHERE ended_at IS NULL;

CREATE INDEX ix_workflow_waits_resume ON workflow_waits (workflow, resumed) WHERE status <> 'open' AND resumed = 0;

CREATE TABLE workflow_webhooks (
  hook VARCHAR(64) NOT NULL,
  event_id VARCHAR(64) NOT NULL,
  workflow_id VARCHAR(64) NOT NULL,
  tenant VARCHAR(128) NOT NULL,
  status VARCHAR(16) NOT NULL,
  attempts INTEGER NOT NULL,
  next_attempt_at BIGINT NOT NULL,
  error TEXT,
  created_at BIGINT NOT NULL,
  settled_at BIGINT,
  PRIMARY KEY (hook, event_id)
);

CREATE INDEX ix_workflow_webhooks_due ON workflow_webhooks (status, next_attempt_at);

CREATE INDEX ix_workflow_webhooks_instance ON workflow_webhooks (workflow_id);

CREATE TABLE workflow_writes (
  thread BIGINT NOT NULL,
  checkpoint_id VARCHAR(128) NOT NULL,
  task_id VARCHAR(128) NOT NULL,
  part SMALLINT NOT NULL,
  task_path TEXT NOT NULL,
  kind VARCHAR(64) NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (thread, checkpoint_id, task_id, part)
);
