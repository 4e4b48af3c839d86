"""Cases and their queues, in two SQL tables."""

import sqlalchemy as sa
from sqlalchemy import Column, Connection, Engine, ForeignKey, MetaData, Table

from ...checkpointing.tables.columns import TABLE_OPTIONS, ident

metadata = MetaData()

queues = Table(
    "case_queues",
    metadata,
    Column("queue_id", ident(64), primary_key=True),
    Column("is_open", sa.Boolean, nullable=False),
    **TABLE_OPTIONS,
)
"""The queues from which agents take cases; a closed queue accepts none."""

cases = Table(
    "case_cases",
    metadata,
    Column("case_id", ident(64), primary_key=True),
    Column("customer", sa.String(200), nullable=False),
    Column("subject", sa.String(500), nullable=False),
    Column("queue_id", ident(64), ForeignKey("case_queues.queue_id"), nullable=True),
    Column("is_answered", sa.Boolean, nullable=False),
    Column("is_closed", sa.Boolean, nullable=False),
    **TABLE_OPTIONS,
)


def create_tables(bind: Connection | Engine) -> None:
    """Create missing tables."""
    metadata.create_all(bind)


def load_sample_cases(connection: Connection) -> None:
    """Fill empty tables with three queues, of which one is closed, and two cases."""
    if connection.execute(sa.select(queues.c.queue_id).limit(1)).first() is not None:
        return
    connection.execute(
        sa.insert(queues),
        [
            {"queue_id": "billing", "is_open": True},
            {"queue_id": "delivery", "is_open": True},
            {"queue_id": "archive", "is_open": False},
        ],
    )
    waiting = {"queue_id": None, "is_answered": False, "is_closed": False}
    connection.execute(
        sa.insert(cases),
        [
            {"case_id": "77", "customer": "Ines Moreau", "subject": "I was billed twice in March.", **waiting},
            {"case_id": "78", "customer": "Tove Lindqvist", "subject": "My parcel went to my old address.", **waiting},
        ],
    )
