"""What a database URL may say: each of these opens the right database, or is refused by name before anything happens."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from interlock import Database, SQLCheckpointer, WorkflowStore
from interlock.checkpointing.connecting import urls
from interlock.tools.errors import StoreError, StoreUnavailable
from tests.support.servers import mysql_url, postgres_url


def name_of(url: str) -> str | None:
    """The database that a URL leads to, as the server calls it."""
    database = Database.open(url)
    try:
        with database.read() as connection:
            asked = "SELECT DATABASE()" if database.dialect == "mysql" else "SELECT current_database()"
            found: str | None = connection.exec_driver_sql(asked).scalar()
            return found
    finally:
        database.close()


POSTGRESQL = [
    "postgresql://{user}@{host}:{port}/{name}",
    "postgresql+psycopg://{user}@{host}:{port}/{name}?connect_timeout=3&application_name=shop&keepalives=1",
    "postgresql+psycopg2://{user}@{host}:{port}/{name}?sslmode=prefer",
    "postgresql+pg8000://{user}@{host}:{port}/{name}",
    "postgresql+asyncpg://{user}@{host}:{port}/{name}?ssl=prefer&timeout=5.0",
    "postgresql+asyncpg://{user}@{host}:{port}/{name}?ssl=false&prepared_statement_cache_size=0&statement_cache_size=0",
    "postgresql://{user}@{host}:{port}/{name}?prepare_threshold=0",
    "postgresql://{user}@{host}:{port}/{name}?prepare_threshold=None",
    "postgresql://{user}@{host}:{nobody},{host}:{port}/{name}?target_session_attrs=read-write",
    "postgresql://{user}:se%40cret@{host}:{nobody},{host}:{port}/{name}?connect_timeout=5",
    "postgresql://{user}@/{name}?host={host}:{nobody}&host={host}:{port}&target_session_attrs=any",
    "postgresql:///{name}?host={host}&port={port}&user={user}",
    "postgresql://{user}@{host}:{port}/{name}?options=-c%20search_path%3Dpublic%20-c%20statement_timeout%3D60s",
    "postgresql://{user}:p%40ss%2Fw%3Ard%25@{host}:{port}/{name}",
    "postgresql://{user}@{host}:{port}/{name}?client_encoding=utf8",
]
MYSQL = [
    "mysql://{user}@{host}:{port}/{name}",
    "mariadb://{user}@{host}:{port}/{name}",
    "mariadb+pymysql://{user}@{host}:{port}/{name}?charset=utf8mb4",
    "mysql+aiomysql://{user}@{host}:{port}/{name}?charset=utf8",
    "mysql+asyncmy://{user}@{host}:{port}/{name}?connect_timeout=5",
    "mysql+mysqldb://{user}@{host}:{port}/{name}?ssl_mode=DISABLED&read_timeout=20",
    "mysql+mysqlconnector://{user}@{host}:{port}/{name}?use_pure=true&connection_timeout=10",
    "mysql://{user}@{host}:{port}/{name}?ssl_mode=PREFERRED&init_command=SET%20time_zone%3D'%2B00:00'",
    "mysql://{user}@{host}:{port}/{name}?ssl_disabled=true&program_name=shop",
]


def parts(url: str) -> dict[str, Any]:
    parsed = sa.make_url(url)
    return {"user": parsed.username, "host": parsed.host, "port": parsed.port, "name": parsed.database}


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is taken and refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@pytest.mark.parametrize("pattern", POSTGRESQL)
def test_a_url_for_postgresql_opens_the_database_that_it_names(
    pattern: str, postgres_worker_database: str, nobody: int
) -> None:
    known = parts(postgres_worker_database)
    assert name_of(pattern.format(**known, nobody=nobody)) == known["name"]


@pytest.mark.parametrize("pattern", MYSQL)
def test_a_url_for_mysql_opens_the_database_that_it_names(pattern: str, mysql_worker_database: str) -> None:
    known = parts(mysql_worker_database)
    assert name_of(pattern.format(**known)) == known["name"]


def test_a_unix_socket_is_named_as_libpq_and_as_sqlalchemy_name_it(postgres_worker_database: str) -> None:
    known = parts(postgres_worker_database)
    with psycopg.connect(postgres_url().replace("+psycopg", "")) as server:
        row = server.execute("SHOW unix_socket_directories").fetchone()
    folder = str(row[0] if row else "").split(",")[0].strip()
    if not Path(folder, f".s.PGSQL.{known['port'] or 5432}").is_socket():
        pytest.skip(f"the server has no socket in {folder!r} that this machine sees")
    for url in (
        f"postgresql://{known['user']}@/{known['name']}?host={folder}&port={known['port'] or 5432}",
        f"postgresql://{known['user']}@{folder.replace('/', '%2F')}:{known['port'] or 5432}/{known['name']}",
    ):
        address = urls.read(url)
        assert folder in {address.arguments.get("host"), address.url.query.get("host")}
        # The socket is reached; whom it lets in is the server's affair.
        assert any(said in reached(url) for said in (known["name"], "Peer authentication failed"))


def reached(url: str) -> str:
    """The database that a URL leads to, or why not."""
    try:
        return name_of(url) or ""
    except StoreError as error:
        return str(error)


def test_a_unix_socket_of_mysql_is_named_by_its_path(mysql_worker_database: str) -> None:
    known = parts(mysql_worker_database)
    plain = sa.make_url(mysql_url())
    with (
        pymysql.connect(host=plain.host, user=plain.username, port=plain.port or 3306) as server,
        server.cursor() as cursor,
    ):
        cursor.execute("SELECT @@socket")
        path = str((cursor.fetchone() or ("",))[0])
    if not Path(path).is_socket():
        pytest.skip(f"the server has no socket at {path!r} that this machine sees")
    assert name_of(f"mysql://{known['user']}@/{known['name']}?unix_socket={path}") == known["name"]


def test_a_service_file_names_the_database(
    postgres_worker_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = parts(postgres_worker_database)
    services = tmp_path / "services.conf"
    services.write_text(
        f"[shop]\nhost={known['host']}\nport={known['port'] or 5432}\nuser={known['user']}\ndbname={known['name']}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert name_of("postgresql:///?service=shop") == known["name"]
    with pytest.raises(StoreError, match="service"):
        name_of("postgresql:///?service=another")


def test_a_password_file_is_read_by_the_driver(postgres_worker_database: str, tmp_path: Path) -> None:
    secrets = tmp_path / "pgpass"
    secrets.write_text("*:*:*:*:secret\n")
    secrets.chmod(0o600)
    known = parts(postgres_worker_database)
    assert (
        name_of(f"postgresql://{known['user']}@{known['host']}:{known['port']}/{known['name']}?passfile={secrets}")
        == known["name"]
    )


REFUSED = {
    "postgres://u@h/db": r"postgresql://",
    "host=127.0.0.1 user=u dbname=db": r"keywords that libpq takes",
    "postgresql://u@h:abc/db": r"port .* is not a number",
    "postgresql://u:p@ss/w@h/db": r"%40",
    "postgresql://u@h:1,[::1:2/db": r"hosts .* cannot be read",
    "postgresql://u@h/db?pgbouncer=true": r"'pgbouncer'.*detected automatically",
    "postgresql://u@h/db?schema=shop": r"'schema'.*argument schema",
    "postgresql://u@h/db?sslmode=sure": r"'sslmode'.*verify-full",
    "postgresql+asyncpg://u@h/db?ssl=perhaps": r"'ssl'.*verify-full",
    "postgresql+asyncpg://u@h/db?command_timeout=5": r"statement_timeout",
    "postgresql://u@h/db?connect_timeout=abc": r"'connect_timeout'.*not a number",
    "postgresql://u@h/db?prepare_threshold=often": r"'prepare_threshold'.*not a number",
    "postgresql://u@h/db?autocommit=true": r"'autocommit'.*Interlock decides",
    "postgresql://u@h/db?client_encoding=latin1": r"'client_encoding'",
    "postgresql://u@h/db?sslmode=allow&sslmode=require": r"several times",
    "mysql://u@h:3306,h:3307/db": r"several hosts",
    "mysql://u@h/db?charset=latin1": r"utf8mb4",
    "mysql://u@h/db?collation=latin1_swedish_ci": r"utf8mb4",
    "mysql://u@h/db?ssl_mode=sometimes": r"VERIFY_IDENTITY",
    "mysql://u@h/db?ssl_ca=/nowhere/ca.pem": r"certificates",
    "mysql://u@h/db?autocommit=true": r"Interlock decides",
    "mysql://u@h/db?odbc_connect=x": r"'odbc_connect'.*PyMySQL",
    "mysql://u@h/db?connect_timeout=soon": r"not a number",
    "sqlite+pysqlcipher://:key@/shop.db": r"would not be encrypted",
    "sqlite:///shop.db?mode=ro": r"uri=true",
    "sqlite:///file:shop.db?uri=true&cache=shared": r"shared cache",
    "sqlite:///file:shop?uri=true&mode=memory": r"sqlite://",
    "sqlite:///shop.db?isolation_level=IMMEDIATE": r"Interlock decides",
    "sqlite:///shop.db?journal=off": r"'journal'.*sqlite3",
    "sqlite:///shop.db?timeout=long": r"not a number",
    "sqlite:///\0": r"NUL",
    "oracle://u@h/db": r"does not know the database 'oracle'",
    "cockroachdb://u@h/db": r"does not know the database",
    "shop.db": r"Give one such as",
}


@pytest.mark.parametrize("url", REFUSED)
@pytest.mark.parametrize("opened_by", [SQLCheckpointer, WorkflowStore])
def test_what_cannot_be_meant_is_refused_when_it_is_given(url: str, opened_by: Callable[[str], Any]) -> None:
    with pytest.raises(StoreError, match=REFUSED[url]) as refused:
        opened_by(url)
    assert not refused.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:topsecret@word/x@h/db",
        "postgresql://u:topsecret@h:x/db",
        "postgresql://u:topsecret:y@h:z/db",
        "mysql://u:topsecret@h/db?nothing=topsecret",
        "postgresql://u:topsecret@h,[/db",
    ],
)
def test_nothing_of_the_password_is_shown(url: str) -> None:
    with pytest.raises(StoreError) as refused:
        SQLCheckpointer(url)
    shown: BaseException | None = refused.value
    while shown is not None:
        assert "topsecret" not in str(shown)
        shown = shown.__cause__


def test_what_listens_nowhere_can_be_tried_again_and_what_is_unknown_there_cannot(
    nobody: int, postgres_worker_database: str
) -> None:
    with pytest.raises(StoreUnavailable):
        name_of(f"postgresql://u@127.0.0.1:{nobody}/db?connect_timeout=3")
    known = parts(postgres_worker_database)
    with pytest.raises(StoreError, match="There is no database") as refused:
        name_of(f"postgresql://{known['user']}@{known['host']}:{known['port']}/there_is_no_such_database")
    assert not refused.value.retryable


def test_tls_that_is_demanded_is_had_or_the_connection_is_refused(mysql_worker_database: str) -> None:
    known = parts(mysql_worker_database)
    url = "mysql://{user}@{host}:{port}/{name}?ssl_mode=REQUIRED".format(**known)
    database = Database.open(url)
    plain = Database.open(mysql_worker_database)
    with plain.read() as connection:
        offered = connection.exec_driver_sql("SHOW VARIABLES LIKE 'have_ssl'").one()[1] == "YES"
    try:
        with (
            contextlib.nullcontext() if offered else pytest.raises(StoreError, match=r"SSL|TLS"),
            database.read() as connection,
        ):
            assert connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").one()[1]
    finally:
        database.close()
        plain.close()


@pytest.mark.parametrize(
    ("options", "verified", "host_checked"),
    [
        ("ssl_mode=REQUIRED", False, False),
        ("ssl_mode=verify_ca", True, False),
        ("ssl_mode=VERIFY_IDENTITY", True, True),
        ("ssl_check_hostname=true", True, True),
        ("ssl_verify_cert=true", True, False),
        ("ssl=true", False, False),
    ],
)
def test_the_words_of_other_drivers_for_tls_mean_the_same(options: str, verified: bool, host_checked: bool) -> None:
    address = urls.read(f"mysql://u@h/db?{options}")
    context = address.arguments["ssl"]
    assert address.demands_tls
    assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (verified, host_checked)


SCHEMAS = [
    "shop",
    "Shop-B",
    'we"ird',
    "with space",
    "per%cent",
    "%s",
    "öäü",
    "select",
    "a" * 63,
    "x;drop",
    "b'q",
    "dot.ted",
    "{brace}",
    ":colon",
    "back\\slash",
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_may_be_called_anything(schema: str, postgres_worker_database: str) -> None:
    everything(SQLCheckpointer(postgres_worker_database, schema=schema))
    with psycopg.connect(postgres_worker_database.replace("+psycopg", ""), autocommit=True) as server:
        row = server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = %s", (schema,)).fetchone()
        assert row is not None
        assert row[0] > 10
        server.execute(psycopg.sql.SQL("DROP SCHEMA {} CASCADE").format(psycopg.sql.Identifier(schema)))


@pytest.mark.parametrize("name", ["we`ird", "per%cent", "%s", "öäü", "b'q", "dash-ed", ":colon"])
def test_so_may_a_database_of_mysql(name: str, mysql_worker_database: str) -> None:
    known = sa.make_url(mysql_url())
    quoted = name.replace("`", "``")
    with (
        pymysql.connect(host=known.host, user=known.username, port=known.port or 3306, autocommit=True) as server,
        server.cursor() as cursor,
    ):
        cursor.execute(f"CREATE DATABASE `{quoted}`")
        try:
            everything(SQLCheckpointer(mysql_worker_database, schema=name))
        finally:
            cursor.execute(f"DROP DATABASE `{quoted}`")


@pytest.mark.parametrize("schema", ["", "a" * 64, "ä" * 32, "nul\0", "half\ud800"])
def test_a_schema_that_no_database_can_have_is_refused(schema: str) -> None:
    with pytest.raises(StoreError, match="schema"):
        SQLCheckpointer("postgresql://u@h/db", schema=schema)


def test_sqlite_has_no_schemas(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="SQLite has no schemas"):
        SQLCheckpointer(f"sqlite:///{tmp_path / 'shop.db'}", schema="shop")


def test_a_role_needs_no_right_to_create_schemas_where_the_schema_is_there(empty_postgres_database: str) -> None:
    role = f"interlock_role_{os.getpid()}_{threading.get_ident()}"
    with psycopg.connect(empty_postgres_database.replace("+psycopg", ""), autocommit=True) as server:
        server.execute(f"CREATE ROLE {role} LOGIN")
        try:
            server.execute(f"CREATE SCHEMA shop AUTHORIZATION {role}")
            everything(SQLCheckpointer(sa.make_url(empty_postgres_database).set(username=role), schema="shop"))
        finally:
            server.execute(f"DROP OWNED BY {role} CASCADE")
            server.execute(f"DROP ROLE {role}")


def everything(saver: SQLCheckpointer) -> None:
    """Each statement that is written by hand, and some that are not."""
    with saver:
        saver.setup()
        config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "1"}}
        saver.put_writes(config, [("a", 1)], "task")
        saver.copy_thread("t", "u")
        assert list(saver.list(None)) == []
        saver.prune(["t"])
        saver.delete_thread("t")
        assert saver.size_reports()[0].tables
