"""A database that nobody closed gives its connections back when it is collected: Python 3.13 and psycopg warn of those that are only forgotten."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from interlock import Database
from interlock.checkpointing.connecting import connections

OPENED: dict[str, Callable[[Path], Database]] = {
    "in memory": lambda _: Database.in_memory(),
    "in a file": lambda folder: Database.open(f"sqlite:///{folder}/kept.db"),
}


def used(database: Database) -> None:
    with database.raw_write() as cursor:
        cursor.execute("CREATE TABLE kept (n INTEGER)")
    with database.read() as connection:
        connection.execute(sa.text("SELECT count(*) FROM kept"))


@pytest.mark.parametrize("home", OPENED)
def test_a_forgotten_database_closes_what_it_kept(home: str, tmp_path: Path) -> None:
    database = OPENED[home](tmp_path)
    used(database)
    kept, closed = database.connections, []
    assert kept._idle, "a connection is kept beside the pool"
    sa.event.listen(database.engine, "close", lambda connection, _: closed.append(connection))

    del database
    gc.collect()

    assert kept._idle == []
    assert closed, "the pool's connection is closed too"


def test_a_forgotten_database_on_a_server_closes_what_it_kept(postgres_database: str) -> None:
    database = Database.open(postgres_database)
    used(database)
    idle, _ = database.connections._idle[-1]
    pool = database.engine.pool

    del database
    gc.collect()

    assert idle.closed
    assert "Connections in pool: 0" in pool.status()


def test_a_forked_process_that_forgets_a_database_leaves_its_parents_connections_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = OPENED["in a file"](tmp_path)
    used(database)
    kept, engine = database.connections, database.engine
    in_parent = os.getpid()
    monkeypatch.setattr(connections.os, "getpid", lambda: in_parent + 1)

    del database
    gc.collect()

    assert kept._idle, "they are the parent's"
    monkeypatch.undo()
    kept.close()
    engine.dispose()
