"""The list of instances."""

from dataclasses import dataclass
from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ...checkpointing.reports.instance_listing import Listed, WaitsFor, Wanted
from ...tools.errors import InputError
from ..context import Calls, Serves
from ..queries.listing import listed
from .pages import page


@dataclass(frozen=True)
class Row:
    """An instance in a list."""

    workflow_id: str
    workflow: str
    version: int
    state: str
    is_final: bool
    waits_for: str | None
    served: str | None
    updated_at: int


def row_of(one: Listed) -> Row:
    """Make the row of an instance."""
    instance = one.instance
    return Row(
        instance.workflow_id,
        instance.workflow,
        instance.workflow_version,
        instance.state,
        instance.finished,
        one.waits_for,
        instance.served,
        instance.updated_at,
    )


def add(router: APIRouter) -> None:
    """Add the page."""
    router.get("/instances")(show)


async def show(
    request: Request,
    serves: Serves,
    caller: Calls,
    *,
    workflow: Annotated[str, Query(max_length=128)] = "",
    state: Annotated[str, Query(max_length=128)] = "",
    person: Annotated[str, Query(max_length=255)] = "",
    waiting: Annotated[str, Query(max_length=16)] = "",
    after: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Instances, the newest first."""
    if waiting and waiting not in get_args(WaitsFor):
        raise InputError(f"No instance waits for {waiting!r}. Choose from the list.", code="invalid_request")
    asked = {"workflow": workflow, "state": state, "person": person, "waiting": waiting}
    wanted = Wanted(
        caller.principal.tenant,
        workflow=workflow or None,
        state=state or None,
        served=(person or None) if caller.is_operator else caller.principal.id,
        waiting=waiting or None,  # type: ignore[arg-type]  # checked above
    )
    found = await run_in_threadpool(listed, serves, wanted, 50, after or None)
    following = None if found.next is None else urlencode({**asked, "after": found.next})
    return page(
        request,
        "instances.html",
        caller,
        found=[row_of(one) for one in found.instances],
        next=following,
        workflows=serves.workflows.names,
        workflow=workflow,
        state=state,
        person=person,
        waiting=waiting,
    )
