"""Endpoints for the audit trail of an instance: read, export, verify."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from ...checkpointing.store import WorkflowStore
from ..access import operators_only, seen
from ..addresses import attachment
from ..context import Calls, Serves
from .instances import WorkflowIdPath
from .shapes import LARGEST, AuditPage, Verification

router = APIRouter(tags=["audit"])


@router.get("/instances/{workflow_id}/audit", operation_id="getAudit")
async def audit(
    workflow_id: WorkflowIdPath,
    serves: Serves,
    caller: Calls,
    after: Annotated[int, Query(ge=0, le=LARGEST, description="The number of the last record of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AuditPage:
    """Records of the trail, oldest first."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    records = await found.instances.aaudit(workflow_id, after=after, limit=limit + 1)
    page = records[:limit]
    return AuditPage(
        records=tuple(one.to_json() for one in page), next=page[-1].number if len(records) > limit else None
    )


@router.get(
    "/instances/{workflow_id}/audit/export",
    operation_id="exportAudit",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}}},
)
async def export(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls) -> Response:
    """The whole trail as JSON Lines, which `interlock audit --check` verifies without the database. For operators."""
    operators_only(caller, "exporting an audit trail")
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    lines = await run_in_threadpool(found.graph.engine.store.export_audit, workflow_id)
    return Response(
        "".join(f"{line}\n" for line in lines),
        media_type="application/jsonl",
        headers=attachment(f"{workflow_id}.jsonl"),
    )


@router.get("/instances/{workflow_id}/audit/verification", operation_id="verifyAudit")
async def verify(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls) -> Verification:
    """Verify the trail: hash every record again, and compare it with the record before it."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    return await run_in_threadpool(verified, found.graph.engine.store, workflow_id)


def verified(store: WorkflowStore, workflow_id: str) -> Verification:
    """Verify a trail. Blocking."""
    broken, records = store.verify(workflow_id), store.audit(workflow_id)
    return Verification(
        is_whole=not broken,
        records=len(records),
        problems=tuple({"number": one.number, "problem": one.problem} for one in broken),
        head=records[-1].hash if records else "",
    )
