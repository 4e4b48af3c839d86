"""The open approvals that a caller may see or decide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...checkpointing.store import ApprovalRequest, ApprovalStatus, Instance
from ...checkpointing.store import approvals as approval_rows
from ...checkpointing.store import instances as instance_rows
from ...checkpointing.tables.workflow import approvals, instances
from ...commands.approvals.decisions import may_see
from ...commands.approvals.delegating import acts_for, delegators
from ...commands.approvals.entitlement import why_not_decide
from ...commands.running.access import ownership_of
from ...commands.running.engine import Engine
from ...graphs import WorkflowGraph
from ..context import Service
from ..identity import Caller
from .sieve import Sieve

LOOKED_AT = 1000
"""The maximum number of open approvals per database that are scanned for a caller, in addition to those of instances that serve them."""
_AT_ONCE = 500


@dataclass(frozen=True)
class OpenApproval:
    """An open request with its workflow."""

    graph: WorkflowGraph
    request: ApprovalRequest
    instance: Instance


def open_for(
    service: Service,
    caller: Caller,
    *,
    limit: int,
    workflow: str | None = None,
    person: str | None = None,
    decides: bool = False,
) -> list[OpenApproval]:
    """Open approvals of a caller, the oldest first. Blocking.

    Args:
        service: The service.
        caller: The caller. Operators see all of their tenant; others see those of instances that serve them, those that they requested, and
            those that ask them.
        limit: The maximum number.
        workflow: Only those of this workflow; None for all.
        person: Only those that this person requested, or whose instance serves them; None for all.
        decides: Only those that the caller may approve now.
    """
    found: list[OpenApproval] = []
    for store in service.workflows.stores:
        with store.read() as connection:
            theirs = delegators(store, connection, caller.principal)
            sieve = Sieve(service, caller, workflow=workflow, person=person, decides=decides, acts_for=theirs)
            found += _open_in(connection, service, caller, sieve, limit, person=person, decides=decides)
    found.sort(key=lambda one: (one.request.requested_at, one.request.approval_id))
    return found[:limit]


def _open_in(
    connection: Connection,
    service: Service,
    caller: Caller,
    sieve: Sieve,
    limit: int,
    *,
    person: str | None,
    decides: bool,
) -> list[OpenApproval]:
    by = caller.principal
    served = person if caller.is_operator else by.id
    found: dict[str, OpenApproval] = {}
    for request, instance in _candidates(connection, sieve, by.tenant, served, limit):
        graph = service.workflows.by_name[request.workflow]
        theirs = acts_for(graph.engine, connection, request, by)
        if not caller.is_operator and not may_see(request, ownership_of(graph.engine, instance), by, acts_for=theirs):
            continue
        if decides and why_not(graph.engine, connection, request, instance, caller) is not None:
            continue
        found.setdefault(request.approval_id, OpenApproval(graph, request, instance))
        if len(found) == limit:  # yield them before the next ones are read
            break
    return [*found.values()]


def _candidates(
    connection: Connection, sieve: Sieve, tenant: str, served: str | None, limit: int
) -> Iterator[tuple[ApprovalRequest, Instance]]:
    """The requests of instances that serve a person, if one is named, and then the oldest of the tenant.

    The workflow is checked afterwards: with the condition in SQL, SQLite would sort all of them instead of walking the index.
    """
    columns = approvals.c
    statement = (
        sa.select(*sieve.columns)
        .where(columns.tenant == tenant, columns.status == ApprovalStatus.REQUESTED.value)
        .order_by(columns.requested_at, columns.approval_id)
    )
    if served is not None:
        theirs = sa.select(instances.c.workflow_id).where(instances.c.tenant == tenant, instances.c.served == served)
        of_them = statement.where(columns.workflow_id.in_(theirs)).limit(limit)
        yield from _whole(connection, sieve, connection.execute(of_them).all())
    some, looked_at, at_once = statement, 0, min(limit, _AT_ONCE)
    while looked_at < LOOKED_AT and (rows := connection.execute(some.limit(at_once)).all()):
        yield from _whole(connection, sieve, rows)
        looked_at += len(rows)
        last = rows[-1]
        some = statement.where(
            columns.requested_at >= last.requested_at,
            sa.or_(columns.requested_at > last.requested_at, columns.approval_id > last.approval_id),
        )
        at_once = _AT_ONCE


def _whole(connection: Connection, sieve: Sieve, rows: Sequence[Any]) -> Iterator[tuple[ApprovalRequest, Instance]]:
    """Read the complete rows that pass the sieve; only these, because the shown content is long and may be encrypted."""
    held = sa.select(instances.c.workflow_id, instances.c.served)
    ids = {row.workflow_id for row in rows}
    served = {one.workflow_id: one.served for one in connection.execute(held.where(instances.c.workflow_id.in_(ids)))}
    kept = [
        row.approval_id
        for row in rows
        if row.workflow_id in served and sieve.lets_through(row, served[row.workflow_id])
    ]
    if not kept:
        return
    whole = (
        sa.select(approvals)
        .where(approvals.c.approval_id.in_(kept))
        .order_by(approvals.c.requested_at, approvals.c.approval_id)
    )
    yield from _with_instances(connection, [approval_rows.from_row(row) for row in connection.execute(whole)])


def _with_instances(
    connection: Connection, requests: list[ApprovalRequest]
) -> Iterator[tuple[ApprovalRequest, Instance]]:
    ids = {one.workflow_id for one in requests}
    rows = connection.execute(sa.select(instances).where(instances.c.workflow_id.in_(ids))) if ids else ()
    found = {one.workflow_id: one for one in map(instance_rows.from_row, rows)}
    for request in requests:
        if (instance := found.get(request.workflow_id)) is not None:
            yield request, instance


def why_not(
    engine: Engine, connection: Connection, request: ApprovalRequest, instance: Instance, caller: Caller
) -> str | None:
    """Why the caller may not approve an open request; None if they may."""
    return why_not_decide(engine, connection, request, instance, caller.principal)


__all__ = ["LOOKED_AT", "OpenApproval", "open_for", "why_not"]
