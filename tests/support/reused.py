"""Databases with empty tables that one test after another is lent, because a server takes far longer to create and drop one than to empty it.

A test cannot tell a database that was lent before from a new one. When it is given back, its connections are ended, its rows and the tables
that the test added are deleted, and its sequences are reset. What rows cannot show is compared with a new database: tables, columns, indexes,
functions, rights, settings, and what the planner knows of the tables. Where anything differs, or anything fails, the database is dropped.
On PostgreSQL it has another name each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Run = Callable[[str], list[tuple[Any, ...]]]
"""Runs one statement in a database, and gives its rows."""


class Databases(Protocol):
    """What a kind of server has to offer."""

    def create(self) -> str:
        """Create a database with empty tables, and give its name."""

    def lend(self, name: str) -> str:
        """Prepare one that was given back for another test, and give the name that it has now."""

    def inside(self, name: str) -> AbstractContextManager[Run]:
        """Connect to it."""

    def disconnect(self, name: str) -> None:
        """End all connections to it."""

    def shape(self, run: Run) -> object:
        """All that is compared with a new database, but not the rows."""

    def tables(self, run: Run) -> list[str]:
        """Its tables, by the names that a statement takes."""

    def drop_tables(self, run: Run, tables: list[str]) -> None:
        """Drop these tables."""

    def reset(self, run: Run, tables: list[str]) -> None:
        """Delete the rows of these tables, and let sequences begin anew."""

    def size(self, run: Run) -> int:
        """Its size in bytes."""

    def drop(self, name: str) -> None:
        """Drop it, whoever is connected to it."""


GROWTH = 16 * 2**20
"""The bytes that a database may have grown by; statements on a larger one would take the next test longer."""


class Reused:
    """The databases of this process.

    Args:
        server: Where they are.
    """

    def __init__(self, server: Databases) -> None:
        self._server = server
        self.idle: list[str] = []
        """Those that were given back, and are as new."""
        self._new: tuple[object, dict[str, object], int] | None = None
        """Of a new database: its shape, the rows of its tables, and its size."""

    @contextmanager
    def lent(self) -> Iterator[str]:
        """One with empty tables, by its name, for as long as the block."""
        name = self._again() or self._created()
        try:
            yield name
        finally:
            if self._is_as_new(name):
                self.idle.append(name)
            else:
                self._server.drop(name)

    def _again(self) -> str | None:
        while self.idle:
            name = self.idle.pop()
            try:
                return self._server.lend(name)
            except Exception:  # somebody has connected to it since
                self._server.drop(name)
        return None

    def _created(self) -> str:
        name = self._server.create()
        if self._new is None:
            with self._server.inside(name) as run:
                self._new = self._server.shape(run), self._rows(run), self._server.size(run)
        return name

    def close(self) -> None:
        """Drop those that nobody has."""
        while self.idle:
            self._server.drop(self.idle.pop())

    def _is_as_new(self, name: str) -> bool:
        assert self._new is not None
        shape, rows, size = self._new
        try:
            self._server.disconnect(name)
            with self._server.inside(name) as run:
                self._server.drop_tables(run, [table for table in self._server.tables(run) if table not in rows])
                if self._server.shape(run) != shape or self._server.size(run) > size + GROWTH:
                    return False
                self._server.reset(run, [table for table, kept in rows.items() if not kept])
                return self._rows(run) == rows
        except Exception:
            return False

    def _rows(self, run: Run) -> dict[str, object]:
        """The rows of each table; few tables of a new database have any."""
        return {table: sorted(run(f"SELECT * FROM {table}"), key=repr) for table in self._server.tables(run)}


__all__ = ["Databases", "Reused", "Run"]
