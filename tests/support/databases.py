"""Databases for tests, as fixtures; the servers they are on are found by `tests.support.servers`.

Tests that write take a database of their own: `postgres_database` and `mysql_database` have empty tables and are lent to one test after another
(`tests.support.reused`), `empty_postgres_database` and `empty_mysql_database` are empty. `postgres_worker_database` and `mysql_worker_database` are shared by the
tests of a process. All are SQLAlchemy URLs as strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pymysql
import pytest
from psycopg import sql

from interlock.checkpointing import Database, schema
from tests.support.reused import Reused, Run
from tests.support.servers import (
    connect_mysql,
    connect_postgres,
    create_mysql_database,
    create_postgres_database,
    drop_mysql_database,
    drop_postgres_database,
    end_mysql_connections,
    fresh_name,
    inside,
    mysql_url,
    postgres_url,
    temporary_mysql_database,
    temporary_postgres_database,
)

SHAPE = r"""
SELECT 'schema', nspname, '', concat(nspowner, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
UNION ALL SELECT 'relation', oid::regclass::text, relkind::text,
  concat_ws(' ', relowner, relacl, reloptions, relpersistence, reltuples, relrowsecurity, relreplident)
  FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
UNION ALL SELECT 'column', attrelid::regclass::text, attnum::text,
  concat_ws(' ', attname, atttypid::regtype, atttypmod, attnotnull, attidentity, attcollation, attacl, attstattarget, attisdropped,
    (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum))
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
  WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
UNION ALL SELECT 'index', indexrelid::regclass::text, '', concat(pg_get_indexdef(indexrelid), indisvalid)
  FROM pg_index WHERE indrelid >= 16384
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE oid >= 16384
UNION ALL SELECT 'function', oid::regprocedure::text, '', concat(prosrc, proacl) FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
UNION ALL SELECT 'type', oid::regtype::text, '', typtype::text FROM pg_type WHERE oid >= 16384
UNION ALL SELECT 'view', ev_class::regclass::text, rulename, '' FROM pg_rewrite WHERE oid >= 16384
UNION ALL SELECT 'policy', polrelid::regclass::text, polname, '' FROM pg_policy
UNION ALL SELECT 'extension', extname, '', extversion FROM pg_extension
UNION ALL SELECT 'publication', pubname, '', '' FROM pg_publication
UNION ALL SELECT 'event trigger', evtname, '', '' FROM pg_event_trigger
UNION ALL SELECT 'default right', defaclobjtype::text, '', defaclacl::text FROM pg_default_acl
UNION ALL SELECT 'large object', oid::text, '', '' FROM pg_largeobject_metadata
UNION ALL SELECT 'prepared transaction', gid, '', '' FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL SELECT 'setting', setrole::text, '', setconfig::text FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
  WHERE datname = current_database()
UNION ALL SELECT 'database', '', '', concat_ws(' ', datdba, datacl, datallowconn, datconnlimit) FROM pg_database WHERE datname = current_database()
"""
MYSQL_SHAPE = (
    "SELECT table_name, table_type, engine, table_collation, create_options FROM information_schema.tables WHERE table_schema = DATABASE()",
    "SELECT table_name, column_name, ordinal_position, column_type, is_nullable, column_default, extra, collation_name"
    " FROM information_schema.columns WHERE table_schema = DATABASE()",
    "SELECT table_name, index_name, seq_in_index, column_name, non_unique, sub_part FROM information_schema.statistics"
    " WHERE table_schema = DATABASE()",
    "SELECT table_name, constraint_name, constraint_type FROM information_schema.table_constraints WHERE table_schema = DATABASE()",
    "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE()",
    "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE()",
    "SELECT grantee, privilege_type FROM information_schema.schema_privileges WHERE table_schema = DATABASE()",
    "SELECT grantee, table_name, privilege_type FROM information_schema.table_privileges WHERE table_schema = DATABASE()",
)


def _rows(cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
    return [] if cursor.description is None else cursor.fetchall()


class Postgres:
    """Databases on the PostgreSQL server.

    Args:
        template: The URL of a database with empty tables, which nobody is connected to.
    """

    def __init__(self, template: str) -> None:
        self._template = template

    def create(self) -> str:
        return create_postgres_database(self._template)

    def lend(self, name: str) -> str:
        now = fresh_name()
        with connect_postgres(postgres_url()) as server:
            server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(now)))
        return now

    @contextmanager
    def inside(self, name: str) -> Iterator[Run]:
        with connect_postgres(inside(postgres_url(), name)) as connection:
            yield lambda statement: _rows(connection.execute(statement.encode()))

    def disconnect(self, name: str) -> None:
        with connect_postgres(postgres_url()) as server:
            ended = server.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", (name,)
            ).fetchall()
        assert all(one for (one,) in ended)

    def shape(self, run: Run) -> object:
        return sorted(run(SHAPE))

    def tables(self, run: Run) -> list[str]:
        return [
            str(name)
            for (name,) in run("SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384")
        ]

    def drop_tables(self, run: Run, tables: list[str]) -> None:
        if tables:
            run(f"DROP TABLE {', '.join(tables)} CASCADE")

    def reset(self, run: Run, tables: list[str]) -> None:
        for table in tables:
            run(f"WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone")
        run("SELECT setval(seqrelid, seqstart, false) FROM pg_sequence")

    def size(self, run: Run) -> int:
        return int(run("SELECT pg_database_size(current_database())")[0][0])

    def drop(self, name: str) -> None:
        drop_postgres_database(name)


class MySQL:
    """Databases on the MySQL or MariaDB server."""

    def create(self) -> str:
        name = create_mysql_database()
        opened = Database.open(inside(mysql_url(), name))
        schema.setup(opened)
        opened.close()
        return name

    def lend(self, name: str) -> str:
        return name

    @contextmanager
    def inside(self, name: str) -> Iterator[Run]:
        with connect_mysql(mysql_url()) as server, server.cursor() as cursor:

            def run(statement: str) -> list[tuple[Any, ...]]:
                cursor.execute(statement)
                return list(cursor.fetchall())

            run(f"USE `{name}`")
            run("SET SESSION lock_wait_timeout = 20")
            with suppress(pymysql.err.OperationalError):  # MySQL keeps figures of tables for a day, MariaDB does not
                run("SET SESSION information_schema_stats_expiry = 0")
            yield run

    def disconnect(self, name: str) -> None:
        with connect_mysql(mysql_url()) as server, server.cursor() as cursor:
            end_mysql_connections(cursor, name)

    def shape(self, run: Run) -> object:
        return [sorted(run(statement), key=repr) for statement in MYSQL_SHAPE]

    def tables(self, run: Run) -> list[str]:
        found = run(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
        )
        return [f"`{name}`" for (name,) in found]

    def drop_tables(self, run: Run, tables: list[str]) -> None:
        if tables:
            run(f"DROP TABLE {', '.join(tables)}")

    def reset(self, run: Run, tables: list[str]) -> None:
        for table in tables:
            run(f"DELETE FROM {table}")
        used = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND auto_increment > 1"
        for (table,) in run(used):
            run(f"ALTER TABLE `{table}` AUTO_INCREMENT = 1")

    def size(self, run: Run) -> int:
        return int(
            run(
                "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
            )[0][0]
        )

    def drop(self, name: str) -> None:
        drop_mysql_database(name)


@pytest.fixture(scope="session")
def postgres_tables() -> Iterator[str]:
    """A PostgreSQL database with empty tables, to be copied: that takes half as long as creating them."""
    with temporary_postgres_database() as url:
        opened = Database.open(url)
        schema.setup(opened)
        opened.close()
        yield url


@pytest.fixture(scope="session")
def postgres_databases(postgres_tables: str) -> Iterator[Reused]:
    """The PostgreSQL databases that the tests of this process are lent."""
    databases = Reused(Postgres(postgres_tables))
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def mysql_databases() -> Iterator[Reused]:
    """The MySQL or MariaDB databases that the tests of this process are lent."""
    databases = Reused(MySQL())
    yield databases
    databases.close()


@pytest.fixture
def empty_postgres_database() -> Iterator[str]:
    """An empty PostgreSQL database of this test's own."""
    with temporary_postgres_database() as url:
        yield url


@pytest.fixture
def empty_mysql_database() -> Iterator[str]:
    """An empty MySQL or MariaDB database of this test's own."""
    with temporary_mysql_database() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_databases: Reused) -> Iterator[str]:
    """A PostgreSQL database of this test's own, with empty tables."""
    with postgres_databases.lent() as name:
        yield inside(postgres_url(), name)


@pytest.fixture(scope="session")
def postgres_worker_database() -> Iterator[str]:
    """A PostgreSQL database that the tests of this process share."""
    with temporary_postgres_database() as url:
        yield url


@pytest.fixture
def mysql_database(mysql_databases: Reused) -> Iterator[str]:
    """A MySQL or MariaDB database of this test's own, with empty tables."""
    with mysql_databases.lent() as name:
        yield inside(mysql_url(), name)


@pytest.fixture(scope="session")
def mysql_worker_database() -> Iterator[str]:
    """A MySQL or MariaDB database that the tests of this process share."""
    with temporary_mysql_database() as url:
        yield url


def lent_database(request: pytest.FixtureRequest, kind: str) -> str:
    """The `postgres_database` or `mysql_database` of a test, for fixtures whose parameter is the kind of a server."""
    return str(request.getfixturevalue({"postgresql": "postgres_database", "mysql": "mysql_database"}[kind]))
