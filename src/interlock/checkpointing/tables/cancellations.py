"""The table of cancellations: instances with a cancel deadline, in cancellation or cancelled, and the results for their commands."""

import sqlalchemy as sa

from ..vault import Protected
from .columns import TABLE_OPTIONS, ident, instant, metadata, only_where, text

cancellations = sa.Table(
    "workflow_cancellations",
    metadata,
    sa.Column("workflow_id", ident(64), primary_key=True),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("workflow", ident(), nullable=False),
    sa.Column("status", ident(16), nullable=False, comment="due (at its deadline), open (being undone), done"),
    sa.Column(
        "due_at", instant(), nullable=True, comment="when it is cancelled automatically; NULL without a deadline"
    ),
    sa.Column("requested_at", instant(), nullable=True),
    sa.Column("requested_by", text(), nullable=True, comment="the principal who cancelled it, as JSON"),
    sa.Column("reason", Protected("workflow_cancellations.reason"), nullable=True),
    sa.Column(
        "calls",
        Protected("workflow_cancellations.calls"),
        nullable=True,
        comment="what was carried out, newest first, and what became of each, as JSON",
    ),
    sa.Column("left_over", sa.Integer, nullable=False, comment="how many calls a person has to see to"),
    sa.Column("ended_at", instant(), nullable=True),
    sa.Index("ix_workflow_cancellations_open", "workflow", **only_where("status = 'open'")),
    sa.Index("ix_workflow_cancellations_due", "workflow", "due_at", **only_where("status = 'due'")),
    info={"place": ("workflow_id",), "protected": ("reason", "calls")},
    **TABLE_OPTIONS,
)

__all__ = ["cancellations"]
