"""A database in memory that nobody closed gives its connections back when it is collected: Python 3.13 warns of those that are only forgotten."""

from __future__ import annotations

import gc

from interlock import Database


def test_a_forgotten_database_in_memory_closes_what_it_kept() -> None:
    database = Database.in_memory()
    with database.raw_write() as cursor:
        cursor.execute("CREATE TABLE kept (n INTEGER)")
    kept = database.connections
    assert kept._idle, "a connection is kept beside the pool"

    del database, cursor
    gc.collect()

    assert kept._idle == []
