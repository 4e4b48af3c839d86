"""Prevents a tool's body from ending its transaction, because a commit by the body could not be rolled back."""

import re
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection

from ...tools.errors import ContextError

_ENDS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|;)*"
    r"(?:COMMIT|END|ABORT|BEGIN|START\s+TRANSACTION|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b",
    re.IGNORECASE | re.DOTALL,
)
_COMMITS_ON_MYSQL = re.compile(
    r"\s*(?:CREATE(?!\s+TEMPORARY)|ALTER|DROP(?!\s+TEMPORARY)|TRUNCATE|RENAME|GRANT|REVOKE|LOCK\s+TABLES|SET\s+autocommit)\b",
    re.IGNORECASE,
)


def guard(connection: Connection) -> None:
    """Refuse operations that would end the transaction of a connection."""
    event.listen(connection, "commit", _refuse)
    event.listen(connection, "before_cursor_execute", _look)


def unguard(connection: Connection) -> None:
    """Allow the owner to end the transaction again."""
    event.remove(connection, "commit", _refuse)
    event.remove(connection, "before_cursor_execute", _look)


def _look(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    on_mysql = connection.dialect.name in {"mysql", "mariadb"}
    if _ENDS.match(statement) or (on_mysql and _COMMITS_ON_MYSQL.match(statement)):
        _refuse(connection)


def _refuse(_connection: Connection) -> None:
    raise ContextError(
        "The tool would have ended the transaction that it was given: neither commit() nor rollback() is called in it, no statement that "
        "begins or ends one is run, and on MySQL and MariaDB no statement that commits implicitly, such as CREATE TABLE. Nothing of this call was kept; to undo everything "
        "that the tool wrote, raise interlock.Refused, and to undo a part, use begin_nested()."
    )


__all__ = ["guard", "unguard"]
