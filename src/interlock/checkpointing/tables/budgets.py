"""The table of budgets: used and reserved amounts, with one row for each scope of a budget."""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, ident, instant, metadata, only_where

budgets = sa.Table(
    "workflow_budgets",
    metadata,
    sa.Column(
        "scope",
        ident(64),
        primary_key=True,
        comment="an instance's id; or a digest of a turn, of a tenant, or of one of its people",
    ),
    sa.Column("budget", ident(64), primary_key=True, comment="its name"),
    sa.Column(
        "began_at", instant(), primary_key=True, autoincrement=False, comment="when its period began; 0: it has none"
    ),
    sa.Column("workflow_id", ident(64), nullable=True, comment="of an instance or a turn: whose it is"),
    sa.Column("spent", sa.BigInteger, nullable=False, comment="tokens or millionths of money, reservations included"),
    sa.Column("raised", sa.BigInteger, nullable=False, comment="what people added"),
    sa.Column("changed_at", instant(), nullable=False),
    sa.Index("ix_workflow_budgets_instance", "workflow_id", **only_where("workflow_id IS NOT NULL")),
    **TABLE_OPTIONS,
)

__all__ = ["budgets"]
