"""Counting in the ledger, for limits over many workflow instances."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject
from ..tables.workflow import ledger, turns
from .ledger import LedgerStatus

_COUNTED = [LedgerStatus.COMPLETED.value, LedgerStatus.STARTED.value, LedgerStatus.UNKNOWN.value]
"""Effects that are under way, or may have happened, count as well: a limit that let them pass would be none."""


@dataclass(frozen=True)
class Scope:
    """Which entries are counted."""

    tenant: str
    tools: frozenset[str]
    workflow_id: str | None = None
    """Those of one instance only."""
    principal_id: str | None = None
    """Those that one principal proposed only."""
    since: int | None = None
    """Microseconds since 1970 UTC."""
    but: tuple[str, str] | None = None
    """Not the entry of this instance under this idempotency key."""

    def select(self, *columns: Any) -> sa.Select[Any]:
        """The statement that reads some columns of them."""
        statement = sa.select(*columns).where(
            ledger.c.tenant == self.tenant, ledger.c.tool.in_(sorted(self.tools)), ledger.c.status.in_(_COUNTED)
        )
        if self.workflow_id is not None:
            statement = statement.where(ledger.c.workflow_id == self.workflow_id)
        if self.principal_id is not None:
            statement = statement.where(ledger.c.principal_id == self.principal_id)
        if self.since is not None:
            statement = statement.where(ledger.c.started_at > self.since)
        if self.but is not None:
            workflow_id, key = self.but
            statement = statement.where(sa.or_(ledger.c.workflow_id != workflow_id, ledger.c.idempotency_key != key))
        return statement


def count(connection: Connection, scope: Scope) -> int:
    """How many entries there are."""
    return int(connection.execute(scope.select(sa.func.count())).scalar_one())


def arguments(connection: Connection, scope: Scope) -> Iterator[JsonObject]:
    """The arguments of each entry, without what is sensitive."""
    for (text,) in connection.execute(scope.select(ledger.c.arguments)):
        yield json.loads(str(text))


def take_turn(connection: Connection, name: str) -> None:
    """Wait until every other transaction that counts the same has ended; on SQLite there is only one writer anyway."""
    key = hashlib.sha256(name.encode()).hexdigest()
    if connection.dialect.name == "postgresql":
        insert = postgresql.insert(turns).values(name=key)
        connection.execute(insert.on_conflict_do_update(index_elements=[turns.c.name], set_={"name": key}))
    elif connection.dialect.name in {"mysql", "mariadb"}:
        connection.execute(mysql.insert(turns).values(name=key).on_duplicate_key_update(name=key))


__all__ = ["Scope", "arguments", "count", "take_turn"]
