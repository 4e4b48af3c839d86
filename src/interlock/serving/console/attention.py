"""What needs somebody: open approvals, unknown outcomes, overdue waits, dead events; and finding an instance."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ...checkpointing.reports.attention import Item, Kind, attention
from ...checkpointing.reports.instance_listing import Wanted, page
from ..addresses import part
from ..context import Calls, Serves, Service
from ..identity import Caller
from .instances import Row, row_of
from .pages import page as render

SHOWN = 50


@dataclass(frozen=True)
class Shown:
    """One thing that needs somebody, and the page for it."""

    item: Item
    href: str | None


@dataclass(frozen=True)
class Group:
    """One kind of thing that needs somebody."""

    name: str
    title: str
    nothing: str
    items: list[Shown] = field(default_factory=list)
    has_more: bool = False
    bulk: str | None = None


_GROUPS: tuple[tuple[Kind, str, str], ...] = (
    ("approval", "Approvals", "Nothing waits for a decision."),
    ("unknown", "Unknown outcomes", "Every attempt has an outcome."),
    ("overdue", "Overdue waits", "No wait is overdue."),
    ("event", "Dead events", "Every event went through."),
)


def add(router: APIRouter) -> None:
    """Add the page."""
    router.get("/attention")(show)


async def show(
    request: Request,
    serves: Serves,
    caller: Calls,
    find: Annotated[str, Query(max_length=255)] = "",
    workflow: Annotated[str, Query(max_length=128)] = "",
) -> Response:
    """The queue."""
    items = await run_in_threadpool(_items, serves, caller, workflow or None)
    found = await run_in_threadpool(_found, serves, caller, find.strip()) if find.strip() else None
    kinds = _GROUPS if caller.is_operator else _GROUPS[:1]
    return render(
        request,
        "attention.html",
        caller,
        groups=[_group(kind, title, nothing, items) for kind, title, nothing in kinds],
        found=found,
        find=find,
        workflow=workflow,
        workflows=serves.workflows.names,
    )


def _group(kind: Kind, title: str, nothing: str, items: Iterable[Item]) -> Group:
    mine = [one for one in items if one.kind == kind]
    bulk = "/console/approvals" if kind == "approval" and len(mine) > 1 else None
    shown = [Shown(one, _where(one)) for one in mine[:SHOWN]]
    return Group(kind, title, nothing, shown, len(mine) > SHOWN, bulk)


def _where(item: Item) -> str | None:
    """The page that it is dealt with on."""
    match item.kind:
        case "approval":
            return f"/console/approvals/{part(item.id)}"
        case "event":
            return "/console/events"
        case _:
            return None if item.workflow_id is None else f"/console/instances/{part(item.workflow_id)}"


def _items(service: Service, caller: Caller, workflow: str | None) -> list[Item]:
    """Everything for an operator; for others the approvals that they may see."""
    items: list[Item] = []
    for store in service.workflows.stores:
        with store.read() as connection:
            items += attention(
                connection,
                tenant=caller.principal.tenant,
                workflow=workflow,
                now=store.now(connection),
                limit=SHOWN + 1,
            )
    if not caller.is_operator:
        seen = {
            one.approval_id
            for graph in service.workflows
            for one in graph.instances.approvals(limit=200, by=caller.principal).approvals
        }
        items = [one for one in items if one.kind == "approval" and one.id in seen]
    return sorted(items, key=lambda one: one.since)


def _found(service: Service, caller: Caller, find: str) -> list[Row]:
    """Instances of this id, on this thread, or that serve this person."""
    tenant = caller.principal.tenant
    rows: dict[str, Row] = {}
    for store in service.workflows.stores:
        with store.read() as connection:
            for wanted in (
                Wanted(tenant, workflow_id=find),
                Wanted(tenant, thread_id=find),
                Wanted(tenant, served=find),
            ):
                for one in page(connection, wanted, limit=20).instances:
                    if caller.is_operator or one.instance.served == caller.principal.id:
                        rows.setdefault(one.instance.workflow_id, row_of(one))
    return [*rows.values()]
