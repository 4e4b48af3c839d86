"""A disk that takes its time: every sync costs so many milliseconds more, for both sides of a benchmark alike.

    INTERLOCK_BENCH_SYNC_MS=1 python -m tests.benchmarks commands

Disks with a cache of their own sync in a tenth of a millisecond, others and those behind a network take a few. On SQLite `fdatasync` and
`fsync` sleep first, by a library that is loaded before all others (Linux, and a C compiler); PostgreSQL does that itself.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from tests.support import servers

VARIABLE = "INTERLOCK_BENCH_SYNC_MS"
MILLISECONDS = float(os.environ.get(VARIABLE) or "0")
LIBRARY = "libslowsync.so"
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int after_a_while(const char *name, int file)
{
    const struct timespec pause = {MICROSECONDS / 1000000, MICROSECONDS % 1000000 * 1000};
    nanosleep(&pause, NULL);
    return ((int (*)(int)) dlsym(RTLD_NEXT, name))(file);
}

int fdatasync(int file) { return after_a_while("fdatasync", file); }
int fsync(int file) { return after_a_while("fsync", file); }
"""


def run_again() -> int | None:
    """Run this program anew in a process whose syncs take longer.

    Returns:
        Its exit code; None when nothing is to be slowed down, or this is that process.
    """
    if not MILLISECONDS:
        return None
    if LIBRARY in os.environ.get("LD_PRELOAD", ""):
        _see_that_it_is_slow()
        print(f"every sync takes {MILLISECONDS:g} ms more ({VARIABLE})", flush=True)
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = _compiled(pathlib.Path(folder))
        environment = {**os.environ, "LD_PRELOAD": f"{library}:{os.environ.get('LD_PRELOAD', '')}".rstrip(":")}
        return subprocess.run([sys.executable, *sys.orig_argv[1:]], env=environment, check=False).returncode


@contextlib.contextmanager
def temporary_postgres_database() -> Iterator[str]:
    """A database of one's own, as `tests.support.servers` makes it, in which every commit takes longer."""
    with servers.temporary_postgres_database() as url:
        if MILLISECONDS:
            _delay_commits(url)
        yield url


def _compiled(folder: pathlib.Path) -> pathlib.Path:
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit(
            f"{VARIABLE} slows SQLite's syncs by a library in C, and there is no `cc` here. Install one, or unset it."
        )
    library = folder / LIBRARY
    options = [f"-DMICROSECONDS={MILLISECONDS * 1000:.0f}L", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run([compiler, *options], input=SOURCE, text=True, check=True)
    return library


def _see_that_it_is_slow() -> None:
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(pathlib.Path(folder, "commit.db"), isolation_level=None)
        began = time.perf_counter()
        connection.execute("CREATE TABLE commits (number INTEGER)")
        taken = time.perf_counter() - began
        connection.close()
    if taken * 1000 < MILLISECONDS:
        sys.exit(f"{VARIABLE} has no effect on SQLite here: a commit took {taken * 1000:.2f} ms. Unset it.")


def _delay_commits(url: str) -> None:
    """Let every commit of sessions that begin from now on wait before it syncs; only a superuser may."""
    parsed = make_url(url).set(drivername="postgresql")
    with psycopg.connect(parsed.render_as_string(hide_password=False), autocommit=True) as connection:
        if connection.execute("SHOW fsync").fetchone() != ("on",):
            sys.exit(
                f"{VARIABLE} has no effect on a PostgreSQL server with fsync off. Turn it on, or unset the variable."
            )
        database = sql.Identifier(parsed.database or "")
        for setting, value in {"commit_delay": int(MILLISECONDS * 1000), "commit_siblings": 0}.items():
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.Identifier(setting), sql.Literal(value))
            )
