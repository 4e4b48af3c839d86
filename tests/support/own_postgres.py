"""A PostgreSQL server of a test's own, which may be restarted and broken as the one that all tests share may not."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tests.support.servers import POSTGRES, REQUIRE, required

Way = Literal["fast", "immediate"]
"""How a server stops: `fast` ends its connections, `immediate` ends at once and recovers from its log when it comes back."""


@dataclass(frozen=True)
class OwnPostgres:
    """A running server."""

    binaries: pathlib.Path
    data: pathlib.Path
    port: int
    connections: int
    """How many it takes at most."""

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its only database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def restart(self, way: Way) -> None:
        """Restart it; when this returns, it takes connections again."""
        self._control("restart", "-m", way)

    def stop(self, way: Way = "immediate") -> None:
        """Stop it."""
        self._control("stop", "-m", way)

    def start(self) -> None:
        """Start it; when this returns, it takes connections."""
        self._control("start")

    def _control(self, *what: str) -> None:
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' "
            f"-c max_connections={self.connections}"
        )
        # What the server says goes to its file: it would keep a pipe open for as long as it lives.
        _run(self.binaries / "pg_ctl", "-D", self.data, "-l", self.data / "log", "-o", options, "-w", *what)


@contextmanager
def own_postgres(*, connections: int = 60) -> Iterator[OwnPostgres]:
    """Make a server on a port of its own; it and all its files are gone afterwards.

    Where PostgreSQL's programs are not on this machine, the test is skipped, or fails where PostgreSQL is required.
    """
    binaries = _binaries()
    # Not a folder of pytest's: those are closed to the user that the server has to run as.
    with tempfile.TemporaryDirectory(prefix="interlock-postgres-") as folder:
        if (account := _account()) is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data = pathlib.Path(folder) / "data"
        _run(binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        server = OwnPostgres(binaries, data, port, connections)
        server.start()
        try:
            yield server
        finally:
            if (data / "postmaster.pid").exists():
                server.stop()


def _binaries() -> pathlib.Path:
    found = shutil.which("initdb")
    versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3])
    candidates = [*([pathlib.Path(found)] if found else []), *reversed(versions)]
    for initdb in candidates:
        folder = initdb.resolve().parent
        if (folder / "pg_ctl").exists():
            return folder
    reason = "initdb and pg_ctl of PostgreSQL are not on this machine"
    if POSTGRES.name in required():
        pytest.fail(f"{reason}; install them, or take {POSTGRES.name} out of {REQUIRE}", pytrace=False)
    pytest.skip(reason)


def _account() -> pwd.struct_passwd | None:
    """Whom to run the server as; None for whoever this is, for PostgreSQL refuses to run as root only."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _run(*command: Any) -> None:
    account = _account()
    other: dict[str, Any] = {}
    if account is not None:
        other = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        **other,
    )
    assert done.returncode == 0, f"{command[0]} {command[-1]} ended with {done.returncode}"
