"""The system of record of the access desk: people with their managers, and grants of access with their ends."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing import Database, WorkflowStore

metadata = sa.MetaData()
people = sa.Table(
    "access_people",
    metadata,
    sa.Column("person", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("manager", sa.String(64), nullable=False),
)
grants = sa.Table(
    "access_grants",
    metadata,
    sa.Column("grant_id", sa.String(64), primary_key=True),
    sa.Column("person", sa.String(64), nullable=False),
    sa.Column("system", sa.String(64), nullable=False),
    sa.Column("until", sa.String(40), nullable=False),
    sa.Column("justification", sa.Text, nullable=False),
    sa.Column("ended_because", sa.String(200), nullable=True),
)

PEOPLE = (
    ("ann", "Ann Berg", "mia"),
    ("bob", "Bob Lund", "mia"),
    ("mia", "Mia Torres", "nil"),
    ("nil", "Nil Okafor", "nil"),
)


def create_tables(connection: Connection) -> None:
    """Create missing tables."""
    metadata.create_all(connection)


def load_sample_people(connection: Connection) -> None:
    """Fill an empty table with a few people."""
    if connection.execute(sa.select(sa.func.count()).select_from(people)).scalar_one() == 0:
        rows = [dict(zip(("person", "name", "manager"), one, strict=True)) for one in PEOPLE]
        connection.execute(sa.insert(people), rows)


def open_access(database: Database | WorkflowStore) -> None:
    """Prepare a database for the workflow: create its tables, and fill empty ones with a few people.

    Args:
        database: The database of the workflow store: `graph.engine.store`, or a checkpointer's `database`.
    """
    opened = database.database if isinstance(database, WorkflowStore) else database
    with opened.write() as connection:
        create_tables(connection)
        load_sample_people(connection)


def access_of(database: Database | WorkflowStore, person: str) -> dict[str, dt.datetime]:
    """The systems to which a person has access, each with the time at which the access ends.

    Args:
        database: As for `open_access`.
        person: The id of the person.
    """
    opened = database.database if isinstance(database, WorkflowStore) else database
    statement = sa.select(grants.c.system, grants.c.until).where(
        grants.c.person == person, grants.c.ended_because.is_(None)
    )
    with opened.read() as connection:
        return {system: dt.datetime.fromisoformat(until) for system, until in connection.execute(statement)}
