"""Approvals: those that wait, one as its approver is shown it, and deciding."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool

from ...tools.approvals import Decision, DecisionKind
from ...tools.canonical import JsonObject
from ...tools.errors import InputError
from ..context import Calls, Serves
from ..deciding import decide
from .shapes import ApprovalPage, Decided, DecideRequest

router = APIRouter(tags=["approvals"])

ApprovalIdPath = Annotated[str, Path(min_length=1, max_length=64, description="The id of the approval.")]


@router.get("/approvals", operation_id="listApprovals")
async def list_approvals(
    serves: Serves,
    caller: Calls,
    *,
    workflow: Annotated[
        str | None, Query(max_length=128, description="Of this workflow; needed where several are served.")
    ] = None,
    status: Annotated[
        str | None, Query(max_length=32, description="`requested` by default; `any` for all.")
    ] = "requested",
    tool: Annotated[str | None, Query(max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> ApprovalPage:
    """Approvals that the caller may see, oldest first."""
    names = serves.workflows.names
    if workflow is None and len(names) > 1:
        raise InputError(
            f"Several workflows are served, so the list needs ?workflow=, one of {', '.join(names)}.",
            code="invalid_request",
        )
    instances = serves.workflows.named(workflow or names[0]).instances
    page = await instances.aapprovals(
        tenant=caller.principal.tenant,
        status=None if status == "any" else status,
        tool=tool,
        limit=limit,
        after=cursor,
        by=caller.looks_as,
    )
    shown = [await instances.aapproval(one.approval_id, by=caller.looks_as) for one in page.approvals]
    return ApprovalPage(approvals=tuple(shown), next=page.next)


@router.get("/approvals/{approval_id}", operation_id="getApproval")
async def get_approval(approval_id: ApprovalIdPath, serves: Serves, caller: Calls) -> JsonObject:
    """One approval as an approver is shown it, with the decisions that were taken on it."""
    graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
    return await graph.instances.aapproval(approval_id, by=caller.looks_as)


@router.post("/approvals/{approval_id}/decision", operation_id="decideApproval")
async def decide_approval(approval_id: ApprovalIdPath, body: DecideRequest, serves: Serves, caller: Calls) -> Decided:
    """Decide. The rule of the approval says who may, whatever else the caller is."""
    kind = DecisionKind(body.decision)
    if (body.arguments is None) is (kind is DecisionKind.EDIT):
        raise InputError(
            "An edit has arguments, whole, and no other decision has any. Nothing was decided.", code="invalid_request"
        )
    if body.values is not None and kind is not DecisionKind.APPROVE:
        raise InputError(
            "Values come with an approval; an edit has them among its arguments. Nothing was decided.",
            code="invalid_request",
        )
    given = Decision(kind, body.arguments, body.message, values=body.values)
    done = await decide(serves, approval_id, given, caller, resume=body.resume)
    return Decided(
        approval_id=approval_id,
        workflow_id=done.approval.workflow_id,
        status=done.approval.status.value,
        resumed=done.resumed,
    )
