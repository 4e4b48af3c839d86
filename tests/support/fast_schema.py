"""Fresh databases get their tables by repeating what the first migration of this process did, and SQLite's as a copy of a database that has them.

Thousands of tests begin with an empty database, and Alembic takes three times as long to work out the statements as the database to carry
them out. A copy takes a fraction of that. `tests/checkpointing/test_schema.py`, which is about the migrations, runs them for real each
time.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from interlock.checkpointing import Database, schema
from interlock.checkpointing.connecting.engines import Dialect

_migrate, _set_up = schema._migrate, schema.setup
_guard = threading.Lock()
_images: list[sqlite3.Connection] = []
"""A database in memory with empty tables, once one was wanted."""
_READS = ("SELECT", "PRAGMA", "SHOW")
_known: dict[tuple[object, ...], list[tuple[str, Any]]] = {}


def _repeat(run: schema.Run) -> None:
    connection = run.connection
    kind = (connection.dialect.name, connection.dialect.driver, run.groups, run.schema)
    is_known_to_work = connection.dialect.name in {"sqlite", "postgresql"} and run.schema is None
    if not is_known_to_work or schema._read_version(connection, run.version_table) is not None:
        _migrate(run)
    elif kind not in _known:
        _known[kind] = _noted(run)
    else:
        for statement, parameters in _known[kind]:
            connection.exec_driver_sql(statement, parameters or None)


def _noted(run: schema.Run) -> list[tuple[str, Any]]:
    """Migrate, and note the statements."""
    noted: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(_READS):
            noted.append((statement, parameters))

    sa.event.listen(run.connection, "before_cursor_execute", note)
    try:
        _migrate(run)
    finally:
        sa.event.remove(run.connection, "before_cursor_execute", note)
    if run.connection.dialect.driver != "psycopg":  # asyncpg takes one statement at a time
        return noted
    plain = [statement for statement, parameters in noted if not parameters]
    return [(";\n".join(plain), None), *((statement, given) for statement, given in noted if given)]


def _set_up_or_copy(database: Database, *, groups: Sequence[str] = schema.GROUPS) -> None:
    if database.dialect is Dialect.SQLITE and tuple(groups) == schema.GROUPS:
        if database._anchor is not None:
            _copy_into_memory(database._anchor.driver_connection)
        else:
            _copy_to_file(database.engine.url.database)
    _set_up(database, groups=groups)


def _copy_into_memory(opened: Any) -> None:
    with _guard:
        (tables,) = opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            _image().backup(opened)


def _copy_to_file(name: str | None) -> None:
    if not name or name.startswith((":", "file:")) or os.path.lexists(name) or not Path(name).parent.is_dir():
        return
    with _guard:
        image = _image_file()
    whole = Path(name).parent / f"tables-{uuid.uuid4().hex}"
    with contextlib.suppress(OSError):  # somebody else has made it meanwhile, or nobody may
        whole.write_bytes(image)
        os.link(whole, name)
    with contextlib.suppress(OSError):
        whole.unlink()


def _image() -> sqlite3.Connection:
    if not _images:
        first = Database.in_memory()
        _set_up(first)
        image = sqlite3.connect(":memory:", check_same_thread=False)
        first._anchor.driver_connection.backup(image)
        first.close()
        _images.append(image)
    return _images[0]


@functools.cache
def _image_file() -> bytes:
    return _image().serialize()


def begin() -> None:
    """Let every migration of an empty database be a repetition or a copy from now on."""
    schema._migrate, schema.setup = _repeat, _set_up_or_copy


@contextlib.contextmanager
def real_migrations() -> Iterator[None]:
    """Run the migrations as they are."""
    schema._migrate, schema.setup = _migrate, _set_up
    try:
        yield
    finally:
        begin()
