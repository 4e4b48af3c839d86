"""Counting what models use: each row is locked while it is decided whether one more call fits, so that two never take the same rest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tables.budgets import budgets
from ..sql.insert import insert_or_ignore


@dataclass(frozen=True)
class Account:
    """One row: a budget, and what it is counted over."""

    scope: str
    budget: str
    began_at: int
    """When its period began, in microseconds since 1970 UTC; 0 where it has none."""
    workflow_id: str | None = None
    """Of an instance or a turn: whose it is, so that it goes with it."""


@dataclass(frozen=True)
class Balance:
    """What was used, and what was added."""

    spent: int = 0
    raised: int = 0


def scope_of(*parts: str) -> str:
    """What an account is known by that belongs to no instance alone: a digest, which says nothing of whom it is about."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def locked(connection: Connection, accounts: Sequence[Account], now: int) -> list[Balance]:
    """Lock the rows of accounts, made where there are none, and read them; in one order, so that two never wait for each other.

    Args:
        connection: In a write transaction.
        accounts: Which.
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
    """What is counted of an account; nothing where there is no row."""
    return _read(connection, account, lock=False) or Balance()


def add(connection: Connection, account: Account, *, spent: int = 0, raised: int = 0, now: int) -> None:
    """Add to an account; a row that is gone, with its instance or its period, stays gone."""
    statement = sa.update(budgets).where(_is(account))
    connection.execute(
        statement.values(spent=budgets.c.spent + spent, raised=budgets.c.raised + raised, changed_at=now)
    )


def _read(connection: Connection, account: Account, *, lock: bool) -> Balance | None:
    statement = sa.select(budgets.c.spent, budgets.c.raised).where(_is(account))
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return None if row is None else Balance(int(row[0]), int(row[1]))


def _forget_before(connection: Connection, account: Account) -> None:
    """Delete the periods that are over. One before the last is enough: a clock never goes back by a period."""
    same = sa.and_(budgets.c.scope == account.scope, budgets.c.budget == account.budget)
    connection.execute(sa.delete(budgets).where(same, budgets.c.began_at < account.began_at))


def _is(account: Account) -> sa.ColumnElement[bool]:
    return sa.and_(
        budgets.c.scope == account.scope,
        budgets.c.budget == account.budget,
        budgets.c.began_at == account.began_at,
    )


__all__ = ["Account", "Balance", "add", "balance", "locked", "scope_of"]
