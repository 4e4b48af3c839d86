"""Creates the tables of a database, and upgrades them to this release with Alembic's migrations.

The version of a database is in the table `workflow_schema` (`conversation_schema` if it has only the conversation).
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..tools.errors import SchemaMismatch
from .connecting.engines import Dialect
from .database import Database

HEAD = "0001"
"""The version of the schema that this release works with: the newest migration."""
WORKFLOW, CONVERSATION = "workflow", "conversation"
GROUPS = (WORKFLOW, CONVERSATION)
_LOCK = 0x1A7E_410C
_LOCK_SECONDS = 120


@dataclass(frozen=True)
class Run:
    """One run of the migrations, for their environment."""

    connection: Connection
    groups: Sequence[str]
    schema: str | None = None
    version_table: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version_table", _version_table(self.groups))

    def wants(self, table: str) -> bool:
        """Whether a table belongs to the groups of this database."""
        return table.partition("_")[0] in self.groups


def setup(database: Database, *, groups: Sequence[str] = GROUPS) -> None:
    """Create the tables, or upgrade them to this release.

    Safe to call again, which costs one query, and from several processes at once: one upgrades, and the others wait.

    Args:
        database: The database for the tables.
        groups: `workflow`, `conversation`, or both, which is the default.

    Raises:
        SchemaMismatch: The tables are those of a newer release.
    """
    if version(database, groups=groups) == HEAD:
        return
    with _alone(database) as connection:
        run = Run(connection, tuple(groups), database.schema)
        found = _read_version(connection, run.version_table)
        if found == HEAD:
            return
        _refuse_newer(found)
        _migrate(run)


def check(database: Database, *, groups: Sequence[str] = GROUPS) -> None:
    """Check that the tables have this release's version.

    Raises:
        SchemaMismatch: They are older or newer, or do not exist.
    """
    found = version(database, groups=groups)
    if found == HEAD:
        return
    _refuse_newer(found)
    where = database.engine.url.render_as_string(hide_password=True)
    state = (
        "has no tables of Interlock" if found is None else f"has tables of an older release (schema version {found})"
    )
    raise SchemaMismatch(
        f"The database {where} {state}, and this release needs schema version {HEAD}. Nothing was read or written. "
        "Call setup() or asetup() once, or run `interlock db upgrade`.",
        details={"found": found, "needed": HEAD},
    )


def version(database: Database, *, groups: Sequence[str] = GROUPS) -> str | None:
    """The version of the tables in a database; None if it has none."""
    with database.read() as connection:
        return _read_version(connection, _version_table(groups))


def _version_table(groups: Sequence[str]) -> str:
    return f"{WORKFLOW if WORKFLOW in groups else CONVERSATION}_schema"


def _read_version(connection: Connection, table: str) -> str | None:
    versions = sa.Table(table, sa.MetaData(), sa.Column("version_num", sa.String))
    schema = _schema_of(connection)
    if not sa.inspect(connection).has_table(table, schema=schema):
        return None
    found: str | None = connection.scalar(sa.select(versions.c.version_num))
    return found


def _schema_of(connection: Connection) -> str | None:
    translate = connection.get_execution_options().get("schema_translate_map") or {}
    schema: str | None = translate.get(None)
    return schema


def _refuse_newer(found: str | None) -> None:
    if found is not None and found > HEAD:
        raise SchemaMismatch(
            f"The tables are those of a newer release: their schema version is {found}, and this release knows only {HEAD}. "
            "Nothing was read or written. Install the release of Interlock that the other processes run.",
            details={"found": found, "needed": HEAD},
        )


@contextlib.contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A transaction that excludes other migrations."""
    with database.write() as connection:  # on SQLite the write lock suffices
        if database.dialect is Dialect.POSTGRESQL:
            # A migration may take longer than the usual lock timeout.
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection
        elif database.dialect is Dialect.MYSQL:
            # The lock belongs to the connection, because every DDL statement of a migration ends the transaction.
            connection.exec_driver_sql(f"SELECT GET_LOCK('interlock_schema', {_LOCK_SECONDS})")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("SELECT RELEASE_LOCK('interlock_schema')")
        else:
            yield connection


def _migrate(run: Run) -> None:
    # A role that may create tables in a schema may lack the right to create schemas.
    if (
        run.schema is not None
        and run.connection.dialect.name == "postgresql"
        and run.schema not in sa.inspect(run.connection).get_schema_names()
    ):
        run.connection.execute(sa.schema.CreateSchema(run.schema, if_not_exists=True))
    from alembic import command  # noqa: PLC0415 -- a quarter of a second that only a migration needs
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "interlock.checkpointing:migrations")
    config.attributes["run"] = run
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaMismatch(
            f"The tables have a schema version that this release does not know ({error}), so it cannot bring them up to {HEAD}. Nothing "
            "was changed. Upgrade with the releases in between first, one after another.",
            details={"needed": HEAD},
        ) from error
