"""Server-sent events: what happens to an instance as it happens, and when a queue changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from ...tools.canonical import JsonObject
from ..access import operators_only, seen
from ..context import Calls, Serves, Service
from ..workflows import Found
from .instances import WorkflowIdPath

router = APIRouter(tags=["streams"])

_KEEP_ALIVE_SECONDS = 15.0
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events, until the client leaves."}
}
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", pattern="^[0-9]{1,18}$", description="The last event that arrived.")
]


@router.get(
    "/instances/{workflow_id}/events",
    operation_id="streamInstance",
    response_class=StreamingResponse,
    responses=_RESPONSES,
)
async def of_instance(
    workflow_id: WorkflowIdPath,
    serves: Serves,
    caller: Calls,
    request: Request,
    *,
    last_event_id: LastEventId = None,
    after: Annotated[int | None, Query(ge=0, description="Instead of Last-Event-ID.")] = None,
) -> StreamingResponse:
    """The audit records of an instance as they are written: event `record`, whose id is the record's number."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    number = int(last_event_id) if last_event_id is not None else after or 0
    return _streamed(_records(serves, found, workflow_id, number, request))


@router.get("/attention/events", operation_id="streamAttention", response_class=StreamingResponse, responses=_RESPONSES)
async def of_attention(serves: Serves, caller: Calls, request: Request) -> StreamingResponse:
    """Event `changed` whenever what needs attention within the caller's tenant does. For operators."""
    operators_only(caller, "the queue of the whole tenant")
    return _streamed(_changes(serves, caller.principal.tenant, request))


async def _records(
    service: Service, found: Found, workflow_id: str, number: int, request: Request
) -> AsyncIterator[str]:
    async with service.watch.instance(workflow_id) as changed:
        while not service.watch.closing.is_set():
            changed.clear()
            for record in await found.instances.aaudit(workflow_id):
                if record.number > number:
                    number = record.number
                    yield _event("record", record.to_json(), number)
            async for beat in _until(changed, service, request):
                yield beat
            if await request.is_disconnected():
                return


async def _changes(service: Service, tenant: str, request: Request) -> AsyncIterator[str]:
    async with service.watch.queue(tenant) as changed:
        yield _event("ready", {})
        while not service.watch.closing.is_set():
            async for beat in _until(changed, service, request):
                yield beat
            if await request.is_disconnected():
                return
            if changed.is_set() and not service.watch.closing.is_set():
                changed.clear()
                yield _event("changed", {})


async def _until(changed: asyncio.Event, service: Service, request: Request) -> AsyncIterator[str]:
    """Wait for a change; comments keep proxies from closing the connection meanwhile."""
    while not changed.is_set() and not service.watch.closing.is_set():
        try:
            await asyncio.wait_for(changed.wait(), _KEEP_ALIVE_SECONDS)
        except TimeoutError:
            if await request.is_disconnected():
                return
            yield ": keep-alive\n\n"


def _event(name: str, data: JsonObject, number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _streamed(events: AsyncIterator[str]) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
