"""Endpoints for attempts with an unknown outcome: list and resolve."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool

from ...checkpointing.store import LedgerEntry
from ...tools.redaction import redact
from ..access import operators_only
from ..context import Calls, Serves, Service
from ..identity import Caller
from ..moments import moment
from .instances import WorkflowIdPath
from .shapes import AttemptList, AttemptRow, Resolved, ResolveRequest

router = APIRouter(tags=["unknown outcomes"])


@router.get("/attempts", operation_id="listAttempts")
async def list_attempts(serves: Serves, caller: Calls, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> AttemptList:
    """Effects outside the database that are in progress or of unknown outcome, oldest first. For operators."""
    operators_only(caller, "attempts of the whole tenant")
    return AttemptList(attempts=tuple(await run_in_threadpool(_attempts, serves, caller, limit)))


@router.post("/instances/{workflow_id}/attempts/{key}/resolution", operation_id="resolveAttempt")
async def resolve(
    workflow_id: WorkflowIdPath,
    key: Annotated[str, Path(min_length=1, max_length=128, description="The idempotency key of the attempt.")],
    body: ResolveRequest,
    serves: Serves,
    caller: Calls,
) -> Resolved:
    """Resolve an interrupted attempt. The graph finds the resolution when it resumes."""
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    result = await found.instances.aresolve(
        workflow_id,
        body.found,
        by=caller.principal,
        key=key,
        output=body.output,
        data=body.data,
        note=body.note,
        attempt=body.attempt,
    )
    return Resolved(result=result)


def _attempts(service: Service, caller: Caller, limit: int) -> list[AttemptRow]:
    tenant = caller.principal.tenant
    found = [one for store in service.workflows.stores for one in store.unsettled(tenant=tenant, limit=limit)]
    return [_row(service, one) for one in sorted(found, key=lambda one: one.started_at)[:limit]]


def _row(service: Service, entry: LedgerEntry) -> AttemptRow:
    contracts = [graph.engine.definition.contracts.get(entry.tool) for graph in service.workflows]
    sensitive = frozenset[str]().union(*(contract.sensitive for contract in contracts if contract is not None))
    return AttemptRow(
        workflow_id=entry.workflow_id,
        idempotency_key=entry.idempotency_key,
        tool=entry.tool,
        attempt=entry.attempt,
        started_at=moment(entry.started_at),
        arguments=redact(entry.arguments, sensitive),
    )
