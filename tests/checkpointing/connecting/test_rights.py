"""A user who may not log in, or lacks a right, is told which of the two it is and what to do."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from interlock.checkpointing import SQLCheckpointer
from interlock.tools.errors import StoreError


def refusal(url: sa.URL | str, **options: str) -> StoreError:
    """The error of the first use of a database."""
    with pytest.raises(StoreError) as refused, SQLCheckpointer(url, **options) as saver:  # type: ignore[arg-type]
        saver.setup()
    assert "Nothing " in str(refused.value)
    return refused.value


@contextmanager
def postgres_role(url: str, rights: str) -> Iterator[sa.URL]:
    """The URL of the database for a new role."""
    role = f"interlock_role_{os.getpid()}_{threading.get_ident()}"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        server.execute(f"CREATE ROLE {role} {rights}")  # type: ignore[call-overload]
        try:
            yield sa.make_url(url).set(username=role)
        finally:
            server.execute(f"DROP OWNED BY {role} CASCADE")
            server.execute(f"DROP ROLE {role}")


def test_a_postgresql_role_that_is_not_there(postgres_database: str) -> None:
    error = refusal(sa.make_url(postgres_database).set(username="interlock_nobody"))
    assert error.code == "login_refused"
    assert "Check the user and the password" in str(error)


def test_a_postgresql_role_without_login(postgres_database: str) -> None:
    with postgres_role(postgres_database, "NOLOGIN") as url:
        assert refusal(url).code == "login_refused"


def test_a_postgresql_role_that_may_create_nothing(postgres_database: str) -> None:
    with postgres_role(postgres_database, "LOGIN") as url:
        error = refusal(url, schema="locked")
    assert error.code == "missing_right"
    assert "interlock db upgrade" in str(error)


def test_a_postgresql_role_that_may_not_read_the_tables(postgres_database: str) -> None:
    with SQLCheckpointer(postgres_database) as owner:
        owner.setup()
    with postgres_role(postgres_database, "LOGIN") as url:
        assert refusal(url).code == "missing_right"


def test_a_search_path_that_names_no_schema(postgres_database: str) -> None:
    error = refusal(f"{postgres_database}?options=-csearch_path%3Dnowhere")
    assert error.code == "no_schema"
    assert "schema='…'" in str(error)


def test_a_mariadb_user_who_is_not_there(empty_mysql_database: str) -> None:
    assert (
        refusal(sa.make_url(empty_mysql_database).set(username="interlock_nobody", password="x")).code
        == "login_refused"
    )


def test_a_mariadb_user_who_may_only_read(empty_mysql_database: str) -> None:
    url = sa.make_url(empty_mysql_database)
    name = f"interlock_{os.getpid()}_{threading.get_ident() % 10_000}"
    server = pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, password=url.password or "", autocommit=True
    )
    with server, server.cursor() as cursor:
        cursor.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY 'secret'")
        try:
            cursor.execute(f"GRANT SELECT ON `{url.database}`.* TO '{name}'@'%'")
            assert refusal(url.set(username=name, password="secret")).code == "missing_right"
        finally:
            cursor.execute(f"DROP USER '{name}'@'%'")
