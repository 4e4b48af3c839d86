"""Endpoints for approvals: list them, show one as its approver sees it, decide, reassign, remind and delegate."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool

from ...checkpointing.store import ApprovalRequest
from ...tools.approvals import Decision, DecisionKind
from ...tools.canonical import JsonObject
from ...tools.errors import InputError
from ..context import Calls, Serves
from ..deciding import decide
from .shapes import (
    ApprovalPage,
    AssignmentRequest,
    Decided,
    DecideRequest,
    DelegationList,
    DelegationRequest,
    StillOpen,
)

router = APIRouter(tags=["approvals"])

WorkflowQuery = Annotated[
    str | None, Query(max_length=128, description="The workflow whose store is used; by default the first served one.")
]
ApprovalIdPath = Annotated[str, Path(min_length=1, max_length=64, description="The id of the approval.")]


@router.get("/approvals", operation_id="listApprovals")
async def list_approvals(
    serves: Serves,
    caller: Calls,
    *,
    workflow: Annotated[
        str | None,
        Query(max_length=128, description="Only approvals of this workflow; required if several are served."),
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
    instances = serves.workflows.named_or_first(workflow).instances
    page = await instances.aapprovals(
        tenant=caller.principal.tenant,
        status=None if status == "any" else status,
        tool=tool,
        limit=limit,
        after=cursor,
        by=caller.looks_as,
    )

    def look() -> list[JsonObject]:  # all in one thread, because switching threads costs as much as one look-up
        return [instances.approval(one.approval_id, by=caller.looks_as) for one in page.approvals]

    shown = await run_in_threadpool(look)
    return ApprovalPage(approvals=tuple(shown), next=page.next)


@router.get("/approvals/{approval_id}", operation_id="getApproval")
async def get_approval(approval_id: ApprovalIdPath, serves: Serves, caller: Calls) -> JsonObject:
    """Return one approval as an approver sees it, with the decisions on it so far."""
    graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
    return await graph.instances.aapproval(approval_id, by=caller.looks_as)


@router.post("/approvals/{approval_id}/decision", operation_id="decideApproval")
async def decide_approval(approval_id: ApprovalIdPath, body: DecideRequest, serves: Serves, caller: Calls) -> Decided:
    """Decide on an approval. Only the approval's rule determines who may, so even an operator needs to be named by it."""
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


@router.post("/approvals/{approval_id}/assignment", operation_id="reassignApproval")
async def reassign_approval(
    approval_id: ApprovalIdPath, body: AssignmentRequest, serves: Serves, caller: Calls
) -> StillOpen:
    """Reassign an open request to other people. Anyone who may decide on it may do that, and anyone with the role in its rule's `reassign`."""
    graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
    after = await graph.instances.areassign(approval_id, [*body.to], by=caller.principal, reason=body.reason)
    return _open(after)


@router.post("/approvals/{approval_id}/reminder", operation_id="remindOfApproval")
async def remind_of_approval(approval_id: ApprovalIdPath, serves: Serves, caller: Calls) -> StillOpen:
    """Remind the deciders of an open request."""
    graph = await run_in_threadpool(serves.workflows.of_approval, approval_id, caller)
    return _open(await graph.instances.aremind(approval_id, by=caller.principal))


@router.get("/delegations", operation_id="listDelegations")
async def list_delegations(serves: Serves, caller: Calls) -> DelegationList:
    """List who decides for whom, now or later."""
    found: dict[str, JsonObject] = {}
    for graph in serves.workflows.by_name.values():
        tenant, by = caller.principal.tenant, caller.looks_as
        for one in await graph.instances.adelegations(tenant=tenant, by=by):
            found[one.delegation_id] = one.to_json()
    return DelegationList(delegations=tuple(found.values()))


@router.post("/delegations", operation_id="delegate", status_code=201)
async def delegate(
    body: DelegationRequest, serves: Serves, caller: Calls, workflow: WorkflowQuery = None
) -> JsonObject:
    """Delegate the caller's decisions to somebody else during an absence, in the store of a workflow."""
    instances = serves.workflows.named_or_first(workflow).instances
    made = await instances.adelegate(body.delegate, by=caller.principal, until=body.until, since=body.since)
    return made.to_json()


@router.delete("/delegations/{delegation_id}", operation_id="endDelegation", status_code=204)
async def end_delegation(
    delegation_id: Annotated[str, Path(min_length=1, max_length=64)],
    serves: Serves,
    caller: Calls,
    workflow: WorkflowQuery = None,
) -> None:
    """End a delegation of the caller early."""
    instances = serves.workflows.named_or_first(workflow).instances
    await instances.aend_delegation(delegation_id, by=caller.principal)


def _open(after: ApprovalRequest) -> StillOpen:
    return StillOpen(
        approval_id=after.approval_id,
        workflow_id=after.workflow_id,
        status=after.status.value,
        rule=after.rule.to_json(),
    )
