"""Endpoints for events: deliver, list, retry."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool

from ...checkpointing.store import WorkflowStore
from ...checkpointing.store import inbox as inbox_rows
from ...checkpointing.store import outbox as outbox_rows
from ...checkpointing.store.inbox import InboxEvent, InboxStatus
from ...checkpointing.store.outbox import OutboxEvent, OutboxStatus
from ...commands.waits.delivery import Delivery
from ...events.envelopes import tenant_of
from ...events.webhooks import deliveries as webhook_rows
from ...events.webhooks.deliveries import GivenUp
from ...operations.deliveries import Deliveries
from ...tools.canonical import JsonObject
from ...tools.errors import PrincipalError
from ..access import operators_only
from ..context import Calls, Serves, Service
from ..identity import Caller
from ..moments import moment
from .shapes import Delivered, DeliveredList, DeliverRequest, EventList, EventRow, Requeued

router = APIRouter(tags=["events"])


@router.post("/events", operation_id="deliverEvent")
async def deliver(body: DeliverRequest, serves: Serves, caller: Calls) -> DeliveredList:
    """Deliver an event to every served workflow; the same event counts once. For operators, because an event speaks for its source."""
    deliveries = await delivered(serves, caller, body.event, body.source)
    return DeliveredList(
        deliveries=tuple(
            Delivered(
                event_id=one.event_id,
                workflow=one.workflow,
                status=one.status.value,
                note=one.note,
                workflow_ids=one.workflow_ids,
            )
            for one in deliveries
        )
    )


async def delivered(service: Service, caller: Caller, event: JsonObject, source: str) -> list[Delivery]:
    """Deliver an event of the caller's tenant to every served workflow.

    Raises:
        PrincipalError: The caller is not an operator, or the event belongs to another tenant.
        InvalidInput: It is not an event.
    """
    operators_only(caller, "delivering events")
    waiting = [Deliveries(graph) for graph in service.workflows]
    envelope = waiting[0].envelope(event, None, source)
    if tenant_of(envelope) != caller.principal.tenant:
        raise PrincipalError(
            f"The event is of the tenant {tenant_of(envelope)!r}, and {caller.principal.id} is of another one. Nothing was delivered.",
            code="not_entitled",
        )
    return [await one.adeliver(envelope, source=source) for one in waiting]


@router.get("/events", operation_id="listEvents")
async def list_events(
    serves: Serves,
    caller: Calls,
    status: Annotated[
        Literal["pending", "published", "dead", "taken", "kept", "late", "unmatched", "failed"] | None, Query()
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> EventList:
    """List events of the outbox and the inbox, and events that a webhook did not accept, newest first. For operators."""
    operators_only(caller, "events of the whole tenant")
    found = await run_in_threadpool(listed, serves, caller, status, limit)
    return EventList(events=tuple(found))


@router.post("/events/{event_id}/retry", operation_id="retryEvent")
async def retry(
    event_id: Annotated[str, Path(min_length=1, max_length=128)], serves: Serves, caller: Calls
) -> Requeued:
    """Queue an outbox event again that the relay gave up, or deliver an inbox event again. For operators."""
    operators_only(caller, "trying events again")
    return Requeued(requeued=await tried_again(serves, event_id, caller))


async def tried_again(service: Service, event_id: str, caller: Caller) -> int:
    """Retry an event of the caller's tenant; returns the number of retried events."""
    tenant, count = caller.principal.tenant, 0
    for store in service.workflows.stores:
        requeued, received = await run_in_threadpool(_requeue, store, event_id, tenant)
        count += requeued
        for event in received:
            if (graph := service.workflows.by_name.get(event.consumer)) is not None:
                await Deliveries(graph).aagain(event)
                count += 1
    return count


def _requeue(store: WorkflowStore, event_id: str, tenant: str) -> tuple[int, list[InboxEvent]]:
    with store.write() as connection:
        sent = outbox_rows.find(connection, event_id)
        is_ours = sent is not None and sent.tenant == tenant
        now = store.now(connection)
        count = outbox_rows.retry(connection, event_id=event_id, now=now) if is_ours else 0
        count += webhook_rows.retry(connection, event_id, tenant=tenant, now=now)
        received = inbox_rows.find(connection, event_id)
    return count, [one for one in received if one.tenant == tenant and one.status is not InboxStatus.TAKEN]


def listed(service: Service, caller: Caller, status: str | None, limit: int) -> list[EventRow]:
    """Events of the caller's tenant, newest first. Blocking."""
    found: list[tuple[int, EventRow]] = []
    out = OutboxStatus(status) if status is not None and status in {*OutboxStatus} else None
    into = InboxStatus(status) if status is not None and status in {*InboxStatus} else None
    for store in service.workflows.stores:
        with store.read() as connection:
            tenant = caller.principal.tenant
            if status is None or out is not None:
                sent = outbox_rows.listing(connection, status=out, tenant=tenant, limit=limit)
                found += [(one.created_at, _sent(one)) for one in sent]
            if status is None or into is not None:
                taken = inbox_rows.listing(connection, status=into, tenant=tenant, limit=limit)
                found += [(one.received_at, _taken(one)) for one in taken]
            if status in {None, OutboxStatus.DEAD.value}:
                given_up = webhook_rows.given_up(connection, tenant=tenant, limit=limit)
                found += [(one.created_at, _given_up(one)) for one in given_up]
    return [row for _, row in sorted(found, key=lambda one: one[0], reverse=True)[:limit]]


def _sent(event: OutboxEvent) -> EventRow:
    return EventRow(
        box="out",
        event_id=event.event_id,
        event_name=event.event_name,
        workflow_id=event.workflow_id,
        status=event.status.value,
        problem=event.error,
        attempts=event.attempts,
        at=moment(event.created_at),
    )


def _given_up(one: GivenUp) -> EventRow:
    return EventRow(
        box="webhook",
        event_id=one.event_id,
        event_name=one.event_name,
        workflow_id=one.workflow_id,
        status=OutboxStatus.DEAD.value,
        problem=f"{one.hook}: {one.error}",
        attempts=one.attempts,
        at=moment(one.created_at),
    )


def _taken(event: InboxEvent) -> EventRow:
    return EventRow(
        box="in",
        event_id=event.event_id,
        event_name=event.event_name,
        workflow_id=event.workflow_id,
        status=event.status.value,
        problem=event.note,
        attempts=event.repeats + 1,
        at=moment(event.received_at),
    )
