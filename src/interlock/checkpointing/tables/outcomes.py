"""The table of outcomes: sums over old proposals, so that reports need not read all of them."""

import sqlalchemy as sa

from ..vault import Protected
from .columns import TABLE_OPTIONS, ident, instant, metadata

outcomes = sa.Table(
    "workflow_outcomes",
    metadata,
    sa.Column("workflow", ident(), primary_key=True),
    sa.Column("tenant", ident(), primary_key=True, comment="empty: everybody's together"),
    sa.Column(
        "added_up_to",
        instant(),
        nullable=False,
        comment="what was requested or settled up to then is in the sums; 0 while nothing is",
    ),
    # They contain people's reasons.
    sa.Column("sums", Protected("workflow_outcomes.sums"), nullable=False, comment="by tool, state and approver, as JSON"),
    info={"place": ("workflow", "tenant"), "protected": ("sums",)},
    **TABLE_OPTIONS,
)  # fmt: skip

__all__ = ["outcomes"]
