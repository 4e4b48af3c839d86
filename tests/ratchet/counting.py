"""Counts what a step costs: what reaches the driver of the workflow store's database, and what LangGraph hands to the checkpointer.

The driver's connections themselves count, below SQLAlchemy: the library runs many of its statements on the driver's own cursor.
A checkpointer in SQL joins several of its writes into one commit where they happen to come together, so its commits are not the
same each time; what it is given is.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from sqlalchemy.engine import Engine

WRITES = re.compile(r"\b(INSERT INTO|UPDATE \S+ SET|DELETE FROM|REPLACE INTO)\b", re.IGNORECASE)
FRAMES = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA|SET)\b|\s*;", re.IGNORECASE)
"""Statements that begin, end or set up a transaction, or only ask whether the server is there; commits are counted by themselves."""


@dataclass(frozen=True)
class Cost:
    """What was spent."""

    statements: int
    """Of the workflow store, without those that only begin or end a transaction."""
    commits: int
    """Of its transactions that wrote something."""
    bytes: int
    """In the parameters of its writing statements."""
    saves: int
    """Checkpoints and pending writes that the checkpointer was given; each is a commit, or part of one."""
    saved: int
    """Bytes of those, serialised."""


class Serializer(JsonPlusSerializer):
    """LangGraph's own serializer, which counts the bytes that it makes."""

    made = 0

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = super().dumps_typed(obj)
        self.made += len(data)
        return kind, data


class Saver(InMemorySaver):
    """A checkpointer that counts what it is given."""

    def __init__(self) -> None:
        self.counted = Serializer()
        super().__init__(serde=self.counted)
        self.saves = 0

    def put(self, *arguments: Any) -> Any:
        self.saves += 1
        return super().put(*arguments)

    def put_writes(self, *arguments: Any) -> None:
        self.saves += 1
        super().put_writes(*arguments)


class Meter:
    """Counts for all connections that are opened while it is on, and for one checkpointer."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._statements = self._commits = self._bytes = 0
        self.saver = Saver()
        self.log: list[str] = []
        """The statements, for whoever looks for the cause of a difference."""

    def ran(self, connection: Any, text: Any, rows: list[Any], *, alone: bool) -> None:
        """Count a statement with the parameters of each of its rows."""
        said = text.decode() if isinstance(text, bytes) else str(text)
        if FRAMES.match(said):
            return
        with self._guard:
            self._statements += 1
            self.log.append(" ".join(said.split()))
            if WRITES.search(said):
                self._bytes += sum(_size(row) for row in rows)
                if alone:
                    self._commits += 1
                else:
                    connection.wrote = True

    def committed(self, connection: Any) -> None:
        """Count a commit, unless the transaction only read."""
        if connection.wrote:
            connection.wrote = False
            with self._guard:
                self._commits += 1
                self.log.append("COMMIT")

    @contextmanager
    def measured(self) -> Iterator[list[Cost]]:
        """Yield a list that holds the cost of the block once the block has ended."""
        before = self._counts()
        self.log.clear()
        cost: list[Cost] = []
        yield cost
        cost.append(Cost(*(now - then for now, then in zip(self._counts(), before, strict=True))))

    def _counts(self) -> tuple[int, ...]:
        return (self._statements, self._commits, self._bytes, self.saver.saves, self.saver.counted.made)


def _size(values: Any) -> int:
    """The bytes of a statement's parameters."""
    match values:
        case None:
            return 0
        case str():
            return len(values.encode())
        case bytes() | bytearray() | memoryview():
            return len(values)
        case dict():
            return sum(map(_size, values.values()))
        case list() | tuple():
            return sum(map(_size, values))
        case bool():
            return 1
        case _:
            return 8


@contextmanager
def metered() -> Iterator[Meter]:
    """Count on every connection that an engine opens in this block."""
    meter = Meter()

    class SqliteCursor(sqlite3.Cursor):
        def execute(self, text: str, values: Any = (), /) -> Any:
            meter.ran(self.connection, text, [values], alone=not self.connection.in_transaction)
            return super().execute(text, values)

        def executemany(self, text: str, rows: Any, /) -> Any:
            rows = list(rows)
            meter.ran(self.connection, text, rows, alone=not self.connection.in_transaction)
            return super().executemany(text, rows)

    class SqliteConnection(sqlite3.Connection):
        wrote = False

        def cursor(self, factory: Any = SqliteCursor) -> Any:
            return super().cursor(factory)

        def commit(self) -> None:
            meter.committed(self)
            super().commit()

        def rollback(self) -> None:
            self.wrote = False
            super().rollback()

    class PostgresCursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            meter.ran(self.connection, query, [params], alone=self.connection.autocommit)
            return super().execute(query, params, **options)

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            rows = list(params_seq)
            meter.ran(self.connection, query, rows, alone=self.connection.autocommit)
            super().executemany(query, rows, **options)

    class PostgresConnection(psycopg.Connection[Any]):
        wrote = False

        def commit(self) -> None:
            meter.committed(self)
            super().commit()

        def rollback(self) -> None:
            self.wrote = False
            super().rollback()

    def connect(dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        match dialect.driver:
            case "pysqlite":
                return sqlite3.connect(*arguments, factory=SqliteConnection, **options)
            case "psycopg":
                return PostgresConnection.connect(*arguments, cursor_factory=PostgresCursor, **options)
            case other:
                raise AssertionError(f"nothing counts what the driver {other} does")

    sa.event.listen(Engine, "do_connect", connect)
    try:
        yield meter
    finally:
        sa.event.remove(Engine, "do_connect", connect)
