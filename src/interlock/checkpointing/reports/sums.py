"""Stored sums of old outcomes, so that the cost of `outcomes` does not grow with the history.

The sums of a workflow and tenant include every request up to a moment, and the outcomes of those settled by then. Newer ones are
read from the rows with two indexes: new requests, and requests settled since. If there are many, the reader adds them to the sums.
Requests and decisions themselves never write sums.

Deleting an instance deletes the sums; they are recomputed from the remaining rows.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..store.sql.insert import insert_or_ignore
from ..tables.outcomes import outcomes
from ..tables.workflow import approvals
from ..vault import check_place, placed
from .tallies import Decided, Tally

SETTLES_MICROSECONDS = 3_600_000_000
"""Requests of the last hour are not added, because transactions that wrote them may still be open."""
WORTH = 1_000
"""The number of requests missing from the sums that triggers adding them."""
AT_ONCE = 10_000
"""The number of requests added per transaction: a long one would delay the server's vacuum, or be ended by a timeout."""
_EVERYBODY = ""
Place = tuple[str, str]
"""A tool and a state."""


@dataclass
class Sums:
    """The stored sums of a workflow's outcomes, for one tenant or for all."""

    up_to: int = 0
    """Microseconds since 1970 UTC."""
    requested: Counter[Place] = field(default_factory=Counter)
    """Requests not settled by then."""
    each: dict[tuple[str, str, str | None], Tally] = field(default_factory=dict)
    """Every decision, by tool, state and approver; None for requests without a decision."""
    last: dict[Place, Tally] = field(default_factory=dict)
    """Only the last decision of each request."""

    def add(self, found: Iterable[Decided], since: int) -> None:
        """Add the decisions of some requests, in their order.

        Args:
            found: Decisions of requests up to `up_to`. Requests that were not settled by then count as requested.
            since: The previous value of `up_to`.
        """
        for _, some in groupby(found, key=lambda one: one.approval["approval_id"]):
            decided = [*some]
            approval = decided[0].approval
            place: Place = approval["tool"], approval["state"]
            if approval["requested_at"] > since:
                self.requested[place] += 1
            if approval["settled_at"] is None or approval["settled_at"] > self.up_to:
                continue
            self.requested[place] -= 1
            self.last.setdefault(place, Tally()).count(decided[-1])
            for one in decided:
                self.each.setdefault((*place, one.approver), Tally()).count(one)

    def grouped(self, by: Sequence[str], tools: Sequence[str] | None) -> Iterator[tuple[tuple[Any, ...], Tally]]:
        """The tallies, each with its group."""
        pending = [
            ((*place, None), Tally(Counter(pending=number))) for place, number in self.requested.items() if number
        ]
        settled: Iterable[tuple[tuple[Any, ...], Tally]] = self.each.items()
        if "approver" not in by:
            settled = [((*place, None), tally) for place, tally in self.last.items()]
        for (tool, state, approver), tally in [*settled, *pending]:
            if tools is None or tool in tools:
                yield tuple({"tool": tool, "state": state, "approver": approver}[name] for name in by), tally

    def to_json(self) -> str:
        """The sums as JSON text."""
        return json.dumps({
            "requested": [[*place, number] for place, number in self.requested.items() if number],
            "each": [[*key, tally.kept()] for key, tally in self.each.items()],
            "last": [[*key, tally.kept()] for key, tally in self.last.items()],
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str, up_to: int) -> "Sums":
        """Parse stored sums."""
        kept = json.loads(text)
        requested = Counter({(tool, state): int(number) for tool, state, number in kept["requested"]})
        each = {(tool, state, approver): Tally.of(tally) for tool, state, approver, tally in kept["each"]}
        return cls(up_to, requested, each, {(tool, state): Tally.of(tally) for tool, state, tally in kept["last"]})


def load(connection: Connection, workflow: str, tenant: str | None, *, lock: bool = False) -> Sums | None:
    """Load the stored sums, or None."""
    if tenant == _EVERYBODY:
        return None
    key = {"workflow": workflow, "tenant": _EVERYBODY if tenant is None else tenant}
    columns = outcomes.c
    statement = sa.select(columns.added_up_to, columns.sums).where(*(columns[name] == key[name] for name in key))
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    if row is None:
        return None
    check_place(outcomes, {**key, "sums": row.sums})
    return Sums.from_json(row.sums, int(row.added_up_to)) if row.sums else Sums()


def begin(connection: Connection, workflow: str, tenant: str | None) -> Sums | None:
    """Load and lock the stored sums, or create empty ones; None if they cannot be stored."""
    if tenant == _EVERYBODY:
        return None
    _begin(connection, workflow, _EVERYBODY if tenant is None else tenant)
    return load(connection, workflow, tenant, lock=True)


def save(connection: Connection, workflow: str, tenant: str | None, sums: Sums) -> None:
    """Store sums whose row is locked."""
    values = {"workflow": workflow, "tenant": _EVERYBODY if tenant is None else tenant, "sums": sums.to_json()}
    placed(outcomes, values)
    here = sa.and_(outcomes.c.workflow == values["workflow"], outcomes.c.tenant == values["tenant"])
    connection.execute(sa.update(outcomes).where(here).values(added_up_to=sums.up_to, sums=values["sums"]))


def forget(connection: Connection, workflow: str, tenant: str) -> None:
    """Delete the sums that may include requests of this tenant, before its rows are deleted, in the same transaction.

    Creates a missing row first, so that its lock serializes this with concurrent additions.
    """
    for one in sorted({_EVERYBODY, tenant}):
        _begin(connection, workflow, one)
        connection.execute(sa.delete(outcomes).where(outcomes.c.workflow == workflow, outcomes.c.tenant == one))


def _begin(connection: Connection, workflow: str, tenant: str) -> None:
    empty = placed(outcomes, {"workflow": workflow, "tenant": tenant, "added_up_to": 0, "sums": Sums().to_json()})
    insert_or_ignore(connection, outcomes, empty)


def since(sums: Sums, workflow: str, tenant: str | None, *, up_to: int | None = None) -> sa.ColumnElement[bool]:
    """The requests that the sums lack or have with an old status: new ones, and those settled since.

    Args:
        sums: The stored sums.
        workflow: The workflow.
        tenant: The tenant; None for everybody.
        up_to: Only requests made or settled up to then.
    """
    return approvals.c.approval_id.in_(sa.union_all(*_since(sums, workflow, tenant, up_to)))


def _since(sums: Sums, workflow: str, tenant: str | None, up_to: int | None) -> list[sa.Select[Any]]:
    """The ids of new requests, and of those settled since."""
    columns = approvals.c
    ids: list[sa.Select[Any]] = []
    for moment in (columns.requested_at, columns.settled_at):
        some = sa.select(columns.approval_id).where(columns.workflow == workflow, moment > sums.up_to)
        if tenant is not None:
            some = some.where(columns.tenant == tenant)
        if up_to is not None:
            some = some.where(moment <= up_to, columns.requested_at <= up_to)
        ids.append(some)
    return ids


def are_many_since(connection: Connection, sums: Sums, workflow: str, tenant: str | None, up_to: int) -> bool:
    """Whether the sums lack so many requests up to then that adding them is worthwhile."""
    for ids in _since(sums, workflow, tenant, up_to):
        number = sa.select(sa.func.count()).select_from(ids.limit(WORTH).subquery())
        if connection.execute(number).scalar_one() >= WORTH:
            return True
    return False


def some_up_to(connection: Connection, sums: Sums, workflow: str, tenant: str | None, most: int) -> int:
    """The end of the next addition: some requests further, but at most `most`."""
    columns = approvals.c
    next_ones = sa.select(columns.requested_at).where(columns.workflow == workflow, columns.requested_at > sums.up_to)
    if tenant is not None:
        next_ones = next_ones.where(columns.tenant == tenant)
    last = connection.execute(next_ones.order_by(columns.requested_at).offset(AT_ONCE - 1).limit(1)).scalar()
    return most if last is None else min(most, int(last))


__all__ = [
    "AT_ONCE",
    "SETTLES_MICROSECONDS",
    "WORTH",
    "Sums",
    "are_many_since",
    "begin",
    "forget",
    "load",
    "save",
    "since",
    "some_up_to",
]
