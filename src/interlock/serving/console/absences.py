"""The pages for absent approvers: reassign a request, remind the deciders, and delegate one's decisions for a time."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from ...tools.canonical import JsonObject
from ..addresses import part
from ..context import Calls, Serves, Service
from ..identity import Caller
from .pages import page, to

LONGEST_ABSENCE = 366
"""The maximum number of days in the form; the API has no limit."""


@dataclass(frozen=True)
class Shown:
    """One delegation, and the workflow in whose store it is."""

    delegation: JsonObject
    workflow: str
    is_theirs: bool
    """Whether the caller made it, and may therefore end it."""


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.post("/approvals/{approval_id}/reassign")(reassign)
    router.post("/approvals/{approval_id}/remind")(remind)
    router.get("/delegations")(show)
    router.post("/delegations")(delegate)
    router.post("/delegations/{delegation_id}/end")(end)


async def reassign(
    request: Request,
    approval_id: str,
    serves: Serves,
    caller: Calls,
    *,
    people: Annotated[str, Form(max_length=4000)] = "",
    reason: Annotated[str, Form(max_length=2000)] = "",
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Reassign an open request to other people, given by their ids, separated by commas."""
    serves.callers.check_form(request, caller, form_token)
    graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
    named = [one.strip() for one in re.split(r"[,\r\n]+", people) if one.strip()]
    await graph.instances.areassign(approval_id, named, by=caller.principal, reason=reason)
    return to(request, f"/console/approvals/{part(approval_id)}", "reassigned")


async def remind(
    request: Request, approval_id: str, serves: Serves, caller: Calls, form_token: Annotated[str, Form()] = ""
) -> Response:
    """Remind the deciders of an open request."""
    serves.callers.check_form(request, caller, form_token)
    graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
    await graph.instances.aremind(approval_id, by=caller.principal)
    return to(request, f"/console/approvals/{part(approval_id)}", "reminded")


async def show(request: Request, serves: Serves, caller: Calls) -> Response:
    """List the delegations that the caller may see, with the form for a new one."""
    found = await run_in_threadpool(_delegations, serves, caller)
    return page(request, "delegations.html", caller, delegations=found, workflows=serves.workflows.names)


async def delegate(
    request: Request,
    serves: Serves,
    caller: Calls,
    *,
    person: Annotated[str, Form(max_length=255)] = "",
    days: Annotated[int, Form(ge=1, le=LONGEST_ABSENCE)] = 1,
    workflow: Annotated[str, Form(max_length=128)] = "",
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Delegate the caller's decisions from now on, for some days."""
    serves.callers.check_form(request, caller, form_token)
    instances = serves.workflows.named_or_first(workflow).instances
    await instances.adelegate(person, by=caller.principal, until=f"{days}d")
    return to(request, "/console/delegations", "delegated")


async def end(
    request: Request,
    delegation_id: str,
    serves: Serves,
    caller: Calls,
    *,
    workflow: Annotated[str, Form(max_length=128)] = "",
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """End a delegation of the caller early."""
    serves.callers.check_form(request, caller, form_token)
    instances = serves.workflows.named_or_first(workflow).instances
    await instances.aend_delegation(delegation_id, by=caller.principal)
    return to(request, "/console/delegations", "undelegated")


def _delegations(service: Service, caller: Caller) -> list[Shown]:
    """All delegations, each once, even if several workflows share its store."""
    found: dict[Any, Shown] = {}
    for name, graph in service.workflows.by_name.items():
        for one in graph.instances.delegations(tenant=caller.principal.tenant, by=caller.looks_as):
            is_theirs = one.person == caller.principal.id
            found.setdefault(one.delegation_id, Shown(one.to_json(), name, is_theirs))
    return list(found.values())
