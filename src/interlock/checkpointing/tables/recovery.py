"""The table that records whether the database is held: after the restore of a backup, until an operator releases it."""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, ident, instant, metadata, text

recovery = sa.Table(
    "workflow_recovery",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False, comment="1: there is one row"),
    sa.Column(
        "identity", text(), nullable=False, comment="what the server said it was when work last went on, as JSON"
    ),
    sa.Column(
        "incarnation", ident(255), nullable=True, comment="what the application called this life of the database"
    ),
    sa.Column("any_timeline", sa.SmallInteger, nullable=False, comment="1: a new timeline alone does not hold it"),
    sa.Column("held_since", instant(), nullable=True, comment="NULL: not held"),
    sa.Column("reason", text(), nullable=True, comment="why it is, or was last, held"),
    sa.Column("resumed_at", instant(), nullable=True),
    sa.Column("resumed_by", ident(255), nullable=True),
    **TABLE_OPTIONS,
)

__all__ = ["recovery"]
