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
    """Whether the database is held.

    Attributes:
        held_since: The time since when nothing is run or published, in microseconds since 1970 UTC; None if it is not held.
        reason: The reason of the current or the last hold.
        resumed_at: The time of the last release.
        resumed_by: The operator who released it.
        any_timeline: Whether the database is not held if only its PostgreSQL timeline is new.
    """

    held_since: int | None
    reason: str | None
    resumed_at: int | None
    resumed_by: str | None
    any_timeline: bool


@dataclass(frozen=True)
class Left:
    """The work that a restored database would continue.

    Attributes:
        events: Unpublished events in the outbox.
        unsettled: Outside effects that were in progress, or whose outcome is unknown.
        approvals: Undecided requests.
        waits: Open waits, for events or deadlines.
    """

    events: int
    unsettled: int
    approvals: int
    waits: int


class Recovery:
    """Holds a database after a restored backup, and releases it.

    Args:
        database: The database.
        incarnation: The application's name for this incarnation of the database; by default `INTERLOCK_INCARNATION`.
        now: A monotonic clock in seconds, which limits how long the result of a check is reused.
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
        """Compare the database with the facts outside it now, and hold it if they differ."""
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
        """Hold the database. Call this after a restore, before anything else is started.

        Args:
            reason: Quoted wherever work is refused.

        Raises:
            InputError: The reason cannot be recorded.
        """
        reason = checked_reason(reason, "The reason for holding a database", otherwise="Nothing was changed.")
        self.standing()
        return self._hold(reason)

    def resume(self, *, by: str, any_timeline: bool | None = None) -> Standing:
        """Release the database. Later checks compare with the current identity of the server and the current incarnation.

        Args:
            by: The operator, for the record.
            any_timeline: Whether the database is not held from now on if only its PostgreSQL timeline is new. Set it only if a standby that
                takes over has every commit (synchronous replication). By default it does not change.
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
        """Count the work that would continue."""
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
    """The reason to believe that this is not the database on which work last continued; None if there is none."""

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
    """The facts of the server that differ after a restore: on PostgreSQL the cluster, the timeline and the table's id."""
    if database.dialect is not Dialect.POSTGRESQL:
        return {}
    name = ".".join(f'"{part}"' for part in (database.schema, recovery.name) if part)
    for parts in (_WHOLE, _TABLE):
        try:
            with database.read() as connection:
                row = connection.execute(sa.text(parts), {"name": name}).mappings().one()
        except StoreUnavailable:
            raise
        except StoreError:  # a hosted server may not permit reading its control data
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
