"""The page of an instance's budgets, for those who may see the instance or raise a budget."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from ...commands.budgets.raising import why_not_raise
from ...tools.ids import mint
from ..addresses import part
from ..context import Calls, Serves, Service
from ..identity import Caller
from .pages import page, to


def add(router: APIRouter) -> None:
    """Add the page."""
    router.get("/instances/{workflow_id}/budgets")(show)
    router.post("/instances/{workflow_id}/budgets")(raise_budget)


async def show(request: Request, workflow_id: str, serves: Serves, caller: Calls) -> Response:
    """Show the budgets."""
    values = await run_in_threadpool(_values, serves, workflow_id, caller)
    return page(request, "budgets.html", caller, **values)


async def raise_budget(
    request: Request,
    workflow_id: str,
    serves: Serves,
    caller: Calls,
    *,
    budget: Annotated[str, Form(max_length=64)] = "",
    more: Annotated[str, Form(max_length=40)] = "",
    reason: Annotated[str, Form(max_length=2000)] = "",
    key: Annotated[str, Form(max_length=128)] = "",
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Raise a budget; submitting a form twice raises it once."""
    serves.callers.check_form(request, caller, form_token)
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    await found.instances.araise_budget(workflow_id, budget, more, by=caller.principal, reason=reason, key=key)
    return to(request, f"/console/instances/{part(workflow_id)}/budgets", "raised")


def _values(service: Service, workflow_id: str, caller: Caller) -> dict[str, Any]:
    found = service.workflows.of_instance(workflow_id, caller)
    standing = found.instances.budgets(workflow_id, by=caller.looks_as)
    shown = {one.name for one in standing}
    counted = [one for one in found.graph.engine.definition.budgets if one.name in shown]
    why = {one.name: why_not_raise(one, found.instance, caller.principal) for one in counted}
    return {
        "instance": found.instance,
        "budgets": standing,
        "may_raise": [name for name, reason in why.items() if reason is None],
        "why_not": "; ".join(dict.fromkeys(reason for reason in why.values() if reason is not None)),
        "key": mint("raise"),
    }
