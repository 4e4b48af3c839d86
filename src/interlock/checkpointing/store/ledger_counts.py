"""Counters over the ledger for limits and spending caps, so that a query costs the same whatever the number of entries.

A counter belongs to one instance, principal or tenant, to one tool, and to one argument if that is summed. The first policy that needs
a counter creates it from the ledger. From then on every command that writes a counted entry updates it in the transaction of the entry,
whether or not its own workflow has a counting policy. So a counter's row is also the lock that serializes two transactions which would
both be the last one allowed, and a transaction with an older snapshot cannot overwrite it, whatever its isolation level.

The number of executions of a tool in an instance (`carried_out` for policies) is a separate counter of completed entries only.

A policy with a period needs a counter over time: its value after each entry is stored too, and the count of the period is the current
value minus the value at the start of the period.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Connection

from ...tools.canonical import JsonObject, amount_in
from ..statements import Call, Prepared
from ..tables.workflow import counted, counters, ledger
from .ledger import LedgerEntry, LedgerStatus
from .sql.json_text import read_json

_COUNTED = (LedgerStatus.COMPLETED, LedgerStatus.STARTED, LedgerStatus.UNKNOWN)
"""Effects in progress or with an unknown outcome count too, because otherwise they could exceed a limit."""
_COMPLETED = ".completed"
"""The pseudo-field of counters of completed entries; no summed argument has a name that starts with a dot."""
_LONGEST_FIELD = 255
_PRECISE = Context(prec=200, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Amounts are arbitrary numbers from callers, and summing them must not fail."""


class Tally(NamedTuple):
    """The value of a counter."""

    number: int = 0
    """The number of entries."""
    total: Decimal = Decimal(0)
    """The sum of their amounts; a negative amount adds nothing."""
    unreadable: int = 0
    """The number of entries whose field is not an amount."""

    def plus(self, other: "Tally", times: int = 1) -> "Tally":
        """The sum of both, or with `times=-1` the difference."""
        return Tally(
            self.number + times * other.number,
            _PRECISE.add(self.total, _PRECISE.multiply(times, other.total)),
            self.unreadable + times * other.unreadable,
        )


@dataclass(frozen=True)
class Scope:
    """The scope of a counter."""

    tenant: str
    tools: frozenset[str]
    workflow_id: str | None = None
    """Only entries of one instance."""
    principal_id: str | None = None
    """Only entries proposed by one principal."""
    since: int | None = None
    """Microseconds since 1970 UTC."""

    @property
    def name(self) -> str:
        """The stored name of its counters."""
        return self.workflow_id or _digest(self.tenant, self.principal_id)

    def holds(self, entry: LedgerEntry) -> bool:
        """Whether an entry counts here."""
        return (
            entry.status in _COUNTED
            and (entry.tenant, entry.tool in self.tools) == (self.tenant, True)
            and self.workflow_id in {None, entry.workflow_id}
            and self.principal_id in {None, entry.principal_id}
            and (self.since is None or entry.started_at > self.since)
        )

    def select(self, *columns: Any, statuses: Iterable[LedgerStatus] = _COUNTED) -> sa.Select[Any]:
        """A query for some columns of the counted entries, the oldest first."""
        statement = sa.select(*columns).where(
            ledger.c.tenant == self.tenant,
            ledger.c.tool.in_(sorted(self.tools)),
            ledger.c.status.in_([status.value for status in statuses]),
        )
        if self.workflow_id is not None:
            statement = statement.where(ledger.c.workflow_id == self.workflow_id)
        if self.principal_id is not None:
            statement = statement.where(ledger.c.principal_id == self.principal_id)
        if self.since is not None:
            statement = statement.where(ledger.c.started_at > self.since)
        return statement.order_by(ledger.c.started_at)


def count(connection: Connection, scope: Scope, field: str = "", *, keep: bool = True) -> Tally:
    """Count the entries, and sum a field of their arguments if given.

    Args:
        connection: The transaction of the judgement. Concurrent users of the same counter wait for its end.
        scope: The scope.
        field: The argument, as a dotted path for a nested one.
        keep: Whether a missing counter may be created; not in a read-only transaction.
    """
    found = Tally()
    for tool in sorted(scope.tools):
        one = dataclasses.replace(scope, tools=frozenset({tool}))
        is_kept = len(field) <= _LONGEST_FIELD and not field.startswith(".")
        counter = _counter(connection, one, tool, field, keep=keep) if is_kept else None
        if counter is None:
            found = found.plus(_from_ledger(connection, one, field))
            continue
        found = found.plus(counter.tally)
        if scope.since is not None:
            key = {"scope": counter.scope, "tool": tool, "field": field, "since": scope.since}
            row = _before.first(connection, key)
            found = found if row is None else found.plus(_tally(row), -1)
    return found


def completed(connection: Connection, *, tenant: str, workflow_id: str, tool: str, keep: bool = True) -> int:
    """Count the completed executions of a tool in an instance, without those in progress or with an unknown outcome.

    Args:
        connection: As for `count`.
        tenant: The tenant of the instance.
        workflow_id: The instance.
        tool: The tool.
        keep: As for `count`.
    """
    scope = Scope(tenant=tenant, tools=frozenset({tool}), workflow_id=workflow_id)
    counter = _counter(connection, scope, tool, _COMPLETED, keep=keep)
    return (_completed_in_ledger(connection, scope) if counter is None else counter.tally).number


def arguments(connection: Connection, scope: Scope) -> Iterator[tuple[tuple[str, str], JsonObject]]:
    """The instance, key and arguments of each entry, with sensitive values masked."""
    statement = scope.select(ledger.c.workflow_id, ledger.c.idempotency_key, ledger.c.arguments)
    for workflow_id, key, text in connection.execute(statement):
        yield (workflow_id, key), read_json(str(text))


def keeping(connection: Connection, entered: Iterable[tuple[LedgerEntry | None, LedgerEntry]], now: int) -> list[Call]:
    """The statements that update the existing counters for entries that are about to be written."""
    changes: list[tuple[LedgerEntry, int, int]] = []
    for before, after in entered:
        times, done = _change(before, after, _COUNTED), _change(before, after, (LedgerStatus.COMPLETED,))
        if times or done:
            changes.append((before if before is not None and times < 0 else after, times, done))
    changes.sort(key=lambda change: change[1])  # subtractions first, because they change existing rows
    kept: dict[tuple[str, str, str], _Counter] = {}
    rows: list[Call] = []
    for entry, counted_times, done in changes:
        for read in _for_entry(connection, entry, of_instance=not counted_times):
            counter = kept.get(read.key, read)
            of_completed = counter.field == _COMPLETED
            times = done if of_completed else counted_times
            if not times:
                continue
            tally = counter.tally.plus(_of(entry.arguments, "" if of_completed else counter.field), times)
            last_at = counter.last_at
            if counter.by_time and times > 0:
                # In the order of counting, independent of the clock.
                last_at = max(now, last_at + 1)
                rows.append(_insert_counted.given(counter.identity | _columns(tally) | _entry(entry) | {"at": last_at}))
            elif counter.by_time:
                _take_back(connection, counter, entry)
            kept[read.key] = counter._replace(tally=tally, last_at=last_at)
    return [*(counter.writing() for counter in kept.values()), *rows]


def _change(before: LedgerEntry | None, after: LedgerEntry, statuses: Iterable[LedgerStatus]) -> int:
    """1 if the change makes an entry count, -1 if it no longer counts."""
    return (after.status in statuses) - (before is not None and before.status in statuses)


class _Counter(NamedTuple):
    scope: str
    tool: str
    field: str
    tally: Tally
    by_time: bool
    last_at: int

    @property
    def key(self) -> tuple[str, str, str]:
        return self.scope, self.tool, self.field

    @property
    def identity(self) -> dict[str, Any]:
        return {"scope": self.scope, "tool": self.tool, "field": self.field}

    def writing(self) -> Call:
        identity = {f"by_{name}": value for name, value in self.identity.items()}
        return _update.given(identity | _columns(self.tally) | {"by_time": int(self.by_time), "last_at": self.last_at})


def _counter(connection: Connection, scope: Scope, tool: str, field: str, *, keep: bool) -> _Counter | None:
    """Lock a counter until the end of the transaction, and create a missing one; None if it may not be created."""
    key = {"scope": scope.name, "tool": tool, "field": field}
    by_time = scope.since is not None
    if not keep:
        row = _select.first(connection, key)
        found = None if row is None else _read(row)
        return None if found is None or (by_time and not found.by_time) else found
    # On MySQL a locking read of a missing row would lock the gap for other inserts, so insert it first.
    row = None if _is_mysql(connection) else _select_locked.first(connection, key)
    if row is None:
        _put.execute(connection, key)
        row = _select_locked.first(connection, key)
        assert row is not None  # noqa: S101 -- it was put there, and nobody takes any away from under its lock
    found = _read(row)
    if found.tally.number >= 0 and (found.by_time or not by_time):
        return found
    return _made(connection, scope, found._replace(by_time=by_time))


def _made(connection: Connection, scope: Scope, counter: _Counter) -> _Counter:
    """Compute the initial value from the ledger."""
    entire = dataclasses.replace(scope, since=None)
    if counter.field == _COMPLETED:
        counter = counter._replace(tally=_completed_in_ledger(connection, entire))
    elif not counter.by_time:
        counter = counter._replace(tally=_from_ledger(connection, entire, counter.field))
    else:
        tally, at, rows = Tally(), 0, []
        columns = (ledger.c.started_at, ledger.c.arguments, ledger.c.workflow_id, ledger.c.idempotency_key)
        for moment, text, workflow_id, key in connection.execute(entire.select(*columns)):
            tally, at = tally.plus(_of(read_json(str(text)), counter.field)), max(int(moment), at + 1)
            whose = {"workflow_id": workflow_id, "idempotency_key": key}
            rows.append(counter.identity | _columns(tally) | whose | {"at": at})
        _insert_counted.execute_many(connection, rows)
        counter = counter._replace(tally=tally, last_at=at)
    statement, parameters = counter.writing()
    statement.execute(connection, parameters)
    return counter


def _from_ledger(connection: Connection, scope: Scope, field: str) -> Tally:
    if not field:
        return _number(connection, scope, _COUNTED)
    return functools.reduce(lambda sum_, entry: sum_.plus(_of(entry[1], field)), arguments(connection, scope), Tally())


def _completed_in_ledger(connection: Connection, scope: Scope) -> Tally:
    return _number(connection, scope, (LedgerStatus.COMPLETED,))


def _number(connection: Connection, scope: Scope, statuses: Iterable[LedgerStatus]) -> Tally:
    statement = scope.select(sa.func.count(), statuses=statuses).order_by(None)
    return Tally(int(connection.execute(statement).scalar_one()))


def _for_entry(connection: Connection, entry: LedgerEntry, *, of_instance: bool) -> list[_Counter]:
    """Lock the counters of an entry, or only those of its instance."""
    run, somebody, whole = entry.workflow_id, _digest(entry.tenant, entry.principal_id), _digest(entry.tenant, None)
    names = {"run": run, "principal": somebody, "whole": whole, "tool": entry.tool}
    if of_instance:
        names |= {"principal": run, "whole": run}
    return [_read(row) for row in _select_for_entry.all(connection, names)]


def _take_back(connection: Connection, counter: _Counter, entry: LedgerEntry) -> None:
    """Subtract an entry that did not happen from all values since."""
    key = counter.identity | _entry(entry) | {"started_at": entry.started_at}
    for at, *row in _since.all(connection, key):
        tally = _tally(row).plus(_of(entry.arguments, counter.field), -1)
        identity = {f"by_{name}": value for name, value in counter.identity.items()} | {"by_at": at}
        _update_counted.execute(connection, identity | _columns(tally))


def _entry(entry: LedgerEntry) -> dict[str, Any]:
    return {"workflow_id": entry.workflow_id, "idempotency_key": entry.idempotency_key}


def _of(entry: JsonObject, field: str) -> Tally:
    """The contribution of one entry."""
    if not field:
        return Tally(1)
    amount = amount_in(entry, field)
    return Tally(1, unreadable=1) if amount is None else Tally(1, max(amount, Decimal(0)))


def _read(row: Sequence[Any]) -> _Counter:
    scope, tool, field, number, total, unreadable, by_time, last_at = row
    return _Counter(scope, tool, field, _tally((number, total, unreadable)), bool(by_time), int(last_at))


def _tally(row: Sequence[Any]) -> Tally:
    number, total, unreadable = row
    return Tally(int(number), Decimal(total), int(unreadable))


def _columns(tally: Tally) -> dict[str, Any]:
    return {"number": tally.number, "total": str(tally.total), "unreadable": tally.unreadable}


@functools.lru_cache(maxsize=1024)
def _digest(tenant: str, principal_id: str | None) -> str:
    whose = f"{len(tenant)}/{tenant}/" + ("*" if principal_id is None else f"/{principal_id}")
    return hashlib.sha256(whose.encode()).hexdigest()


def _is_mysql(connection: Connection) -> bool:
    return connection.dialect.name not in {"sqlite", "postgresql"}


_KEY = ("scope", "tool", "field")
_AMOUNTS = ("number", "total", "unreadable")


def _keyed(table: sa.Table, prefix: str = "") -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == sa.bindparam(prefix + name) for name in _KEY]


def _putting(dialect: str) -> Any:
    empty = {"number": -1, "total": "0", "unreadable": 0, "by_time": 0, "last_at": 0}
    values: dict[str, Any] = {name: sa.bindparam(name) for name in _KEY} | {
        name: sa.literal(value) for name, value in empty.items()
    }
    match dialect:
        case "sqlite":
            return sqlite.insert(counters).values(values).on_conflict_do_nothing()
        case "postgresql":
            return postgresql.insert(counters).values(values).on_conflict_do_nothing()
        case _:
            return mysql.insert(counters).values(values).on_duplicate_key_update(tool=counters.c.tool)


_put = Prepared(_putting)
_select = Prepared(sa.select(counters).where(*_keyed(counters)))
_select_locked = Prepared(sa.select(counters).where(*_keyed(counters)).with_for_update())
_select_for_entry = Prepared(
    sa.select(counters)
    .where(
        counters.c.scope.in_([sa.bindparam("run"), sa.bindparam("principal"), sa.bindparam("whole")]),
        counters.c.tool == sa.bindparam("tool"),
    )
    .order_by(counters.c.scope, counters.c.field)
    .with_for_update()
)
_update = Prepared(
    sa.update(counters)
    .where(*_keyed(counters, "by_"))
    .values({name: sa.bindparam(name) for name in (*_AMOUNTS, "by_time", "last_at")})
)
_before = Prepared(
    sa.select(*(counted.c[name] for name in _AMOUNTS))
    .where(*_keyed(counted), counted.c.at <= sa.bindparam("since"))
    .order_by(counted.c.at.desc())
    .limit(1)
)
_own = counted.alias("own")
_since = Prepared(
    sa.select(counted.c.at, *(counted.c[name] for name in _AMOUNTS)).where(
        *_keyed(counted),
        counted.c.at
        >= sa.select(sa.func.max(_own.c.at))
        .where(
            *(_own.c[name] == sa.bindparam(name) for name in (*_KEY, "workflow_id", "idempotency_key")),
            _own.c.at >= sa.bindparam("started_at"),
        )
        .scalar_subquery(),
    )
)
_insert_counted = Prepared(sa.insert(counted))
_update_counted = Prepared(
    sa.update(counted)
    .where(*_keyed(counted, "by_"), counted.c.at == sa.bindparam("by_at"))
    .values({name: sa.bindparam(name) for name in _AMOUNTS})
)


def erase(connection: Connection, workflow_id: str) -> None:
    """Delete the counters of one instance. Those of its tenant and principals keep their values, so that erasing resets no limit."""
    for table in (counted, counters):
        connection.execute(sa.delete(table).where(table.c.scope == workflow_id))


__all__ = ["Scope", "Tally", "arguments", "completed", "count", "erase", "keeping"]
