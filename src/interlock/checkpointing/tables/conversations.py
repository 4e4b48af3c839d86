"""The tables of the conversation: every message of a thread, stored once. They may be in a separate database.

Messages have positions in the order in which they were first stored. The value of a channel with a list of messages is a few ranges
of positions, so that one more message costs only one more row.
"""

import sqlalchemy as sa

from .columns import TABLE_OPTIONS, blob, counter, ident, instant, metadata

MESSAGE_ID_LENGTH = 255

conversations = sa.Table(
    "conversation_threads",
    metadata,
    sa.Column("id", counter(), primary_key=True, autoincrement=True),
    sa.Column("thread_id", ident(255), nullable=False, unique=True),
    # Counts erasures and removals: the positions in other caches stay valid while this is unchanged.
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("created_at", instant(), nullable=False),
    sa.Column("erased_at", instant()),
    sqlite_autoincrement=True,
    **TABLE_OPTIONS,
)
"""One row for each thread that has messages."""

messages = sa.Table(
    "conversation_messages",
    metadata,
    sa.Column("conversation", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("message_id", ident(MESSAGE_ID_LENGTH)),
    sa.Column("role", ident(32), nullable=False),
    sa.Column("kind", ident(64), nullable=False),
    sa.Column("body", blob(), nullable=False),
    sa.Column("created_at", instant(), nullable=False),
    sa.Column("erased_at", instant()),
    **TABLE_OPTIONS,
)
"""One row for each message. An erased message keeps its row and position, without its text."""
