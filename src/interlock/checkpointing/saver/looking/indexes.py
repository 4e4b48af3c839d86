"""Indexes on metadata that the application declares, so that filters need not read every checkpoint.

Each is on one top-level key of the metadata. Puts do not change: the database maintains the index from the row. An index only narrows
the rows on which the filter decides, so a missing one only costs time.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa

from ....tools.errors import InputError
from ....tools.storable import why_not_storable
from ...connecting.engines import Dialect
from ...database import Database
from ...tables.checkpoints import checkpoints
from .filters import Metadata

CHARACTERS = 180
"""The length of the indexed prefix of a text."""
_KEY = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TABLE = checkpoints.name


_NAMES = {
    Dialect.POSTGRESQL: "SELECT indexname FROM pg_indexes WHERE schemaname = COALESCE(:schema, current_schema())",
    Dialect.MYSQL: "SELECT index_name FROM information_schema.statistics WHERE table_schema = COALESCE(:schema, DATABASE())",
}


def checked_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """Validate the keys to index.

    Raises:
        InputError: A key cannot be indexed.
    """
    if isinstance(keys, str):
        raise InputError(f"metadata_index= takes a list of keys. Nothing was opened. Write metadata_index=[{keys!r}].")
    for key in keys:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InputError(
                f"Metadata cannot be indexed by {key!r}. Nothing was opened. A key that can be has up to 64 letters, digits, _ and -, and "
                "is at the top of the metadata."
            )
    return tuple(dict.fromkeys(keys))


def check_indexable(metadata: Metadata) -> None:
    """Check that metadata can be indexed.

    Raises:
        InputError: A value cannot.
    """
    if (why := why_not_storable(metadata)) is not None:
        raise InputError(
            f"The metadata of a checkpoint cannot be indexed: {why}. Nothing was written. Leave it out of the metadata, or open the "
            "checkpointer without metadata_index."
        )


def create(database: Database, keys: Sequence[str]) -> None:
    """Create the missing indexes."""
    for key in keys:
        if present(database, [key]):
            continue
        with database.write() as connection:
            schema = _schema(database)
            for statement in _definitions(database, key, schema):
                connection.exec_driver_sql(statement)


def present(database: Database, keys: Sequence[str]) -> tuple[str, ...]:
    """The keys whose index exists."""
    if not keys:
        return ()
    with database.read() as connection:
        if database.dialect is Dialect.SQLITE:
            names = sa.text("SELECT name FROM sqlite_master WHERE type = 'index'")
            there = set(connection.scalars(names))
        else:
            names = sa.text(_NAMES[database.dialect])
            there = set(connection.scalars(names, {"schema": database.schema}))
    return tuple(key for key in keys if _name(key) in there)


def narrowed(dialect: Dialect, keys: Sequence[str], wanted: Metadata) -> list[sa.ColumnElement[bool]]:
    """Conditions that follow from a filter and can use the indexes. On SQLite the filter's own conditions can."""
    if dialect is Dialect.SQLITE:
        return []
    conditions: list[sa.ColumnElement[bool]] = []
    for key in keys:
        texts = _texts(wanted.get(key)) if key in wanted else None
        if texts is not None:
            column: sa.ColumnElement[Any] = sa.literal_column(_expression(dialect, key, f"{_TABLE}."))
            found: sa.ColumnElement[bool] = column.in_([text[:CHARACTERS] for text in texts])
            if dialect is Dialect.MYSQL:
                # On MySQL a list contains its items; its text starts with a bracket.
                found = sa.or_(found, sa.and_(column >= "[", column < "\\"))
            conditions.append(found)
    return conditions


def _texts(value: Any) -> list[str] | None:
    """The texts that the database may extract for a value; None if the index cannot help."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, int):
        return [str(int(value)), f"{int(value)}.0"]
    return [str.__str__(value)] if type(value) is str and "\0" not in value else None


def _name(key: str) -> str:
    digest = blake2b(key.encode(), digest_size=6).hexdigest()
    return f"ix_{_TABLE}_metadata_{digest}"


def _expression(dialect: Dialect, key: str, table: str = "") -> str:
    if dialect is Dialect.POSTGRESQL:
        return f"left(({table}metadata::jsonb ->> '{key}'), {CHARACTERS})"
    return f"{table}{_column(key)}"


def _column(key: str) -> str:
    return "metadata_" + blake2b(key.encode(), digest_size=6).hexdigest()


def _definitions(database: Database, key: str, schema: str) -> list[str]:
    table = schema + _TABLE
    if database.dialect is Dialect.SQLITE:
        return [
            f"CREATE INDEX IF NOT EXISTS {_name(key)} ON {_TABLE} (json_extract(metadata, '$.{key}'), checkpoint_id)"
        ]
    if database.dialect is Dialect.POSTGRESQL:
        expression = _expression(database.dialect, key)
        return [f"CREATE INDEX IF NOT EXISTS {_name(key)} ON {table} ({expression}, checkpoint_id)"]
    # MariaDB has no indexes on expressions, so a virtual column has the value.
    there = f"IF(JSON_VALID(metadata), JSON_UNQUOTE(JSON_EXTRACT(metadata, '$.\"{key}\"')), NULL)"
    kind = f"VARCHAR({CHARACTERS}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return [
        f"ALTER TABLE {table} ADD COLUMN {_column(key)} {kind} GENERATED ALWAYS AS (LEFT({there}, {CHARACTERS})) VIRTUAL, "
        f"ADD INDEX {_name(key)} ({_column(key)}, checkpoint_id)"
    ]


def _schema(database: Database) -> str:
    if database.schema is None:
        return ""
    return database.engine.dialect.identifier_preparer.quote(database.schema) + "."
