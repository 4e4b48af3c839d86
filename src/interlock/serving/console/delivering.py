"""The page to deliver an event by hand, with a form for its fields, if a workflow waits for an event that nobody sends."""

import datetime as dt
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ...commands.waits.delivery import Delivery
from ...events.schemas import event_schema
from ...rules.waits import WaitRule
from ...tools.canonical import JsonObject
from ...tools.errors import InputError, InvalidInput, RunError
from ...tools.events import Event, timestamp
from ...tools.ids import mint
from ...tools.schemas.shapes import wire_keys
from ..access import operators_only
from ..addresses import part
from ..api.events import delivered
from ..context import Calls, Serves, Service
from ..identity import Caller
from .fields import Field, arguments_of, fields_of
from .pages import page, to


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.get("/events/deliver")(show)
    router.post("/events/deliver")(deliver)


async def show(
    request: Request,
    serves: Serves,
    caller: Calls,
    event: Annotated[str, Query(max_length=255)] = "",
    instance: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show the form for an event that some workflow waits for."""
    operators_only(caller, "delivering events")
    given = {"event": event, "instance": instance, "eventId": mint("evt")}
    return _form(request, serves, caller, given)


async def deliver(request: Request, serves: Serves, caller: Calls) -> Response:
    """Deliver the event of the form. The form contains the event's id, so that sending it twice delivers once."""
    form = await request.form()
    given = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    serves.callers.check_form(request, caller, given.get("form_token"))
    operators_only(caller, "delivering events")
    try:
        envelope, source = await run_in_threadpool(_envelope, serves, caller, given)
        deliveries = await delivered(serves, caller, envelope, source)
    except (InputError, InvalidInput, RunError) as error:
        return _form(request, serves, caller, given, error=error)
    if (workflow_id := envelope["workflowId"]) and any(one.workflow_ids for one in deliveries):
        return to(request, f"/console/instances/{part(str(workflow_id))}", "delivered")
    return _form(request, serves, caller, {**given, "eventId": mint("evt")}, came_to=deliveries)


def _form(
    request: Request,
    service: Service,
    caller: Caller,
    given: dict[str, str],
    *,
    error: InputError | InvalidInput | RunError | None = None,
    came_to: list[Delivery] | None = None,
) -> Response:
    known = _known(service)
    name = given.get("event", "")
    chosen = known.get(name) if name else None
    problems = (
        {str(one["field"]): str(one["problem"]) for one in (error.details.get("problems") or [])} if error else {}
    )
    return page(
        request,
        "deliver.html",
        caller,
        answered=HTTPStatus.OK if error is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        events=sorted(known),
        event=name,
        is_known=chosen is not None,
        description=(chosen[0].__doc__ or "").split("\n\n")[0].strip() if chosen else "",
        fields=_fields(chosen[0], given, problems) if chosen else [],
        sources=sorted(chosen[1].sources or ()) if chosen else [],
        instance=given.get("instance", ""),
        event_id=given.get("eventId", ""),
        problem=None if error is None else error.message,
        came_to=came_to,
    )


def _known(service: Service) -> dict[str, tuple[type[Event], WaitRule]]:
    """The events that waits expect, by name."""
    found: dict[str, tuple[type[Event], WaitRule]] = {}
    for graph in service.workflows:
        for rule in graph.engine.definition.waits.values():
            for event in (*rule.events, rule.delivered_by, rule.failed_by):
                if event is not None:
                    found.setdefault(event.name_on_wire, (event, rule))
    return found


def _fields(event: type[Event], given: dict[str, str], problems: dict[str, str]) -> list[Field]:
    schema = event_schema(event)
    own = {*wire_keys(event).values()}
    properties = {name: shape for name, shape in schema["properties"].items() if name in own}
    required = [name for name in schema["required"] if name in own]
    return fields_of({"properties": properties, "required": required}, {}, None, given, problems)


def _envelope(service: Service, caller: Caller, given: dict[str, str]) -> tuple[JsonObject, str]:
    known, name, workflow_id = _known(service), given.get("event", ""), given.get("instance", "").strip()
    if name not in known:
        raise InputError(
            f"No workflow that is served waits for {name!r}. Nothing was delivered.", code="invalid_request"
        )
    event, rule = known[name]
    source = given.get("source") or "/console"
    if rule.sources is not None and source not in rule.sources:
        raise InputError(
            f"Events of the source {source!r} do not count here. Nothing was delivered.", code="invalid_request"
        )
    found = service.workflows.of_instance(workflow_id, caller) if workflow_id else None
    own: dict[str, Any] = arguments_of(_fields(event, {}, {}), given)
    return {
        "eventName": name,
        "eventId": given.get("eventId") or mint("evt"),
        "occurredAt": timestamp(dt.datetime.now(dt.UTC)),
        "traceId": mint("trace") if found is None else found.instance.trace_id,
        "workflowId": workflow_id,
        **own,
        "metadata": {"source": source, "tenant": caller.principal.tenant, "requestedBy": caller.principal.id},
    }, source
