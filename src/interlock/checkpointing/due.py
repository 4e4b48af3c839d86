"""Notifies listeners of due runs: an approval was decided, an event or a deadline ended a wait, a person resolved an attempt.

Listeners that resume runs later (`interlock.engines`) write their job in the same transaction, so that the job exists exactly if the
decision does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import URL, Connection

from ..tools.errors import InputError
from .database import Database
from .vault import vault_of


@dataclass(frozen=True)
class Due:
    """One run that can continue."""

    workflow: str
    workflow_id: str
    tenant: str
    thread_id: str
    cause: str
    """The cause, independent of the observer: `wait/…`, `approval/…` or `attempt/…`."""
    inside: bool = False
    """Whether the workflow runs inside another graph, which owns the thread."""


WhenDue = Callable[[Connection, Due], None]
"""A listener for a due run, called in the transaction that makes it due; an error rolls back that transaction."""


def check_can_join(database: Database, connection: object) -> None:
    """Check that work on a database can join a transaction of the application.

    Args:
        database: The database of the workflow store.
        connection: The application's connection.

    Raises:
        InputError: It is not a SQLAlchemy connection to this database, has no transaction, or would not encrypt protected columns.
    """
    problem = None
    if not isinstance(connection, Connection):
        problem = f"it is a {type(connection).__name__}; give a SQLAlchemy Connection (of an AsyncConnection, within `run_sync`)"
    elif not connection.in_transaction():
        problem = "it is in no transaction; call it within `with connection.begin():`"
    elif _named(connection.engine.url) != _named(database.engine.url):
        problem = "it is connected to another database than the workflow store"
    elif vault_of(connection.dialect) is not database.vault:
        problem = "its engine does not encrypt as the workflow store does; take one of `store.write()`"
    elif (connection.get_execution_options().get("schema_translate_map") or {}).get(None) != database.schema:
        problem = "the workflow store's tables are in another schema; take one of `store.write()`"
    if problem is not None:
        raise InputError(f"The given connection cannot be used: {problem}. Nothing was done.", code="connection")


def _named(url: URL) -> tuple[object, ...]:
    backend = url.get_backend_name()
    host = {"localhost": "127.0.0.1", None: "127.0.0.1"}.get(url.host, url.host)
    port = url.port or {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}.get(backend)
    return backend.replace("mariadb", "mysql"), host, port, url.database


__all__ = ["Due", "WhenDue", "check_can_join"]
