"""Delegations in SQL: a person names somebody who decides for them for a span of time."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ....tools.canonical import JsonObject
from ....tools.events import moment_of, timestamp
from ...statements import Prepared
from ...tables.delegations import delegations


@dataclass(frozen=True)
class Delegation:
    """One person decides for another one for a span of time."""

    delegation_id: str
    tenant: str
    person: str
    """Who is away."""
    delegate: str
    """Who decides for them."""
    begins_at: int
    """Microseconds since 1970 UTC, as the others."""
    ends_at: int
    made_at: int
    ended_at: int | None
    """When the person ended it before its time."""

    def is_in_force(self, now: int) -> bool:
        """Whether the delegate may decide now."""
        return self.ended_at is None and self.begins_at <= now < self.ends_at

    def to_json(self) -> JsonObject:
        """The delegation as it is on the wire."""
        return {
            "delegationId": self.delegation_id,
            "person": self.person,
            "delegate": self.delegate,
            "from": timestamp(moment_of(self.begins_at)),
            "until": timestamp(moment_of(self.ends_at)),
            "endedAt": None if self.ended_at is None else timestamp(moment_of(self.ended_at)),
        }


_COLUMNS = [column.name for column in delegations.columns]
_insert = Prepared(sa.insert(delegations))


def insert(connection: Connection, delegation: Delegation) -> None:
    """Write a new delegation."""
    _insert.execute(connection, dict(delegation.__dict__))


def end(connection: Connection, delegation_id: str, *, tenant: str, person: str, now: int) -> bool:
    """End a person's delegation before its time; False if the person has no open delegation with this id."""
    if not isinstance(delegation_id, str) or not (delegation_id.isascii() and delegation_id.isprintable()):
        return False  # databases refuse some texts with errors of their own
    statement = (
        sa.update(delegations)
        .where(
            delegations.c.delegation_id == delegation_id,
            delegations.c.tenant == tenant,
            delegations.c.person == person,
            delegations.c.ended_at.is_(None),
            delegations.c.ends_at > now,
        )
        .values(ended_at=now)
    )
    return connection.execute(statement).rowcount == 1


def of_people(connection: Connection, tenant: str, people: Collection[str], now: int) -> list[Delegation]:
    """The delegations of these people that are in force now, in a fixed order."""
    if not people:
        return []
    columns = delegations.c
    statement = (
        sa.select(delegations)
        .where(columns.tenant == tenant, columns.person.in_(sorted(people)), columns.ends_at > now)
        .order_by(columns.person, columns.begins_at, columns.delegation_id)
    )
    return [one for one in map(_from_row, connection.execute(statement)) if one.is_in_force(now)]


def of_delegate(connection: Connection, tenant: str, delegate: str, now: int) -> frozenset[str]:
    """The people for whom a delegate decides now, by their own delegations."""
    columns = delegations.c
    statement = sa.select(columns.person).where(
        columns.tenant == tenant,
        columns.delegate == delegate,
        columns.begins_at <= now,
        columns.ends_at > now,
        columns.ended_at.is_(None),
    )
    return frozenset(connection.scalars(statement))


def listed(connection: Connection, tenant: str, *, now: int, person: str | None, limit: int) -> list[Delegation]:
    """The delegations of a tenant that are in force or begin later, those that end first at the beginning."""
    columns = delegations.c
    statement = (
        sa.select(delegations)
        .where(columns.tenant == tenant, columns.ends_at > now, columns.ended_at.is_(None))
        .order_by(columns.ends_at, columns.delegation_id)
        .limit(limit)
    )
    if person is not None:
        statement = statement.where(sa.or_(columns.person == person, columns.delegate == person))
    return [*map(_from_row, connection.execute(statement))]


def _from_row(row: sa.Row[tuple[object, ...]]) -> Delegation:
    return Delegation(**dict(zip(_COLUMNS, row, strict=True)))  # type: ignore[arg-type]


__all__ = ["Delegation", "end", "insert", "listed", "of_delegate", "of_people"]
