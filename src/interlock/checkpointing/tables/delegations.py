"""The table of delegations: who decides for whom during an absence."""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, ident, instant, metadata

delegations = sa.Table(
    "workflow_delegations",
    metadata,
    sa.Column("delegation_id", ident(64), primary_key=True),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("person", ident(255), nullable=False, comment="who is away, and said so"),
    sa.Column("delegate", ident(255), nullable=False, comment="who decides for them"),
    sa.Column("begins_at", instant(), nullable=False),
    sa.Column("ends_at", instant(), nullable=False),
    sa.Column("made_at", instant(), nullable=False),
    sa.Column("ended_at", instant(), nullable=True, comment="when the person ended it before its time"),
    sa.Index("ix_workflow_delegations_person", "tenant", "person", "ends_at"),
    sa.Index("ix_workflow_delegations_delegate", "tenant", "delegate", "ends_at"),
    **TABLE_OPTIONS,
)

__all__ = ["delegations"]
