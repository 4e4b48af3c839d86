"""The tables of LangGraph's checkpoints: threads, checkpoints, channel values and pending writes.

These tables never contain the text of a message: values refer to positions in `conversation_messages`.
"""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, blob, counter, ident, metadata, text

THREAD_ID_LENGTH = 255
CHECKPOINT_ID_LENGTH = 128
NAMESPACE_KEY_LENGTH = 128
TASK_ID_LENGTH = 128

threads = sa.Table(
    "workflow_threads",
    metadata,
    sa.Column("id", counter(), primary_key=True, autoincrement=True),
    sa.Column("thread_id", ident(THREAD_ID_LENGTH), nullable=False),
    # LangGraph's checkpoint namespace; if it is too long for the column, its digest, with the whole in the next column.
    sa.Column("namespace_key", ident(NAMESPACE_KEY_LENGTH), nullable=False),
    sa.Column("long_namespace", text()),
    # The newest checkpoint, which the next step has to follow.
    sa.Column("head", ident(CHECKPOINT_ID_LENGTH)),
    # Set by a deletion of the thread to its newest checkpoint, so that late writes are refused.
    sa.Column("deleted_up_to", ident(CHECKPOINT_ID_LENGTH)),
    sa.UniqueConstraint("thread_id", "namespace_key"),
    sqlite_autoincrement=True,  # numbers are never reused, so that caches elsewhere cannot confuse a new thread with an old one
    **TABLE_OPTIONS,
)
"""One row for each thread and namespace."""

checkpoints = sa.Table(
    "workflow_checkpoints",
    metadata,
    sa.Column("thread", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("checkpoint_id", ident(CHECKPOINT_ID_LENGTH), primary_key=True),
    sa.Column("parent_id", ident(CHECKPOINT_ID_LENGTH)),
    sa.Column("kind", ident(64), nullable=False),
    sa.Column("body", blob(), nullable=False),
    sa.Column("metadata", text(), nullable=False),
    sa.Column("run_id", ident(THREAD_ID_LENGTH)),
    # A JSON array of the channel values that are too large for the body.
    sa.Column("outside", text()),
    sa.Index(
        None,
        "run_id",
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    ),
    **TABLE_OPTIONS,
)
"""One row for each checkpoint. The body has its header and small values; its size does not grow with the history."""

channel_values = sa.Table(
    "workflow_channel_values",
    metadata,
    sa.Column("thread", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("channel", text(), nullable=False),
    sa.Column("version", text(), nullable=False),
    sa.Column("kind", ident(64), nullable=False),
    sa.Column("body", blob(), nullable=False),
    **TABLE_OPTIONS,
)
"""Large channel values, stored once per version."""

writes = sa.Table(
    "workflow_writes",
    metadata,
    sa.Column("thread", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("checkpoint_id", ident(CHECKPOINT_ID_LENGTH), primary_key=True),
    sa.Column("task_id", ident(TASK_ID_LENGTH), primary_key=True),
    # 0 for all the ordinary writes of the task together, negative for LangGraph's special channels, one each.
    sa.Column("part", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("task_path", text(), nullable=False),
    sa.Column("kind", ident(64), nullable=False),
    sa.Column("body", blob(), nullable=False),
    **TABLE_OPTIONS,
)
"""Pending writes: what tasks wrote after a checkpoint and before the next."""
