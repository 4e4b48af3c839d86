"""The checkpointers that LangGraph's own test-suite is run with: `make suite`. The serializer is the default one."""

import contextlib
import os
import pathlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator

import psycopg

from interlock.checkpointing import SQLCheckpointer

POSTGRES = os.environ.get("INTERLOCK_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def find_postgres() -> None:
    """See that the server is there.

    Raises:
        psycopg.OperationalError: It does not answer.
    """
    psycopg.connect(POSTGRES.replace("+psycopg", ""), connect_timeout=5).close()


@contextlib.contextmanager
def sqlite() -> Iterator[SQLCheckpointer]:
    """A checkpointer on a fresh SQLite file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SQLCheckpointer(f"sqlite:///{pathlib.Path(folder, 'suite.db')}", synchronous="NORMAL") as saver,
    ):
        yield saver


@contextlib.asynccontextmanager
async def sqlite_async() -> AsyncIterator[SQLCheckpointer]:
    """The same for the asynchronous tests: it is the same object."""
    with sqlite() as saver:
        yield saver


@contextlib.contextmanager
def postgres() -> Iterator[SQLCheckpointer]:
    """A checkpointer in a PostgreSQL schema of its own, which is also what shows that schemas work."""
    schema = f"suite_{secrets.token_hex(8)}"
    plain = POSTGRES.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as server:
        server.execute(f'CREATE SCHEMA "{schema}"')
    try:
        with SQLCheckpointer(POSTGRES, schema=schema) as saver:
            saver.setup()
            yield saver
    finally:
        with psycopg.connect(plain, autocommit=True) as server:
            server.execute(f'DROP SCHEMA "{schema}" CASCADE')


@contextlib.asynccontextmanager
async def postgres_async() -> AsyncIterator[SQLCheckpointer]:
    """The same for the asynchronous tests."""
    with postgres() as saver:
        yield saver
