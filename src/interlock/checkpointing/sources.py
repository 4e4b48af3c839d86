"""The sources of an instance's trusted values, as rows."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .statements import Prepared
from .tables.sources import sources


class SourceKind(StrEnum):
    """What a source is."""

    WORDS = "words"
    """What a person said."""
    OUTPUT = "output"
    """What a tool returned."""


@dataclass(frozen=True)
class SourceHead:
    """One source, without what is kept of it."""

    source_id: str
    tenant: str
    kind: SourceKind
    name: str
    """Who said it, or the tool that returned it."""
    salt: str


@dataclass(frozen=True)
class Source:
    """One source, to be kept."""

    workflow_id: str
    source_id: str
    tenant: str
    kind: SourceKind
    name: str
    audit_ref: str | None
    """The record of what the tool returned."""
    salt: str
    held: str
    """The hashes, as JSON."""
    kept_at: int


_of_instance = sources.c.workflow_id == sa.bindparam("workflow_id")
_heads = Prepared(
    sa.select(sources.c.source_id, sources.c.tenant, sources.c.kind, sources.c.name, sources.c.salt)
    .where(_of_instance)
    .order_by(sources.c.kept_at, sources.c.source_id)
)


def heads(connection: Connection, workflow_id: str) -> list[SourceHead]:
    """The sources of an instance, oldest first."""
    found = _heads.all(connection, {"workflow_id": workflow_id})
    return [SourceHead(row[0], row[1], SourceKind(row[2]), row[3], row[4]) for row in found]


def held(connection: Connection, workflow_id: str, source_ids: Sequence[str]) -> list[str]:
    """What is kept of some sources of an instance, as JSON."""
    wanted = sa.select(sources.c.held).where(sources.c.workflow_id == workflow_id, sources.c.source_id.in_(source_ids))
    return [str(text) for text in connection.scalars(wanted.order_by(sources.c.kept_at, sources.c.source_id))]


def insert(connection: Connection, source: Source) -> None:
    """Write a source down."""
    connection.execute(sa.insert(sources).values(**source.__dict__))


def new_salt() -> str:
    """A key for the hashes of an instance's sources."""
    return secrets.token_hex(32)


__all__ = ["Source", "SourceHead", "SourceKind", "heads", "held", "insert", "new_salt"]
