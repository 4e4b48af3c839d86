"""Detects a database that was restored from a backup: nothing runs or is published on it until an operator releases it.

A restored database lists work as pending that was done since the backup: events that were published, outside effects that
happened, and decisions that were made. The database alone cannot show that, so it is compared with facts outside it: the identity that
PostgreSQL reports, a name that the application gives each incarnation of the database, or a mark that an operator sets.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...tools.errors import InputError, StoreError, StoreHeld, StoreUnavailable
from ...tools.sinks import logger_of
from .. import clock
from ..connecting.engines import Dialect
from ..database import Database
from ..reasons import checked_reason
from ..store.sql.insert import insert_or_ignore
from ..tables.recovery import recovery
from ..tables.workflow import approvals, ledger, outbox, waits

logger = logger_of("interlock")

ENVIRONMENT = "INTERLOCK_INCARNATION"
"""The environment variable with the application's name for this incarnation of the database, used if the code gives none."""
SECONDS = 5.0
"""How long the result of a check is reused, so that most steps need no additional statement."""
_LONGEST = 255


@dataclass(frozen=True)
class Standing:
    """How the database stands.

    Attributes:
        held_since: Since when nothing is run or published, in microseconds since 1970 UTC; None where work continues.
        reason: Why it is held, or was last.
        resumed_at: When somebody last said that work may continue.
        resumed_by: Who.
        any_timeline: Whether a new timeline of PostgreSQL's alone does not hold it.
    """

    held_since: int | None
    reason: str | None
    resumed_at: int | None
    resumed_by: str | None
    any_timeline: bool


@dataclass(frozen=True)
class Left:
    """What a restored database would continue with.

    Attributes:
        events: In the outbox, to be published.
        unsettled: Effects outside that were in progress, or whose outcome is not known.
        approvals: Requests that nobody has decided yet.
        waits: Open waits, for events or deadlines.
    """

    events: int
    unsettled: int
    approvals: int
    waits: int


class Recovery:
    """Holds a database after a restored backup, and releases it.

    Args:
        database: Which.
        incarnation: What the application calls this life of the database; `INTERLOCK_INCARNATION` if not given.
        now: Seconds of a clock of this process, which says how old a look is.
    """

    def __init__(
        self, database: Database, *, incarnation: str | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        if incarnation is not None and not 0 < len(incarnation) <= _LONGEST:
            raise InputError(f"incarnation= has to have 1 to {_LONGEST} characters. Nothing was opened.")
        self._database = database
        self._incarnation = incarnation
        self._now = now
        self._looked_at: float | None = None

    def look_again(self) -> None:
        """Check at the next call in any case: a connection broke, and the next one may reach another server."""
        self._looked_at = None

    def refuse_held(self) -> None:
        """Refuse to continue on a database that is held.

        Raises:
            StoreHeld: A backup was restored, and no operator has released the database yet.
        """
        if self._looked_at is not None and self._now() - self._looked_at < SECONDS:
            return
        began = self._now()
        standing = self.standing()
        if standing.held_since is not None:
            raise _held(self._database, standing)
        self._looked_at = began

    def standing(self) -> Standing:
        """How the database stands, compared now with what stands outside it; it is held where that differs."""
        found, incarnation = _identity(self._database), self._named()
        with self._database.read() as connection:
            row = _row(connection)
        if row is None:
            with self._database.write() as connection:
                _put(connection, found, incarnation)
                row = _row(connection)
            assert row is not None  # noqa: S101 -- it was put there, or was there
        known: Mapping[str, str] = json.loads(row.identity)
        if row.held_since is None:
            reason = _difference(known, found, row.incarnation, incarnation, any_timeline=bool(row.any_timeline))
            if reason is not None:
                return self._hold(reason)
            named = row.incarnation or incarnation
            if (known, row.incarnation) != ({**known, **found}, named):
                with self._database.write() as connection:
                    changed = {"identity": json.dumps({**known, **found}), "incarnation": named}
                    connection.execute(sa.update(recovery).where(recovery.c.held_since.is_(None)).values(changed))
        return _standing(row)

    def mark_restored(self, reason: str = "a backup was restored") -> Standing:
        """Hold the database: say after a restore, before anything else is started, that it is one.

        Args:
            reason: What is said of it wherever work is refused.

        Raises:
            InputError: The reason is none that can be recorded.
        """
        reason = checked_reason(reason, "The reason for holding a database", otherwise="Nothing was changed.")
        self.standing()
        return self._hold(reason)

    def resume(self, *, by: str, any_timeline: bool | None = None) -> Standing:
        """Say that work may continue. What the server is now, and what the application calls it, counts from here on.

        Args:
            by: Who says so; recorded.
            any_timeline: From now on, whether a new timeline of PostgreSQL's alone does not hold the database. Say so only where a
                standby that takes over has every commit (synchronous replication). It stays as it is if not given.
        """
        if not 0 < len(by.strip()) <= _LONGEST:
            raise InputError("The release does not name the person who gives it. Nothing was changed.")
        self.standing()
        values: dict[str, Any] = {
            "identity": json.dumps(_identity(self._database)), "incarnation": self._named(), "held_since": None, "resumed_by": by.strip(),
        }  # fmt: skip
        if any_timeline is not None:
            values["any_timeline"] = int(any_timeline)
        with self._database.write() as connection:
            connection.execute(sa.update(recovery).values(**values, resumed_at=clock.read(connection)))
            row = _row(connection)
        assert row is not None  # noqa: S101 -- `standing` has put it there
        self.look_again()
        return _standing(row)

    def left(self) -> Left:
        """Count what would continue."""
        counted = {
            "events": (outbox, outbox.c.status == "pending"),
            "unsettled": (ledger, ledger.c.status.in_(["started", "unknown"])),
            "approvals": (approvals, approvals.c.status == "requested"),
            "waits": (waits, waits.c.status == "open"),
        }
        with self._database.read() as connection:
            return Left(
                **{
                    name: int(connection.scalar(sa.select(sa.func.count()).select_from(table).where(which)) or 0)
                    for name, (table, which) in counted.items()
                }
            )

    def _named(self) -> str | None:
        return self._incarnation or os.environ.get(ENVIRONMENT, "")[:_LONGEST] or None

    def _hold(self, reason: str) -> Standing:
        self.look_again()
        with self._database.write() as connection:
            held = {"held_since": clock.read(connection), "reason": reason}
            connection.execute(sa.update(recovery).where(recovery.c.held_since.is_(None)).values(held))
            row = _row(connection)
        assert row is not None  # noqa: S101 -- `standing` has put it there
        logger.warning("The database is held: %s", row.reason)
        return _standing(row)


def _difference(
    known: Mapping[str, str],
    found: Mapping[str, str],
    incarnation: str | None,
    given: str | None,
    *,
    any_timeline: bool,
) -> str | None:
    """What says that this is not the database that work last continued with; None where nothing does."""

    def differs(part: str) -> bool:
        return part in known and part in found and known[part] != found[part]

    if incarnation is not None and given is not None and incarnation != given:
        return f"this life of the database is called {given!r}, and was called {incarnation!r}"
    if differs("system"):
        return f"it is on the PostgreSQL cluster {found['system']}, and was on {known['system']}"
    if differs("table"):
        return "its tables were recreated, as when a dump is restored"
    if differs("timeline") and not any_timeline:
        return (
            f"PostgreSQL is on timeline {found['timeline']}, and was on {known['timeline']}: it was restored to a point in time, or a standby "
            "took over that may lack the last commits"
        )
    return None


def _identity(database: Database) -> dict[str, str]:
    """What the server says that a restored backup would not say: on PostgreSQL which cluster, timeline and table it is."""
    if database.dialect is not Dialect.POSTGRESQL:
        return {}
    name = ".".join(f'"{part}"' for part in (database.schema, recovery.name) if part)
    for parts in (_WHOLE, _TABLE):
        try:
            with database.read() as connection:
                row = connection.execute(sa.text(parts), {"name": name}).mappings().one()
        except StoreUnavailable:
            raise
        except StoreError:  # a hosted server may keep its control data to itself
            continue
        return {part: str(value) for part, value in row.items() if value is not None}
    return {}


_TABLE = 'SELECT CAST(CAST(to_regclass(:name) AS oid) AS text) AS "table"'
_WHOLE = """
SELECT CAST(CAST(to_regclass(:name) AS oid) AS text) AS "table",
  (SELECT CAST(system_identifier AS text) FROM pg_control_system()) AS system,
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline
"""


def _row(connection: Connection) -> Any:
    return connection.execute(sa.select(recovery)).first()


def _put(connection: Connection, identity: Mapping[str, str], incarnation: str | None) -> None:
    values = {"id": 1, "identity": json.dumps(identity), "incarnation": incarnation, "any_timeline": 0}
    insert_or_ignore(connection, recovery, values)


def _standing(row: Any) -> Standing:
    return Standing(row.held_since, row.reason, row.resumed_at, row.resumed_by, bool(row.any_timeline))


def _held(database: Database, standing: Standing) -> StoreHeld:
    where = database.engine.url.render_as_string(hide_password=True)
    return StoreHeld(
        f"The database {where} is held: {standing.reason}. Nothing was run or published, and reads still "
        "work. Work done since the backup might be repeated: compare the database with the outside "
        "world, then release it (`interlock db resume`).",
        details={"reason": standing.reason, "heldSince": standing.held_since},
    )


__all__ = ["ENVIRONMENT", "Left", "Recovery", "Standing"]
