"""The tables in a database: created, and brought up to this release."""

from .columns import metadata
from .database import Database


def setup(database: Database) -> None:
    """Create what is not there yet. Safe to call again, and by several processes at once."""
    from . import checkpoint_tables, conversation_tables, store_tables  # noqa: F401, PLC0415 -- they fill the metadata

    with database.write() as connection:
        metadata.create_all(connection, checkfirst=True)
