"""The table of webhook deliveries: event, target and progress. The event itself is in the outbox."""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, ident, instant, metadata, text

webhooks = sa.Table(
    "workflow_webhooks",
    metadata,
    sa.Column("hook", ident(64), primary_key=True, comment="the name of the webhook"),
    sa.Column("event_id", ident(64), primary_key=True),
    sa.Column("workflow_id", ident(64), nullable=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("status", ident(16), nullable=False, comment="pending, delivered, dead"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", instant(), nullable=False, comment="while it is being sent: when somebody else may"),
    sa.Column("error", text(), nullable=True),
    sa.Column("created_at", instant(), nullable=False),
    sa.Column("settled_at", instant(), nullable=True),
    sa.Index("ix_workflow_webhooks_due", "status", "next_attempt_at"),
    sa.Index("ix_workflow_webhooks_instance", "workflow_id"),
    **TABLE_OPTIONS,
)

__all__ = ["webhooks"]
