"""The rows of sources, which hold an instance's trusted values."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from . import clock
from .statements import Prepared
from .tables.sources import sources
from .tables.workflow import instances
from .vault import check_place, placed


class SourceKind(StrEnum):
    """The kind of a source."""

    WORDS = "words"
    """A person's message."""
    OUTPUT = "output"
    """A tool's output."""


@dataclass(frozen=True)
class Source:
    """One source to store."""

    workflow_id: str
    source_id: str
    tenant: str
    kind: SourceKind
    name: str
    audit_ref: str | None
    """The record of the tool's output."""
    salt: str
    held: str
    """The hashes, as JSON."""
    kept_at: int


_KINDS = {kind.value: kind for kind in SourceKind}
_of_instance = sources.c.workflow_id == sa.bindparam("workflow_id")
_marks = Prepared(
    sa.select(sources.c.source_id, sources.c.kept_at)
    .where(_of_instance)
    .order_by(sources.c.kept_at, sources.c.source_id)
)
_others = sources.alias("others")
_first = Prepared(
    lambda dialect: (
        sa.select(
            sources.c.source_id,
            sources.c.salt,
            sa.select(sa.func.count())
            .select_from(_others)
            .where(_others.c.workflow_id == sa.bindparam("workflow_id"))
            .scalar_subquery(),
            clock.now_on(dialect),
        )
        .where(_of_instance)
        .order_by(sources.c.kept_at, sources.c.source_id)
        .limit(1)
    )
)
_since = Prepared(
    sa.select(*(sources.c[field.name] for field in fields(Source)))
    .where(_of_instance, sources.c.kept_at >= sa.bindparam("since"))
    .order_by(sources.c.kept_at, sources.c.source_id)
)
_insert = Prepared(sa.insert(sources), [field.name for field in fields(Source)])


class First(NamedTuple):
    """The first source of an instance, whose key the others share."""

    salt: str
    number: int
    """The number of the instance's sources."""
    now: int
    """The database's time; microseconds since 1970 UTC."""


def first(connection: Connection, workflow_id: str) -> First | None:
    """The first source of an instance, or None.

    Raises:
        StoreError: It was encrypted for another row.
    """
    found = _first.all(connection, {"workflow_id": workflow_id})
    if not found:
        return None
    source_id, salt, number, now = found[0]
    check_place(sources, {"workflow_id": workflow_id, "source_id": source_id, "salt": salt, "held": None})
    return First(salt, int(number), int(now))


def marks(connection: Connection, workflow_id: str) -> dict[str, int]:
    """The ids of an instance's sources, oldest first, each with its time."""
    return dict(_marks.all(connection, {"workflow_id": workflow_id}))


def read(connection: Connection, workflow_id: str, wanted: Mapping[str, int]) -> list[Source]:
    """Some sources of an instance, oldest first.

    Args:
        connection: The connection.
        workflow_id: The instance.
        wanted: Their ids, each with its time, from `marks`.

    Raises:
        StoreError: One was encrypted for another row.
    """
    found = []
    for row in _since.all(connection, {"workflow_id": workflow_id, "since": min(wanted.values(), default=0)}):
        one = Source(*row)
        if one.source_id in wanted:
            check_place(sources, one.__dict__)
            found.append(replace(one, kind=_KINDS[one.kind]))
    return found


def insert(connection: Connection, source: Source) -> None:
    """Insert a source."""
    _insert.execute(connection, placed(sources, {**source.__dict__}))


def erase_words(connection: Connection, thread_id: str) -> None:
    """Delete the hashes of people's messages in a thread; those of tool outputs stay."""
    of_thread = sa.select(instances.c.workflow_id).where(instances.c.thread_id == thread_id)
    connection.execute(
        sa.delete(sources).where(
            sources.c.kind == SourceKind.WORDS.value, sources.c.workflow_id.in_(of_thread.scalar_subquery())
        )
    )


def new_salt() -> str:
    """A key for the hashes of an instance's sources."""
    return secrets.token_hex(32)


__all__ = [
    "First",
    "Source",
    "SourceKind",
    "erase_words",
    "first",
    "insert",
    "marks",
    "new_salt",
    "read",
]
