"""The workflow side of what LangGraph checkpoints: threads, checkpoints, channel values and pending writes.

No text of a message is ever in these tables: values only refer to positions in `conversation_messages`.
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
    # LangGraph's checkpoint namespace; where it is longer than the column, its digest, and the whole beside it.
    sa.Column("namespace_key", ident(NAMESPACE_KEY_LENGTH), nullable=False),
    sa.Column("long_namespace", text()),
    # The newest checkpoint: what a step has to follow.
    sa.Column("head", ident(CHECKPOINT_ID_LENGTH)),
    # Set when the thread is deleted: the newest checkpoint that was there, so that late writes to it are refused.
    sa.Column("deleted_up_to", ident(CHECKPOINT_ID_LENGTH)),
    sa.UniqueConstraint("thread_id", "namespace_key"),
    sqlite_autoincrement=True,  # a number is never used again, so that caches elsewhere cannot mistake a new thread for an old one
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
    # A JSON array of the channel values that are too large to be in the body.
    sa.Column("outside", text()),
    sa.Index(
        None,
        "run_id",
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    ),
    **TABLE_OPTIONS,
)
"""One row for each checkpoint. The body holds its header and its small values; nothing in it grows with the history."""

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
"""Large channel values, written once for each version."""

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
