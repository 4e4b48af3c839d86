"""The sizes of the tables, with advice: `interlock db stats`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..connecting.engines import Dialect
from ..database import Database
from ..schema import GROUPS, version
from ..tables.checkpoints import checkpoints, threads
from ..tables.columns import metadata


@dataclass(frozen=True)
class TableSize:
    """One table."""

    name: str
    rows: int
    bytes: int
    """With its indexes where the database tells; otherwise the bytes of its values."""


@dataclass(frozen=True)
class ThreadSize:
    """One thread with many checkpoints."""

    thread_id: str
    checkpoints: int
    bytes: int
    """Of the bodies of its checkpoints."""


@dataclass(frozen=True)
class SizeReport:
    """What is in a database."""

    database: str
    """Its URL without the password."""
    schema_version: str | None
    tables: Sequence[TableSize]
    largest_threads: Sequence[ThreadSize]
    free_bytes: int
    """What `vacuum` would give back, as far as the database tells."""
    advice: Sequence[str]
    """What to do, if anything."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)


def size_report(database: Database, *, groups: Sequence[str] = GROUPS, threads_shown: int = 10) -> SizeReport:
    """Measure the tables of a database. It reads every table once; on servers the sizes are the server's own.

    Args:
        database: Which.
        groups: `workflow`, `conversation`, or both.
        threads_shown: So many of the largest threads.
    """
    with database.read() as connection:
        there = set(sa.inspect(connection).get_table_names(schema=database.schema))
        tables = [
            TableSize(table.name, connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0,
                      _bytes(database, connection, table))
            for table in metadata.sorted_tables
            if table.name in there and table.name.partition("_")[0] in groups
        ]  # fmt: skip
        largest = _largest(connection, threads_shown) if checkpoints.name in there and "workflow" in groups else []
        free = _free(database, connection)
    return SizeReport(
        database.engine.url.render_as_string(hide_password=True),
        version(database, groups=groups),
        tables,
        largest,
        free,
        _advice(database, tables, largest, free),
    )


def _bytes(database: Database, connection: Connection, table: sa.Table) -> int:
    if database.dialect is Dialect.POSTGRESQL:
        # A parameter instead of literal SQL, in which SQLAlchemy would double a `%`.
        schema = "" if database.schema is None else '"' + database.schema.replace('"', '""') + '".'
        name = schema + table.name
        size = sa.func.pg_total_relation_size(sa.cast(name, sa.Text).op("::")(sa.text("regclass")))
        return int(connection.scalar(sa.select(size)) or 0)
    if database.dialect is Dialect.MYSQL:
        sizes = sa.text(
            "SELECT data_length + index_length FROM information_schema.tables "
            "WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name"
        )
        return int(connection.scalar(sizes, {"schema": database.schema, "name": table.name}) or 0)
    lengths = [sa.func.coalesce(sa.func.length(sa.cast(column, sa.LargeBinary)), 0) for column in table.columns]
    return int(connection.scalar(sa.select(sa.func.sum(sum(lengths[1:], lengths[0])))) or 0)


def _largest(connection: Connection, shown: int) -> list[ThreadSize]:
    size = sa.func.sum(sa.func.length(checkpoints.c.body)).label("size")
    query = (
        sa.select(threads.c.thread_id, sa.func.count(), size)
        .join_from(threads, checkpoints, checkpoints.c.thread == threads.c.id)
        .group_by(threads.c.thread_id)
        .order_by(size.desc(), threads.c.thread_id)
        .limit(shown)
    )
    return [ThreadSize(thread_id, count, int(total)) for thread_id, count, total in connection.execute(query)]


def _free(database: Database, connection: Connection) -> int:
    if database.dialect is Dialect.SQLITE:
        free, size = (
            connection.exec_driver_sql(f"PRAGMA {what}").scalar_one() for what in ("freelist_count", "page_size")
        )
        return int(free) * int(size)
    if database.dialect is Dialect.MYSQL:
        sizes = sa.text(
            "SELECT SUM(data_free) FROM information_schema.tables WHERE table_schema = COALESCE(:schema, DATABASE())"
        )
        return int(connection.scalar(sizes, {"schema": database.schema}) or 0)
    return 0


def _advice(database: Database, tables: Sequence[TableSize], largest: Sequence[ThreadSize], free: int) -> list[str]:
    advice = []
    total = sum(table.bytes for table in tables)
    if free > 1_000_000 and free > total / 4:
        how = {
            Dialect.SQLITE: "run VACUUM while nothing else uses the file",
            Dialect.MYSQL: "run OPTIMIZE TABLE on the largest tables",
        }
        advice.append(f"{free / 1e6:.0f} MB are free inside the database; to give them back, {how[database.dialect]}.")
    if largest and largest[0].checkpoints > 10_000:
        advice.append(
            f"The thread {largest[0].thread_id!r} has {largest[0].checkpoints} checkpoints. If nobody travels back in it, "
            "prune([thread_id]) keeps the newest."
        )
    if database.dialect is Dialect.POSTGRESQL and total > 1_000_000_000:
        advice.append(
            "After large deletions, VACUUM (ANALYZE) makes the space usable again; autovacuum does so in time."
        )
    return advice
