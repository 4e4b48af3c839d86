"""A pgbouncer of a test's own, in transaction mode, before the PostgreSQL server that all tests share."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url

from tests.support.servers import PGBOUNCER, REQUIRE, required


@contextmanager
def pgbouncer(database_url: str, *, server_connections: int = 2, ignored: str = "") -> Iterator[str]:
    """Start one on a free port, and end it.

    Where the program is not on this machine, the test is skipped, or fails where pgbouncer is required.

    Args:
        database_url: The database behind it.
        server_connections: How many connections to the server its clients share.
        ignored: Its `ignore_startup_parameters`.

    Yields:
        The SQLAlchemy URL of the same database through it.
    """
    program = _program()
    behind = make_url(database_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="interlock-pgbouncer-") as folder:
        settings = pathlib.Path(folder, "pgbouncer.ini")
        settings.write_text(
            f"[databases]\n* = host={behind.host} port={behind.port or 5432} user={behind.username}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_client_conn = 200\n"
            f"default_pool_size = {server_connections}\nserver_round_robin = 1\nignore_startup_parameters = {ignored}\nquery_wait_timeout = 30\n"
        )
        # Neither the program nor the one who may read its settings is root.
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        other = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        if account:
            for path in (pathlib.Path(folder), settings):
                os.chown(path, account.pw_uid, account.pw_gid)
        log = pathlib.Path(folder, "log")
        with log.open("wb") as said:
            running = subprocess.Popen([program, "-q", str(settings)], stdout=said, stderr=said, cwd="/", **other)  # type: ignore[call-overload]
        try:
            url = behind.set(host="127.0.0.1", port=port)
            _await(running, url.set(drivername="postgresql").render_as_string(hide_password=False), log)
            yield url.render_as_string(hide_password=False)
        finally:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def _program() -> str:
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if found is not None:
        return found
    reason = "pgbouncer is not on this machine"
    if PGBOUNCER in required():
        pytest.fail(f"{reason}; install it, or take {PGBOUNCER} out of {REQUIRE}", pytrace=False)
    pytest.skip(reason)


def _await(running: subprocess.Popen[bytes], url: str, log: pathlib.Path) -> None:
    until = time.monotonic() + 20
    while True:
        assert running.poll() is None, log.read_text()
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            assert time.monotonic() < until, log.read_text()
        else:
            return
