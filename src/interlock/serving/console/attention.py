"""The page of items that need a person: open approvals, unknown outcomes, overdue waits, dead events; with a search for instances."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ...checkpointing.reports.attention import Item, Kind, attention, decided_by
from ...checkpointing.store import ApprovalRequest
from ..addresses import part
from ..context import Calls, Serves, Service
from ..identity import Caller
from ..queries.finding import find as looked_for
from ..queries.open_approvals import open_for
from .instances import row_of
from .pages import page as render

SHOWN = 50


@dataclass(frozen=True)
class Shown:
    """One item that needs a person, and its page."""

    item: Item
    href: str | None


@dataclass(frozen=True)
class Group:
    """One kind of item."""

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
    *,
    find: Annotated[str, Query(max_length=255)] = "",
    workflow: Annotated[str, Query(max_length=128)] = "",
    person: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """The queue."""
    person = person.strip() if caller.is_operator else ""
    items = await run_in_threadpool(_items, serves, caller, workflow or None, person or None)
    wanted = find.strip()
    found = await run_in_threadpool(looked_for, serves, caller, wanted) if wanted else None
    kinds = _GROUPS if caller.is_operator else _GROUPS[:1]
    return render(
        request,
        "attention.html",
        caller,
        groups=[_group(kind, title, nothing, items) for kind, title, nothing in kinds],
        found=None if found is None else [row_of(one) for one in found],
        find=find,
        workflow=workflow,
        person=person,
        workflows=serves.workflows.names,
    )


def _group(kind: Kind, title: str, nothing: str, items: Iterable[Item]) -> Group:
    mine = [one for one in items if one.kind == kind]
    bulk = "/console/approvals" if kind == "approval" and len(mine) > 1 else None
    shown = [Shown(one, _where(one)) for one in mine[:SHOWN]]
    return Group(kind, title, nothing, shown, len(mine) > SHOWN, bulk)


def _where(item: Item) -> str | None:
    """The page on which an item is handled."""
    match item.kind:
        case "approval":
            return f"/console/approvals/{part(item.id)}"
        case "event":
            return "/console/events"
        case _:
            return None if item.workflow_id is None else f"/console/instances/{part(item.workflow_id)}"


def _items(service: Service, caller: Caller, workflow: str | None, person: str | None) -> list[Item]:
    """All items for an operator; for others the approvals that they may see."""
    asked = open_for(service, caller, limit=SHOWN + 1, workflow=workflow, person=person)
    items = [_item(one.request) for one in asked]
    for store in service.workflows.stores if caller.is_operator else ():
        with store.read() as connection:
            items += attention(
                connection,
                tenant=caller.principal.tenant,
                workflow=workflow,
                person=person,
                now=store.now(connection),
                limit=SHOWN + 1,
                kinds=("unknown", "overdue", "event"),
            )
    return sorted(items, key=lambda one: one.since)


def _item(request: ApprovalRequest) -> Item:
    return Item(
        "approval",
        request.approval_id,
        request.tool,
        request.requester.id,
        request.workflow_id,
        request.requested_at,
        request.expires_at,
        decided_by(request.rule),
    )
