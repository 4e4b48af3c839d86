"""Server-sent events: the records of an instance, and changes of a queue."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from ...tools.canonical import JsonObject
from ...tools.errors import InterlockError, StoreUnavailable
from ..access import operators_only, seen
from ..context import Calls, Serves, Service
from ..identity import Caller
from ..workflows import Found
from .instances import WorkflowIdPath
from .shapes import LARGEST

router = APIRouter(tags=["streams"])

_KEEP_ALIVE_SECONDS = 15.0
_AT_ONCE = 200
"""The number of records per query."""
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
    after: Annotated[int | None, Query(ge=0, le=LARGEST, description="An alternative to Last-Event-ID.")] = None,
) -> StreamingResponse:
    """Stream the audit records of an instance as they are written: event `record`, whose id is the record's number."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    number = int(last_event_id) if last_event_id is not None else after or 0

    def still_sees(caller: Caller) -> None:
        seen(serves, workflow_id, caller)

    return _streamed(_records(_Open(serves, request, still_sees), found, number))


@router.get("/attention/events", operation_id="streamAttention", response_class=StreamingResponse, responses=_RESPONSES)
async def of_attention(serves: Serves, caller: Calls, request: Request) -> StreamingResponse:
    """Send the event `changed` whenever the items that need attention in the caller's tenant change. For operators."""
    operators_only(caller, "the queue of the whole tenant")

    def still_sees(caller: Caller) -> None:
        operators_only(caller, "the queue of the whole tenant")

    return _streamed(_changes(_Open(serves, request, still_sees), caller.principal.tenant))


@dataclass(frozen=True)
class _Open:
    """An open stream and its reader."""

    service: Service
    request: Request
    still_sees: Callable[[Caller], None]
    """Raises if the caller may no longer read. Blocking."""

    @property
    def is_closing(self) -> bool:
        return self.service.watch.closing.is_set()

    async def may_go_on(self) -> bool:
        """Whether its reader is connected and still authorized: a token may have been revoked, or a role removed, since the start."""
        if self.is_closing or await self.request.is_disconnected():
            return False
        try:
            caller = await self.service.callers.find(self.request)
            await run_in_threadpool(self.still_sees, caller)
        except StoreUnavailable:
            return True  # the database is unreachable, so nothing can be sent; check again at the next poll
        except InterlockError:
            return False
        return True

    async def until(self, changed: asyncio.Event) -> AsyncIterator[str]:
        """Wait for a change, and send comments so that proxies keep the connection open."""
        while not changed.is_set() and not self.is_closing:
            try:
                await asyncio.wait_for(changed.wait(), _KEEP_ALIVE_SECONDS)
            except TimeoutError:
                if not await self.may_go_on():
                    return
                yield ": keep-alive\n\n"


async def _records(stream: _Open, found: Found, number: int) -> AsyncIterator[str]:
    workflow_id = found.instance.workflow_id
    async with stream.service.watch.instance(workflow_id) as changed:
        while not stream.is_closing:
            changed.clear()
            while records := await found.instances.aaudit(workflow_id, after=number, limit=_AT_ONCE):
                for record in records:
                    number = record.number
                    yield _event("record", record.to_json(), number)
            async for beat in stream.until(changed):
                yield beat
            if not await stream.may_go_on():
                return


async def _changes(stream: _Open, tenant: str) -> AsyncIterator[str]:
    async with stream.service.watch.queue(tenant) as changed:
        yield _event("ready", {})
        while not stream.is_closing:
            async for beat in stream.until(changed):
                yield beat
            if not await stream.may_go_on():
                return
            if changed.is_set():
                changed.clear()
                yield _event("changed", {})


def _event(name: str, data: JsonObject, number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _streamed(events: AsyncIterator[str]) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
