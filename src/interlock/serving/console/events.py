"""The page of outbox and inbox events, with retries."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ...checkpointing.store.inbox import InboxStatus
from ...checkpointing.store.outbox import OutboxStatus
from ...tools.errors import InputError
from ..access import operators_only
from ..api.events import listed, tried_again
from ..context import Calls, Serves
from .pages import page, to

_STATUSES = (*(one.value for one in OutboxStatus), *(one.value for one in InboxStatus))


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.get("/events")(show)
    router.post("/events/{event_id}/retry")(retry)


async def show(
    request: Request, serves: Serves, caller: Calls, status: Annotated[str, Query(max_length=16)] = ""
) -> Response:
    """The newest events."""
    operators_only(caller, "events of the whole tenant")
    if status and status not in _STATUSES:
        raise InputError(f"{status!r} is not a status of an event. Choose from the list.", code="invalid_request")
    found = await run_in_threadpool(listed, serves, caller, status or None, 100)
    return page(request, "events.html", caller, events=found, status=status, statuses=_STATUSES)


async def retry(
    request: Request, event_id: str, serves: Serves, caller: Calls, form_token: Annotated[str, Form()] = ""
) -> Response:
    """Retry an event."""
    serves.callers.check_form(request, caller, form_token)
    operators_only(caller, "trying events again")
    await tried_again(serves, event_id, caller)
    return to(request, "/console/events", "retried")
