"""The table of sources of trusted values, as keyed hashes without any text."""

import sqlalchemy as sa

from ..vault import Protected
from .columns import TABLE_OPTIONS, ident, instant, metadata

sources = sa.Table(
    "workflow_sources",
    metadata,
    sa.Column("workflow_id", ident(64), primary_key=True),
    sa.Column("source_id", ident(64), primary_key=True),
    sa.Column("tenant", ident(), nullable=False),
    sa.Column("kind", ident(16), nullable=False, comment="words, output"),
    sa.Column("name", ident(255), nullable=False, comment="who said it, or the tool that returned it"),
    sa.Column("audit_ref", ident(64), nullable=True, comment="the record of what the tool returned"),
    sa.Column("kept_at", instant(), nullable=False),
    sa.Column(
        "salt", Protected("workflow_sources.salt"), nullable=False, comment="the key of the hashes, one per instance"
    ),
    # Last, because this column is long and SQLite reads a row only up to the needed column.
    sa.Column("held", Protected("workflow_sources.held"), nullable=False, comment="hashes of trusted values, as JSON"),
    info={"place": ("workflow_id", "source_id"), "protected": ("salt", "held")},
    **TABLE_OPTIONS,
)

__all__ = ["sources"]
