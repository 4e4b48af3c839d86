"""The tables: created once by whoever comes first, the same by migration as in the code, and of this release or refused."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from interlock.checkpointing import Database, SQLCheckpointer, schema
from interlock.checkpointing.tables import workflow as store_tables
from interlock.checkpointing.tables.columns import metadata
from interlock.tools.errors import SchemaMismatch
from tests.support.fast_schema import real_migrations
from tests.support.servers import temporary_mysql_database, temporary_postgres_database

SETUP = "import sys; from interlock.checkpointing import Database, schema; schema.setup(Database.open(sys.argv[1]))"
NO_DIFFERENCE: list[Any] = []


@pytest.fixture(autouse=True)
def migrations() -> Iterator[None]:
    """Those of the release, as they are."""
    with real_migrations():
        yield


@pytest.fixture
def database(database_url: str) -> Any:
    opened = Database.open(database_url)
    yield opened
    opened.close()


def test_the_migrations_make_the_tables_that_the_code_works_with(database: Database) -> None:
    schema.setup(database)

    assert store_tables.instances.metadata is metadata
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [change for change in compare_metadata(context, metadata) if not _is_version_table(change)]
    assert differences == NO_DIFFERENCE


def _is_version_table(change: Any) -> bool:
    return change[0] == "remove_table" and change[1].name == "workflow_schema"


def test_the_newest_migration_is_the_version_that_this_release_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", "interlock.checkpointing:migrations")

    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_setup_a_second_time_changes_nothing(database: Database) -> None:
    schema.setup(database)
    with SQLCheckpointer(database) as saver:
        saver.put_writes(_config("kept", "1"), [("channel", "value")], "task")
        schema.setup(database)
        saver.setup()

        with database.read() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM workflow_writes")) == 1


def test_several_processes_set_up_one_database_at_once(database_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", SETUP, database_url], stderr=subprocess.PIPE) for _ in range(4)
    ]

    outcomes = [(process.communicate()[1], process.returncode) for process in processes]

    assert outcomes == [(b"", 0)] * 4


@pytest.mark.parametrize("empty", [temporary_postgres_database, temporary_mysql_database], ids=["postgresql", "mysql"])
def test_a_server_without_tables_is_refused_with_what_to_do(empty: Callable[[], AbstractContextManager[str]]) -> None:
    with empty() as url, SQLCheckpointer(url) as saver, pytest.raises(SchemaMismatch, match=r"interlock db upgrade"):
        saver.get_tuple(_config("any"))


@pytest.mark.parametrize("use", [SQLCheckpointer.setup, lambda saver: saver.get_tuple(_config("any"))])
def test_tables_of_a_newer_release_are_refused(database: Database, use: Callable[[SQLCheckpointer], Any]) -> None:
    schema.setup(database)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE workflow_schema SET version_num = '9999'"))

    with SQLCheckpointer(database) as saver, pytest.raises(SchemaMismatch, match="newer release"):
        use(saver)


@pytest.mark.parametrize("use", [SQLCheckpointer.setup, lambda saver: saver.get_tuple(_config("any"))])
def test_tables_of_a_release_that_is_too_old_are_refused(
    database: Database, use: Callable[[SQLCheckpointer], Any]
) -> None:
    schema.setup(database)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE workflow_schema SET version_num = '0000'"))

    with SQLCheckpointer(database) as saver, pytest.raises(SchemaMismatch, match="0000"):
        use(saver)


def test_tables_may_be_in_a_schema_of_their_own(empty_postgres_database: str) -> None:
    name = f"s_{uuid.uuid4().hex}"
    with SQLCheckpointer(empty_postgres_database, schema=name) as saver:
        saver.setup()
        saver.put_writes(_config("t", "1"), [("messages", ["text"])], "task")
        with saver.database.read() as connection:
            assert set(sa.inspect(connection).get_table_names(schema="public")) == set()
            assert "conversation_messages" in sa.inspect(connection).get_table_names(schema=name)


def test_each_database_gets_only_the_tables_that_are_kept_in_it(tmp_path: Any) -> None:
    both = [f"sqlite:///{tmp_path / name}.db" for name in ("workflow", "conversation")]
    with SQLCheckpointer(both[0], conversation=both[1]) as saver:
        saver.setup()
        for database, prefix in ((saver.database, "workflow_"), (saver.conversation_database, "conversation_")):
            with database.read() as connection:
                names = sa.inspect(connection).get_table_names()
            assert names
            assert {name for name in names if not name.startswith((prefix, "sqlite_"))} == set()


def _config(thread_id: str, checkpoint_id: str | None = None) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}}
