"""The table of feedback to be sent: people's decisions about proposals, for the traces of the proposals.

A row is written in the transaction of the decision, and sent once afterwards.
"""

import sqlalchemy as sa

from ..vault import Protected
from .columns import TABLE_OPTIONS, ident, instant, metadata, text

feedback = sa.Table(
    "workflow_feedback",
    metadata,
    sa.Column("feedback_id", ident(64), primary_key=True),
    sa.Column("workflow_id", ident(64), nullable=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("audit_ref", ident(64), nullable=False, comment="the decision's record"),
    sa.Column(
        "body", Protected("workflow_feedback.body"), nullable=False, comment="what is to be said of which run, as JSON"
    ),
    sa.Column("status", ident(16), nullable=False, comment="pending, sent, dead"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", instant(), nullable=False),
    sa.Column("error", text(), nullable=True),
    sa.Column("created_at", instant(), nullable=False),
    sa.Column("sent_at", instant(), nullable=True),
    sa.Index("ix_workflow_feedback_due", "status", "next_attempt_at"),
    sa.Index("ix_workflow_feedback_workflow", "workflow_id"),
    info={"place": ("feedback_id",), "protected": ("body",)},
    **TABLE_OPTIONS,
)

__all__ = ["feedback"]
