"""The checkpointers that LangGraph's own test-suite is run with: `make suite`.

Each is made as its documentation says first, of a URL or an engine and nothing else, and so it is as strict as it is by itself. What a
test needs of its own, an empty database, is in the URL or in the engine.
"""

import contextlib
import os
import pathlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from sqlalchemy.ext.asyncio import create_async_engine

from interlock.checkpointing import SQLCheckpointer

POSTGRES = os.environ.get("INTERLOCK_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")


def find_postgres() -> None:
    """See that the server is there.

    Raises:
        psycopg.OperationalError: It does not answer.
    """
    psycopg.connect(_plain(), connect_timeout=5).close()


@contextlib.contextmanager
def sqlite() -> Iterator[SQLCheckpointer]:
    """On a fresh SQLite file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SQLCheckpointer(f"sqlite:///{pathlib.Path(folder, 'suite.db')}") as saver,
    ):
        yield saver


@contextlib.contextmanager
def encrypted() -> Iterator[SQLCheckpointer]:
    """The same, and the test-suite's way to encrypt."""
    with sqlite() as saver:
        saver.serde = EncryptedSerializer.from_pycryptodome_aes(serde=saver.serde, key=b"1234567890123456")
        yield saver


@contextlib.contextmanager
def postgresql() -> Iterator[SQLCheckpointer]:
    """On PostgreSQL, where the URL names a fresh schema."""
    with _schema() as schema, SQLCheckpointer(f"{POSTGRES}?options=-csearch_path%3D{schema}") as saver:
        saver.setup()
        yield saver


@contextlib.contextmanager
def engine() -> Iterator[SQLCheckpointer]:
    """On an application's own engine, whose arguments for the driver name the schema."""
    with _schema() as schema:
        own = sa.create_engine(POSTGRES, connect_args={"options": f"-csearch_path={schema}"}, pool_size=2)
        try:
            with SQLCheckpointer(own) as saver:
                saver.setup()
                yield saver
        finally:
            own.dispose()


@contextlib.asynccontextmanager
async def asynchronous_engine() -> AsyncIterator[SQLCheckpointer]:
    """The same on an asynchronous engine, with a driver of another kind."""
    with _schema() as schema:
        url = sa.make_url(POSTGRES).set(drivername="postgresql+asyncpg")
        own = create_async_engine(url, connect_args={"server_settings": {"search_path": schema}})
        try:
            with SQLCheckpointer(own) as saver:
                await saver.asetup()
                yield saver
        finally:
            await own.dispose()


@contextlib.contextmanager
def _schema() -> Iterator[str]:
    schema = f"suite_{secrets.token_hex(8)}"
    with psycopg.connect(_plain(), autocommit=True) as server:
        server.execute(f'CREATE SCHEMA "{schema}"')
    try:
        yield schema
    finally:
        with psycopg.connect(_plain(), autocommit=True) as server:
            server.execute(f'DROP SCHEMA "{schema}" CASCADE')


def _plain() -> str:
    return sa.make_url(POSTGRES).set(drivername="postgresql").render_as_string(hide_password=False)


def _as_asynchronous(make: Callable[[], Any]) -> Callable[[], AbstractAsyncContextManager[SQLCheckpointer]]:
    @contextlib.asynccontextmanager
    async def made() -> AsyncIterator[SQLCheckpointer]:
        with make() as saver:  # it is the same object for both
            yield saver

    return made


@dataclass(frozen=True)
class Variant:
    """What stands for LangGraph's savers."""

    synchronous: Callable[[], AbstractContextManager[SQLCheckpointer]]
    asynchronous: Callable[[], AbstractAsyncContextManager[SQLCheckpointer]]


VARIANTS = {
    "sqlite": Variant(sqlite, _as_asynchronous(sqlite)),
    "postgresql": Variant(postgresql, _as_asynchronous(postgresql)),
    "engine": Variant(engine, asynchronous_engine),
}
