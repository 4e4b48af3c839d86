"""Runs that have become due: an approval was decided, an event or a deadline ended a wait, a person resolved an attempt.

Anyone who resumes run later (`interlock.engines`) is told in the transaction in which that happened, and writes its job in it: the job
is there when the decision is, and not otherwise.
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
    """What made it due, regardless of who looks: `wait/…`, `approval/…` or `attempt/…`."""
    inside: bool = False
    """Whether the workflow runs inside another graph, whose thread it is."""


WhenDue = Callable[[Connection, Due], None]
"""Told of a run that is due, in the transaction that makes it so; what it raises undoes that transaction."""


def see_that_it_joins(database: Database, connection: object) -> None:
    """See that work on a database can be done in a transaction of the application's own.

    Args:
        database: The database of the workflow store.
        connection: The application's connection.

    Raises:
        InputError: It is no connection of SQLAlchemy's to this database, has no transaction, or would not encrypt what is kept.
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


__all__ = ["Due", "WhenDue", "see_that_it_joins"]
