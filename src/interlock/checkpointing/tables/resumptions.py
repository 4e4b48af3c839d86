"""The table of resumptions: who resumes a graph after a stop was settled, and when a failed attempt is retried.

A row is inserted when a stop is claimed, and deleted when its graph has resumed. So rows exist only for resumptions in progress and
failed ones; for a resolved attempt, which no other row shows, the row exists from the resolution on.
"""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, ident, instant, metadata, text

resumptions = sa.Table(
    "workflow_resumptions",
    metadata,
    sa.Column("kind", ident(16), primary_key=True, comment="wait, approval, attempt, deadline, proposal, cancel"),
    sa.Column("workflow_id", ident(64), primary_key=True),
    sa.Column("stop_id", ident(128), primary_key=True, comment="of the wait, the approval, or the attempt's key"),
    sa.Column("workflow", ident(), nullable=False),
    sa.Column("settled_at", instant(), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, comment="how many failed since it was settled"),
    sa.Column("error", text(), nullable=True, comment="the last failure: its type and code"),
    sa.Column("next_attempt_at", instant(), nullable=False),
    sa.Column("owner", ident(64), nullable=True, comment="who has taken it up"),
    sa.Column("held_until", instant(), nullable=False, comment="unless the owner renews it"),
    sa.Index("ix_workflow_resumptions_due", "workflow", "kind", "next_attempt_at"),
    sa.Index("ix_workflow_resumptions_instance", "workflow_id"),
    **TABLE_OPTIONS,
)

__all__ = ["resumptions"]
