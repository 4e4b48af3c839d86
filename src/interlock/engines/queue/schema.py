"""The queue's tables: Procrastinate's own, and indexes that make claims and inserts independent of the number of jobs."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.connecting.engines import Dialect
from ...checkpointing.database import Database
from ...checkpointing.tables.inputs import inputs
from ...tools.errors import InputError, StoreError

TASK = "interlock.run"
KEEP = "interlock.keep"
QUEUE = "interlock"
KEEPING = "interlock-keeping"
"""The queue for upkeep: deadlines, and runs of killed workers."""
LATER = -2_000_000_000
"""The priority of a job that waits for its retry: below all others, so that it blocks none."""
_LOCK = 0x1A7E_410D

_OWN = (
    "CREATE TABLE IF NOT EXISTS interlock_queue (name text PRIMARY KEY, value text NOT NULL)",
    f"CREATE UNIQUE INDEX IF NOT EXISTS ix_interlock_queue_key ON procrastinate_jobs ((args->>'key')) WHERE task_name = '{TASK}'",
    "CREATE INDEX IF NOT EXISTS ix_interlock_queue_lock ON procrastinate_jobs (lock) WHERE status IN ('todo', 'doing')",
    "CREATE INDEX IF NOT EXISTS ix_interlock_queue_tenant ON procrastinate_jobs ((args->>'tenant'), priority) "
    f"WHERE status = 'todo' AND task_name = '{TASK}'",
    f"CREATE INDEX IF NOT EXISTS ix_interlock_queue_listing ON procrastinate_jobs (status, id) WHERE task_name = '{TASK}'",
)


def refuse_others(database: Database, what: str) -> None:
    """Check that the database supports a queue.

    Raises:
        InputError: It is not PostgreSQL.
    """
    if database.dialect is not Dialect.POSTGRESQL:
        raise InputError(
            f"{what} needs PostgreSQL, and this database is {database.dialect.value}. Nothing was done. On SQLite and MariaDB one process runs what is due "
            "itself: `interlock tick --every 5s`, or an EventService in the application.",
            code="needs_postgresql",
        )


def setup(database: Database, *, per_tenant: int | None) -> int:
    """Create missing tables, indexes and settings. Safe to call from several processes at once.

    Args:
        database: The database; it must be PostgreSQL.
        per_tenant: The maximum number of concurrent runs per tenant; None for the stored number, or 8.

    Returns:
        The maximum number of concurrent runs per tenant.

    Raises:
        InputError: Jobs wait that were enqueued with another number.
        StoreError: Procrastinate is not installed, or its tables are from a release before 3.
    """
    try:
        from procrastinate.schema import SchemaManager  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError as error:
        raise StoreError(
            "Procrastinate is not installed. Nothing was done; install langgraph-interlock[procrastinate]."
        ) from error
    with database.write() as connection:
        if not is_there(connection):
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        if connection.execute(sa.text("SELECT to_regclass('procrastinate_jobs')")).scalar_one() is None:
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101 -- it is connected
            with driver.cursor() as cursor:
                cursor.execute(SchemaManager.get_schema())
        elif connection.execute(sa.text("SELECT to_regproc('procrastinate_fetch_job_v2')")).scalar_one() is None:
            raise StoreError(
                "The tables of Procrastinate in this database are those of a release before 3. Nothing was done; bring them up with its migrations "
                "first (`procrastinate schema --migrations-path`)."
            )
        if not is_there(connection):
            inputs.create(connection, checkfirst=True)
            for statement in _OWN:
                connection.execute(sa.text(statement))
        return _agreed(connection, per_tenant)


def is_there(connection: Connection) -> bool:
    """Whether the database has a queue."""
    return connection.execute(sa.text("SELECT to_regclass('interlock_queue')")).scalar_one() is not None


def _agreed(connection: Connection, per_tenant: int | None) -> int:
    """The stored number over which every process spreads jobs: with different numbers, a thread could have two concurrent runs."""
    connection.execute(
        sa.text("INSERT INTO interlock_queue (name, value) VALUES ('per_tenant', :value) ON CONFLICT DO NOTHING"),
        {"value": str(per_tenant or 8)},
    )
    found = int(
        connection.execute(
            sa.text("SELECT value FROM interlock_queue WHERE name = 'per_tenant' FOR UPDATE")
        ).scalar_one()
    )
    if per_tenant is None or per_tenant == found:
        return found
    waits = connection.execute(
        sa.text(
            f"SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE task_name = '{TASK}' AND status IN ('todo', 'doing'))"
        )
    ).scalar_one()
    if waits:
        raise InputError(
            f"Jobs wait in this database that were enqueued with per_tenant={found}, and {per_tenant} was given. Nothing was done; give {found}, or "
            "change it when no job waits (`interlock runs list`).",
            code="per_tenant",
        )
    connection.execute(
        sa.text("UPDATE interlock_queue SET value = :value WHERE name = 'per_tenant'"), {"value": str(per_tenant)}
    )
    return per_tenant


__all__ = ["KEEP", "KEEPING", "LATER", "QUEUE", "TASK", "is_there", "refuse_others", "setup"]
