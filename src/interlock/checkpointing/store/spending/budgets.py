"""Counts the usage of budgets: a row is locked while a call is reserved, so that two calls never reserve the same remainder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tables.budgets import budgets
from ..sql.insert import insert_or_ignore


@dataclass(frozen=True)
class Account:
    """One row: a budget and its scope."""

    scope: str
    budget: str
    began_at: int
    """The start of its period, in microseconds since 1970 UTC; 0 without a period."""
    workflow_id: str | None = None
    """The instance of an instance's or turn's account, which is deleted with it."""


@dataclass(frozen=True)
class Balance:
    """The used amount and the added amount."""

    spent: int = 0
    raised: int = 0


def scope_of(*parts: str) -> str:
    """The key of an account that is not of a single instance: a digest, which does not reveal its subject."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def locked(connection: Connection, accounts: Sequence[Account], now: int) -> list[Balance]:
    """Lock the rows of accounts and read them; creates missing ones, and uses a fixed order to prevent deadlocks.

    Args:
        connection: In a write transaction.
        accounts: The accounts.
        now: Microseconds since 1970 UTC.
    """
    found: dict[Account, Balance] = {}
    for account in sorted(accounts, key=lambda one: (one.scope, one.budget, one.began_at)):
        row = _read(connection, account, lock=True)
        if row is None:
            values = {**account.__dict__, "spent": 0, "raised": 0, "changed_at": now}
            insert_or_ignore(connection, budgets, values)
            row = _read(connection, account, lock=True)
            _forget_before(connection, account)
        found[account] = row or Balance()
    return [found[account] for account in accounts]


def balance(connection: Connection, account: Account) -> Balance:
    """The balance of an account; zero without a row."""
    return _read(connection, account, lock=False) or Balance()


def add(connection: Connection, account: Account, *, spent: int = 0, raised: int = 0, now: int) -> None:
    """Add to an account; does nothing if its row was deleted with its instance or period."""
    statement = sa.update(budgets).where(_is(account))
    connection.execute(
        statement.values(spent=budgets.c.spent + spent, raised=budgets.c.raised + raised, changed_at=now)
    )


def _read(connection: Connection, account: Account, *, lock: bool) -> Balance | None:
    statement = sa.select(budgets.c.spent, budgets.c.raised).where(_is(account))
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return None if row is None else Balance(int(row[0]), int(row[1]))


def _forget_before(connection: Connection, account: Account) -> None:
    """Delete the rows of earlier periods, when the first call of a new period creates its row."""
    same = sa.and_(budgets.c.scope == account.scope, budgets.c.budget == account.budget)
    connection.execute(sa.delete(budgets).where(same, budgets.c.began_at < account.began_at))


def _is(account: Account) -> sa.ColumnElement[bool]:
    return sa.and_(
        budgets.c.scope == account.scope,
        budgets.c.budget == account.budget,
        budgets.c.began_at == account.began_at,
    )


__all__ = ["Account", "Balance", "add", "balance", "locked", "scope_of"]
