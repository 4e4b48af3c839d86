"""Counts instances by workflow, state and version."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..store.instances import ERASED
from ..tables.workflow import inbox, instances, outbox


@dataclass(frozen=True)
class StateCount:
    """The instances of one workflow that are in one state."""

    workflow: str
    state: str
    count: int
    oldest: int
    """The last change of the least recently changed one, in microseconds since 1970 UTC."""
    versions: tuple[int, ...]
    is_final: bool


def by_state(connection: Connection, *, tenant: str | None) -> list[StateCount]:
    """Count instances by workflow and state. It reads every instance of the tenant, so do not compute it at each request."""
    columns = instances.c
    statement = (
        sa.select(
            columns.workflow,
            columns.state,
            columns.finished,
            columns.workflow_version,
            sa.func.count(),
            sa.func.min(columns.updated_at),
        )
        .where(columns.definition != ERASED, *(() if tenant is None else (columns.tenant == tenant,)))
        .group_by(columns.workflow, columns.state, columns.finished, columns.workflow_version)
    )
    found: dict[tuple[str, str], StateCount] = {}
    for workflow, state, finished, version, count, oldest in connection.execute(statement):
        before = found.get((workflow, state))
        found[workflow, state] = StateCount(
            workflow,
            state,
            int(count) + (0 if before is None else before.count),
            min(int(oldest), oldest if before is None else before.oldest),
            tuple(sorted({int(version), *(() if before is None else before.versions)})),
            bool(finished),
        )
    return [found[key] for key in sorted(found)]


@dataclass(frozen=True)
class Standing:
    """The unfinished instances of one workflow that share a definition and a position."""

    workflow: str
    state: str
    version: int
    definition: str
    """The fingerprint of the definition that moved them on."""
    is_held: bool
    """Whether an effect of each is in progress outside the database, or of unknown outcome."""
    count: int
    example: str
    """The id of one of them."""


def by_definition(connection: Connection, *, tenant: str | None) -> list[Standing]:
    """Group unfinished instances by the facts that decide whether another definition can continue them. Reads as much as `by_state`."""
    columns = instances.c
    is_held = sa.case((columns.running_key.is_(None), 0), else_=1)
    statement = (
        sa.select(
            columns.workflow,
            columns.state,
            columns.workflow_version,
            columns.definition,
            is_held.label("is_held"),
            sa.func.count(),
            sa.func.min(columns.workflow_id),
        )
        .where(
            columns.definition != ERASED,
            columns.finished == 0,
            *(() if tenant is None else (columns.tenant == tenant,)),
        )
        .group_by(columns.workflow, columns.state, columns.workflow_version, columns.definition, is_held)
    )
    found = [
        Standing(workflow, state, int(version), definition, bool(held), int(count), example)
        for workflow, state, version, definition, held, count, example in connection.execute(statement)
    ]
    return sorted(found, key=lambda one: (one.workflow, one.state, one.version, one.example))


def boxes(connection: Connection, *, tenant: str | None, now: int) -> dict[str, int]:
    """The numbers of waiting and failed events, and the age in seconds of the oldest unpublished one."""
    sent = () if tenant is None else (outbox.c.tenant == tenant,)
    taken = () if tenant is None else (inbox.c.tenant == tenant,)
    pending, oldest = connection.execute(
        sa.select(sa.func.count(), sa.func.min(outbox.c.created_at)).where(outbox.c.status == "pending", *sent)
    ).one()
    return {
        "pending": int(pending),
        "lag_seconds": 0 if oldest is None else max(0, (now - int(oldest)) // 1_000_000),
        "dead": _count(connection, outbox, outbox.c.status == "dead", *sent),
        "failed": _count(connection, inbox, inbox.c.status == "failed", *taken),
        "kept": _count(connection, inbox, inbox.c.status == "kept", *taken),
    }


def _count(connection: Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one())


__all__ = ["Standing", "StateCount", "boxes", "by_definition", "by_state"]
