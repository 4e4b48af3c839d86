CREATE TABLE conversation_messages (
  conversation BIGINT NOT NULL,
  position INTEGER NOT NULL,
  message_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  `role` VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  kind VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  body LONGBLOB NOT NULL,
  created_at BIGINT NOT NULL,
  erased_at BIGINT,
  PRIMARY KEY (conversation, position)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE conversation_threads (
  id BIGINT NOT NULL AUTO_INCREMENT,
  thread_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  epoch INTEGER NOT NULL,
  created_at BIGINT NOT NULL,
  erased_at BIGINT,
  PRIMARY KEY (id),
  CONSTRAINT uq_conversation_threads_thread_id UNIQUE (thread_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_approvals (
  approval_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  idempotency_key VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tool VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tool_version INTEGER NOT NULL,
  arguments LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'canonical arguments as shown',
  edited_arguments LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  digest VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'binds the decision to what was shown',
  state VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  revision BIGINT NOT NULL,
  shown LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'everything the approver was shown, as JSON',
  rule LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'who may decide and how, as JSON',
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'requested, approved, edited, rejected, responded, expired, withdrawn, void, used',
  message LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  requester LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the principal whose run proposed it, as JSON',
  message_key VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the message whose proposals belong together',
  thread_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  interrupt_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'what its graph stands at; NULL once it was seen to have gone on from a settled one, and where no graph asked',
  answers INTEGER NOT NULL COMMENT 'answers of this interrupt''s task that were taken already',
  requested_at BIGINT NOT NULL,
  expires_at BIGINT,
  remind_at BIGINT COMMENT 'when those who are asked are reminded next',
  decided_at BIGINT,
  used_at BIGINT,
  settled_at BIGINT COMMENT 'when it was first not requested any more',
  PRIMARY KEY (approval_id),
  CONSTRAINT uq_workflow_approvals_workflow_id_idempotency_key UNIQUE (workflow_id, idempotency_key)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_approvals_asked ON workflow_approvals (tenant, workflow, tool, requested_at);

CREATE INDEX ix_workflow_approvals_due ON workflow_approvals (status, expires_at);

CREATE INDEX ix_workflow_approvals_granted ON workflow_approvals (workflow, status, decided_at, approval_id);

CREATE INDEX ix_workflow_approvals_new ON workflow_approvals (workflow, requested_at, tenant);

CREATE INDEX ix_workflow_approvals_oldest ON workflow_approvals (status, requested_at, approval_id);

CREATE INDEX ix_workflow_approvals_pending ON workflow_approvals (tenant, status, requested_at, approval_id);

CREATE INDEX ix_workflow_approvals_remind ON workflow_approvals (workflow, remind_at);

CREATE INDEX ix_workflow_approvals_resume ON workflow_approvals (workflow, status, interrupt_id);

CREATE INDEX ix_workflow_approvals_settled ON workflow_approvals (workflow, settled_at, tenant);

CREATE TABLE workflow_audit (
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  number BIGINT NOT NULL,
  audit_ref VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  kind VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tool VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  code VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the error code of a denial or refusal',
  revision BIGINT NOT NULL,
  trace_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  principal_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  payload LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'NULL once erased',
  payload_digest VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  previous_hash VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  hash VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  recorded_at BIGINT NOT NULL,
  schema_version SMALLINT NOT NULL,
  trace_run VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'LangSmith''s trace, for looking up; not in the hash',
  PRIMARY KEY (workflow_id, number)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_audit_trace_run ON workflow_audit (trace_run);

CREATE TABLE workflow_budgets (
  scope VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'an instance''s id; or a digest of a turn, of a tenant, or of one of its people',
  budget VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'its name',
  began_at BIGINT NOT NULL COMMENT 'when its period began; 0: it has none',
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'of an instance or a turn: whose it is',
  spent BIGINT NOT NULL COMMENT 'tokens or millionths of money, reservations included',
  raised BIGINT NOT NULL COMMENT 'what people added',
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (scope, budget, began_at)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_budgets_instance ON workflow_budgets (workflow_id);

CREATE TABLE workflow_cancellations (
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'due (at its deadline), open (being undone), done',
  due_at BIGINT COMMENT 'when it is cancelled automatically; NULL without a deadline',
  requested_at BIGINT,
  requested_by LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the principal who cancelled it, as JSON',
  reason LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  calls LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'what was carried out, newest first, and what became of each, as JSON',
  left_over INTEGER NOT NULL COMMENT 'how many calls a person has to see to',
  ended_at BIGINT,
  PRIMARY KEY (workflow_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_cancellations_due ON workflow_cancellations (workflow, due_at);

CREATE INDEX ix_workflow_cancellations_open ON workflow_cancellations (workflow);

CREATE TABLE workflow_channel_values (
  thread BIGINT NOT NULL,
  value_id BIGINT NOT NULL,
  channel LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  version LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  kind VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  body LONGBLOB NOT NULL,
  PRIMARY KEY (thread, value_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_checkpoints (
  thread BIGINT NOT NULL,
  checkpoint_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  parent_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  kind VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  body LONGBLOB NOT NULL,
  metadata LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  run_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  outside LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  PRIMARY KEY (thread, checkpoint_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_checkpoints_run_id ON workflow_checkpoints (run_id);

CREATE TABLE workflow_counted (
  scope VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tool VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  field VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  at BIGINT NOT NULL,
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'with the key: the entry of the ledger',
  idempotency_key VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  number BIGINT NOT NULL COMMENT 'the counter after this entry',
  total LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  unreadable BIGINT NOT NULL,
  PRIMARY KEY (scope, tool, field, at)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_counters (
  scope VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'an instance''s id; or a digest of a tenant, or of one of its people',
  tool VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  field VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the argument that is added up; empty: calls alone',
  number BIGINT NOT NULL COMMENT 'how many entries of the ledger count; -1 until counted',
  total LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the sum of the field, as a decimal number',
  unreadable BIGINT NOT NULL COMMENT 'how many have something else than a number there',
  by_time SMALLINT NOT NULL COMMENT '1: workflow_counted has what it was after each entry',
  last_at BIGINT NOT NULL COMMENT 'of the newest row there',
  PRIMARY KEY (scope, tool, field)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_decisions (
  approval_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  number INTEGER NOT NULL,
  kind VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'approve, edit, reject, respond',
  principal_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  principal LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  on_behalf_of VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the person whose delegate decided',
  arguments LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  message LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  decided_at BIGINT NOT NULL,
  PRIMARY KEY (approval_id, number)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_definitions (
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  fingerprint VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  version INTEGER NOT NULL,
  shape LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'its states and edges, as JSON: what a later definition is compared with',
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (workflow, fingerprint)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_delegations (
  delegation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  person VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'who is away, and said so',
  delegate VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'who decides for them',
  begins_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  made_at BIGINT NOT NULL,
  ended_at BIGINT COMMENT 'when the person ended it before its time',
  PRIMARY KEY (delegation_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_delegations_delegate ON workflow_delegations (tenant, delegate, ends_at);

CREATE INDEX ix_workflow_delegations_person ON workflow_delegations (tenant, person, ends_at);

CREATE TABLE workflow_feedback (
  feedback_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  audit_ref VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the decision''s record',
  body LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'what is to be said of which run, as JSON',
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'pending, sent, dead',
  attempts INTEGER NOT NULL,
  next_attempt_at BIGINT NOT NULL,
  error LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  created_at BIGINT NOT NULL,
  sent_at BIGINT,
  PRIMARY KEY (feedback_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_feedback_due ON workflow_feedback (status, next_attempt_at);

CREATE INDEX ix_workflow_feedback_workflow ON workflow_feedback (workflow_id);

CREATE TABLE workflow_inbox (
  position BIGINT NOT NULL AUTO_INCREMENT,
  consumer VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the workflow that took it in',
  source VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  event_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  event_name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the instance that the event names',
  correlation VARCHAR(96) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'what waits are found by; NULL when no wait expects it',
  trace_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  envelope LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'taken, kept, late, unmatched, failed',
  note LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'why it stands so',
  repeats INTEGER NOT NULL COMMENT 'how often it came again',
  received_at BIGINT NOT NULL,
  settled_at BIGINT,
  PRIMARY KEY (position),
  CONSTRAINT uq_workflow_inbox_consumer_source_event_id UNIQUE (consumer, source, event_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_inbox_held ON workflow_inbox (consumer, status);

CREATE INDEX ix_workflow_inbox_instance ON workflow_inbox (workflow_id);

CREATE INDEX ix_workflow_inbox_kept ON workflow_inbox (consumer, correlation, event_name, status);

CREATE INDEX ix_workflow_inbox_lately ON workflow_inbox (consumer, settled_at);

CREATE INDEX ix_workflow_inbox_listing ON workflow_inbox (status, position);

CREATE INDEX ix_workflow_inbox_trace ON workflow_inbox (trace_id);

CREATE TABLE workflow_instances (
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow_version INTEGER NOT NULL,
  definition VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'fingerprint of states, edges and contracts',
  state VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  revision BIGINT NOT NULL COMMENT 'count of transitions and data changes',
  data LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the typed business data, as JSON',
  finished SMALLINT NOT NULL,
  thread_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  checkpoint_ns LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  head_checkpoint VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'root checkpoint that the last command ran on',
  running_key VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the command whose outside effect is under way',
  lease_owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  lease_epoch BIGINT NOT NULL,
  lease_until BIGINT,
  trace_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  started_by LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the principal that started it, as JSON',
  proposer LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the principal whose turn it is, as JSON',
  seal VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'what waiting proposals are signed with; shown nowhere',
  served VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the id of the person whom it is for; NULL: nobody in particular',
  run_by LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'who else may propose on it, as JSON; NULL: the person served alone',
  last_result LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  audit_count BIGINT NOT NULL,
  audit_head VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'hash of the last audit record',
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (workflow_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_instances_listing ON workflow_instances (tenant, workflow);

CREATE INDEX ix_workflow_instances_newest ON workflow_instances (tenant, created_at, workflow_id);

CREATE INDEX ix_workflow_instances_oldest ON workflow_instances (created_at, workflow_id);

CREATE INDEX ix_workflow_instances_served ON workflow_instances (tenant, served, created_at, workflow_id);

CREATE INDEX ix_workflow_instances_thread ON workflow_instances (thread_id);

CREATE INDEX ix_workflow_instances_trace ON workflow_instances (trace_id);

CREATE TABLE workflow_ledger (
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  idempotency_key VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  fingerprint VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'digest of tool, version and canonical arguments',
  tool VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tool_version INTEGER NOT NULL,
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'started, completed, failed, unknown',
  attempt INTEGER NOT NULL,
  principal_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'who proposed it: what limits per person count by',
  requester LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the principal who proposed it, as JSON; while it may have to be resolved',
  owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the attempt''s process, and the attempt',
  arguments LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  result LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  audit_ref VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (workflow_id, idempotency_key)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_ledger_limits ON workflow_ledger (tenant, tool, started_at);

CREATE INDEX ix_workflow_ledger_unsettled ON workflow_ledger (status, started_at);

CREATE TABLE workflow_looks (
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  looked_at BIGINT NOT NULL COMMENT 'events that came before were looked through for waits that missed them',
  PRIMARY KEY (workflow)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_outbox (
  position BIGINT NOT NULL AUTO_INCREMENT,
  event_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  event_name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  trace_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  envelope LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'pending, published, dead',
  attempts INTEGER NOT NULL,
  next_attempt_at BIGINT NOT NULL,
  error LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  created_at BIGINT NOT NULL,
  published_at BIGINT,
  destination VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'where it was published to',
  PRIMARY KEY (position),
  CONSTRAINT uq_workflow_outbox_event_id UNIQUE (event_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_outbox_due ON workflow_outbox (status, position);

CREATE INDEX ix_workflow_outbox_trace ON workflow_outbox (trace_id);

CREATE INDEX ix_workflow_outbox_workflow ON workflow_outbox (workflow_id, position);

CREATE TABLE workflow_outcomes (
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'empty: everybody''s together',
  added_up_to BIGINT NOT NULL COMMENT 'what was requested or settled up to then is in the sums; 0 while nothing is',
  sums LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'by tool, state and approver, as JSON',
  PRIMARY KEY (workflow, tenant)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_recovery (
  id SMALLINT NOT NULL COMMENT '1: there is one row',
  identity LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'what the server said it was when work last went on, as JSON',
  incarnation VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'what the application called this life of the database',
  any_timeline SMALLINT NOT NULL COMMENT '1: a new timeline alone does not hold it',
  held_since BIGINT COMMENT 'NULL: not held',
  reason LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'why it is, or was last, held',
  resumed_at BIGINT,
  resumed_by VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_relay_lanes (
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'whose events are being published; empty: the gate of claims',
  owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the claim that holds it; empty while it waits for another try',
  held_until BIGINT NOT NULL,
  claimed_to BIGINT NOT NULL COMMENT 'the position of the last event that its holder has',
  PRIMARY KEY (workflow_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_resumptions (
  kind VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'wait, approval, attempt, deadline, proposal, cancel',
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  stop_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'of the wait, the approval, or the attempt''s key',
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  settled_at BIGINT NOT NULL,
  attempts INTEGER NOT NULL COMMENT 'how many failed since it was settled',
  error LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the last failure: its type and code',
  next_attempt_at BIGINT NOT NULL,
  owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'who has taken it up',
  held_until BIGINT NOT NULL COMMENT 'unless the owner renews it',
  PRIMARY KEY (kind, workflow_id, stop_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_resumptions_due ON workflow_resumptions (workflow, kind, next_attempt_at);

CREATE INDEX ix_workflow_resumptions_instance ON workflow_resumptions (workflow_id);

CREATE TABLE workflow_retired (
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  retired_at BIGINT NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  audit_count BIGINT NOT NULL COMMENT 'how many records its trail had',
  audit_head VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the hash of the last of them',
  exported SMALLINT NOT NULL COMMENT '1: the trail was exported before it was deleted',
  PRIMARY KEY (workflow_id, retired_at)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_sources (
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  source_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  kind VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'words, output',
  name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'who said it, or the tool that returned it',
  audit_ref VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'the record of what the tool returned',
  kept_at BIGINT NOT NULL,
  salt LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the key of the hashes, one per instance',
  held LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'hashes of trusted values, as JSON',
  PRIMARY KEY (workflow_id, source_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_threads (
  id BIGINT NOT NULL AUTO_INCREMENT,
  thread_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  namespace_key VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  long_namespace LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  head VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  deleted_up_to VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  PRIMARY KEY (id),
  CONSTRAINT uq_workflow_threads_thread_id_namespace_key UNIQUE (thread_id, namespace_key)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE TABLE workflow_wait_events (
  wait_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  event_name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  correlation VARCHAR(96) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (wait_id, event_name)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_wait_events_found ON workflow_wait_events (workflow, correlation, event_name);

CREATE TABLE workflow_wait_items (
  wait_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  number INTEGER NOT NULL,
  event_name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the event that settles it',
  part VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'which of several: a recipient, a report',
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'requested, delivered, acknowledged, failed, timed_out',
  event_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (wait_id, number)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_wait_items_event ON workflow_wait_items (event_id);

CREATE INDEX ix_workflow_wait_items_part ON workflow_wait_items (wait_id, part, event_name);

CREATE TABLE workflow_waits (
  wait_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  state VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  revision BIGINT NOT NULL COMMENT 'of the instance when the wait began',
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'open, done, failed, timed_out, left',
  needed INTEGER NOT NULL COMMENT 'how many of its items end it',
  total INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  resumed SMALLINT NOT NULL COMMENT '0 from its end until the graph has gone on from it',
  opened_at BIGINT NOT NULL,
  due_at BIGINT,
  ended_at BIGINT COMMENT 'NULL while it is open',
  PRIMARY KEY (wait_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_waits_due ON workflow_waits (workflow, status, due_at);

CREATE INDEX ix_workflow_waits_instance ON workflow_waits (workflow_id, status);

CREATE INDEX ix_workflow_waits_open ON workflow_waits (tenant, status, opened_at);

CREATE INDEX ix_workflow_waits_overdue ON workflow_waits (tenant, status, due_at);

CREATE INDEX ix_workflow_waits_resume ON workflow_waits (workflow, resumed);

CREATE TABLE workflow_webhooks (
  hook VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the name of the webhook',
  event_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  workflow_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tenant VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  status VARCHAR(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'pending, delivered, dead',
  attempts INTEGER NOT NULL,
  next_attempt_at BIGINT NOT NULL COMMENT 'while it is being sent: when somebody else may',
  error LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  created_at BIGINT NOT NULL,
  settled_at BIGINT,
  PRIMARY KEY (hook, event_id)
)ENGINE=InnoDB CHARSET=utf8mb4;

CREATE INDEX ix_workflow_webhooks_due ON workflow_webhooks (status, next_attempt_at);

CREATE INDEX ix_workflow_webhooks_instance ON workflow_webhooks (workflow_id);

CREATE TABLE workflow_writes (
  thread BIGINT NOT NULL,
  checkpoint_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  task_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  part SMALLINT NOT NULL,
  task_path LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  kind VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  body LONGBLOB NOT NULL,
  PRIMARY KEY (thread, checkpoint_id, task_id, part)
)ENGINE=InnoDB CHARSET=utf8mb4;
