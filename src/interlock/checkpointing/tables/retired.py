"""The table of retired instances: the end of each audit trail, with which an export can be verified."""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, ident, instant, metadata

retired = sa.Table(
    "workflow_retired",
    metadata,
    sa.Column("workflow_id", ident(64), primary_key=True),
    sa.Column("retired_at", instant(), primary_key=True, autoincrement=False),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("workflow", ident(), nullable=False),
    sa.Column("audit_count", sa.BigInteger, nullable=False, comment="how many records its trail had"),
    sa.Column("audit_head", ident(80), nullable=False, comment="the hash of the last of them"),
    sa.Column("exported", sa.SmallInteger, nullable=False, comment="1: the trail was exported before it was deleted"),
    **TABLE_OPTIONS,
)

__all__ = ["retired"]
