"""The helpers that find servers: a missing one is a skip that says why, or a failure where it is required."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.support import servers
from tests.support.pgbouncer import pgbouncer
from tests.support.servers import Server, run_sql

FINDERS: dict[str, tuple[Server, Callable[[], str]]] = {
    "postgresql": (servers.POSTGRES, servers.postgres_url),
    "mysql": (servers.MYSQL, servers.mysql_url),
    "nats": (servers.NATS, servers.nats_url),
    "rabbitmq": (servers.RABBITMQ, servers.rabbitmq_url),
    "redis": (servers.REDIS, servers.redis_url),
}
each_server = pytest.mark.parametrize(("server", "find"), FINDERS.values(), ids=FINDERS)
each_database = pytest.mark.parametrize(
    "temporary",
    [servers.temporary_postgres_database, servers.temporary_mysql_database],
    ids=["postgresql", "mysql"],
)


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is taken, so that nobody else gets it, and that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@each_server
def test_a_missing_server_skips_the_test_and_says_which_address_was_tried(
    server: Server, find: Callable[[], str], nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(servers.REQUIRE, raising=False)
    monkeypatch.setenv(server.variable, f"{make_url(server.default).drivername}://x:hidden@127.0.0.1:{nobody}/test")

    with pytest.raises(
        pytest.skip.Exception, match=rf"no {server.name} answers .*:{nobody}.*{server.variable}"
    ) as skipped:
        find()

    assert "hidden" not in str(skipped.value)


@each_server
def test_a_missing_server_fails_the_test_where_it_is_required(
    server: Server, find: Callable[[], str], nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(servers.REQUIRE, f"postgresql, {server.name}")
    monkeypatch.setenv(server.variable, f"{make_url(server.default).drivername}://x@127.0.0.1:{nobody}/test")

    with pytest.raises(pytest.fail.Exception, match=f"no {server.name} answers"):
        find()


@each_server
def test_a_server_that_is_there_is_found(server: Server, find: Callable[[], str]) -> None:
    assert find() == server.url


def test_something_else_at_the_address_is_not_taken_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    nats = make_url(servers.nats_url())
    monkeypatch.delenv(servers.REQUIRE, raising=False)
    monkeypatch.setenv(servers.REDIS.variable, f"redis://{nats.host}:{nats.port or 4222}/0")

    with pytest.raises(pytest.skip.Exception, match=r"no redis answers .*began with b'INFO "):
        servers.redis_url()


def test_a_missing_pooler_skips_the_test_or_fails_it_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_kwargs: None)
    monkeypatch.delenv(servers.REQUIRE, raising=False)
    with (
        pytest.raises(pytest.skip.Exception, match="pgbouncer is not on this machine"),
        pgbouncer(servers.POSTGRES.url),
    ):
        pass
    monkeypatch.setenv(servers.REQUIRE, "redis,pgbouncer")
    with pytest.raises(pytest.fail.Exception, match="install it"), pgbouncer(servers.POSTGRES.url):
        pass


def test_requiring_a_server_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(servers.REQUIRE, "postgres")

    with pytest.raises(pytest.UsageError, match=r"\['postgres'\]; known are .*postgresql"):
        servers.required()


@each_database
def test_a_temporary_database_is_empty_and_gone_afterwards(
    temporary: Callable[[], AbstractContextManager[str]],
) -> None:
    with temporary() as first, temporary() as second:
        assert first != second
        run_sql(first, "CREATE TABLE marker (id integer)")
        run_sql(second, "CREATE TABLE marker (id integer)")

    with pytest.raises(Exception, match=r"does not exist|Unknown database"):
        run_sql(first, "SELECT 1")


@each_database
def test_a_temporary_database_goes_even_when_a_transaction_was_left_open(
    temporary: Callable[[], AbstractContextManager[str]],
) -> None:
    with temporary() as url:
        engine = create_engine(url)
        left_open = engine.connect()
        left_open.execute(text("CREATE TABLE marker (id integer)"))
        left_open.commit()
        left_open.execute(text("SELECT * FROM marker"))

    with pytest.raises(Exception, match=r"does not exist|Unknown database"):
        run_sql(url, "SELECT 1")
    left_open.invalidate()
    left_open.close()
    engine.dispose()


def test_the_fixtures_give_a_test_a_database_of_its_own_and_one_that_its_process_shares(
    postgres_database: str, postgres_worker_database: str, mysql_database: str, mysql_worker_database: str
) -> None:
    urls = [postgres_database, postgres_worker_database, mysql_database, mysql_worker_database]

    for url in urls:
        run_sql(url, "CREATE TABLE IF NOT EXISTS of_the_fixtures (id integer)")
    assert len(set(urls)) == 4
