"""Endpoints for instances: start, read, propose, resume, cancel, fork and erase."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from ...checkpointing.reports.instance_listing import Listed, WaitsFor, Wanted
from ...commands.budgets.raising import BudgetStanding
from ...commands.cancelling.report import Cancellation
from ...tools.errors import InputError, RevisionConflict
from ...tools.explanation import Explanation
from ...tools.results import CommandResult, ErrorResult, InstanceSnapshot, Pending, ReadResult, Result
from ..access import seen
from ..addresses import part
from ..context import Calls, Serves
from ..erasing import erase as erasing
from ..moments import moment
from ..problems import denied, of_error
from ..queries.listing import listed
from .shapes import (
    BudgetList,
    CancelRequest,
    Erased,
    EraseRequest,
    ForkAnswer,
    ForkRequest,
    InstancePage,
    InstanceRow,
    ProposeRequest,
    RaiseBudgetRequest,
    StartRequest,
)

router = APIRouter(tags=["instances"])

WorkflowIdPath = Annotated[str, Path(min_length=1, max_length=64, description="The id of the instance.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        description="The same key and call give the same answer again, so a lost answer is safe to repeat.",
    ),
]
RequiredKey = Annotated[
    str,
    Header(alias="Idempotency-Key", min_length=1, max_length=128, description="The same key raises the budget once."),
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description='The revision on which the caller relies, as the ETag of a snapshot: "7".'),
]


@router.get("/instances", operation_id="listInstances")
async def list_all(
    serves: Serves,
    caller: Calls,
    *,
    workflow: Annotated[str | None, Query(max_length=128)] = None,
    state: Annotated[str | None, Query(max_length=128)] = None,
    person: Annotated[str | None, Query(max_length=255, description="Only instances that serve this person.")] = None,
    waiting: Annotated[WaitsFor | None, Query(description="Only instances that wait for this.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> InstancePage:
    """List instances of the caller's tenant, newest first: for an operator all of them, for others those that serve them."""
    if not caller.is_operator:
        person = caller.principal.id
    wanted = Wanted(caller.principal.tenant, workflow=workflow, state=state, served=person, waiting=waiting)
    found = await run_in_threadpool(listed, serves, wanted, limit, cursor)
    return InstancePage(
        instances=tuple(_row(one) for one in found.instances),
        next=found.next,
    )


@router.post("/workflows/{name}/instances", operation_id="startInstance", status_code=HTTPStatus.CREATED)
async def start(name: str, body: StartRequest, serves: Serves, caller: Calls, response: Response) -> InstanceSnapshot:
    """Start an instance, without a model's turn. Repeated calls with the same `workflowId` start it once."""
    instances = serves.workflows.named(name).instances
    snapshot = await instances.astart(
        principal=caller.principal, data=body.data, workflow_id=body.workflow_id, served=body.served
    )
    response.headers["ETag"] = f'"{snapshot.revision}"'
    response.headers["Location"] = f"/v1/instances/{part(snapshot.workflow_id)}"
    return snapshot


@router.get("/instances/{workflow_id}", operation_id="getInstance")
async def get_one(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls, response: Response) -> InstanceSnapshot:
    """Return the current state of an instance, whose revision is the ETag. The next allowed tools are the caller's; for an operator, those of the principal who started it."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    snapshot = await found.instances.asnapshot(workflow_id, by=caller.looks_as)
    response.headers["ETag"] = f'"{snapshot.revision}"'
    return snapshot


@router.get("/instances/{workflow_id}/explanation", operation_id="explainInstance")
async def explain(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls) -> Explanation:
    """Explain the state of an instance: what it waits for and who decides, why each other tool is not allowed, and what to do next."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    return await found.instances.aexplain(workflow_id, by=caller.looks_as)


@router.get(
    "/instances/{workflow_id}/picture",
    operation_id="getPicture",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}}},
)
async def picture(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls) -> Response:
    """Return the picture of the workflow, with the instance's state highlighted."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    drawn = await found.instances.apicture(workflow_id, by=caller.looks_as)
    return Response(drawn.svg, media_type="image/svg+xml")


@router.post(
    "/instances/{workflow_id}/proposals",
    operation_id="propose",
    response_model=CommandResult | ReadResult,
    responses={
        202: {"model": Pending, "description": "A person has to decide first."},
    },
)
async def propose(
    workflow_id: WorkflowIdPath,
    body: ProposeRequest,
    serves: Serves,
    caller: Calls,
    request: Request,
    *,
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Any:
    """Call a tool on an instance. The graph decides whether it may run now, and whether a person has to decide first.

    A command needs an `Idempotency-Key` or `If-Match`. A denial is answered with problem details that contain the whole result.
    """
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    try:
        answer = await found.instances.apropose(
            workflow_id,
            body.tool,
            body.arguments,
            principal=caller.principal,
            key=idempotency_key,
            revision=revision_of(if_match),
        )
    except RevisionConflict as error:
        status = HTTPStatus.PRECONDITION_FAILED if if_match is not None else HTTPStatus.CONFLICT
        return of_error(request, error, status)
    return answered(answer, request)


@router.get(
    "/instances/{workflow_id}/proposals/{proposal_id}",
    operation_id="getProposal",
    response_model=CommandResult | ReadResult,
    responses={
        202: {"model": Pending, "description": "It still waits for a person."},
    },
)
async def proposal(
    workflow_id: WorkflowIdPath, proposal_id: str, serves: Serves, caller: Calls, request: Request
) -> Any:
    """Return the status of a proposal that needs a decision. The proposer's request executes it once it is granted."""
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    return answered(await found.instances.aproposal(proposal_id, by=caller.principal), request)


@router.delete(
    "/instances/{workflow_id}/proposals/{proposal_id}",
    operation_id="withdrawProposal",
    response_model=ErrorResult,
)
async def withdraw(workflow_id: WorkflowIdPath, proposal_id: str, serves: Serves, caller: Calls) -> Any:
    """Withdraw a proposal before it is executed. The answer is the error result that the proposal has from now on."""
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    return JSONResponse((await found.instances.awithdraw(proposal_id, by=caller.principal)).to_json())


@router.post("/instances/{workflow_id}/resume", operation_id="resumeInstance")
async def resume(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls) -> InstanceSnapshot:
    """Resume the thread of an instance from where it waits, on behalf of its proposers."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    await found.instances.aresume(workflow_id, by=caller.looks_as)
    return await found.instances.asnapshot(workflow_id, by=caller.looks_as)


@router.post("/instances/{workflow_id}/cancellation", operation_id="cancelInstance")
async def cancel(workflow_id: WorkflowIdPath, body: CancelRequest, serves: Serves, caller: Calls) -> Cancellation:
    """Cancel an instance: no other tool may be called, and executed calls are undone, newest first. It is safe to repeat.

    The workflow's cancel rule determines who may.
    """
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    return await found.instances.acancel(workflow_id, body.reason, by=caller.principal)


@router.get("/instances/{workflow_id}/cancellation", operation_id="getCancellation")
async def cancellation(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls) -> Cancellation:
    """Return the status of a cancel: which calls were undone, and which are left for a person."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    became = await found.instances.acancellation(workflow_id, by=caller.looks_as)
    if became is None:
        raise InputError(f"Nobody has cancelled {workflow_id}. Nothing was done.", code="not_cancelled")
    return became


@router.get("/instances/{workflow_id}/budgets", operation_id="listBudgets")
async def budgets(workflow_id: WorkflowIdPath, serves: Serves, caller: Calls) -> BudgetList:
    """List each budget in which the next model call on an instance is counted, with its use, except budgets of a turn."""
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    return BudgetList(budgets=tuple(await found.instances.abudgets(workflow_id, by=caller.looks_as)))


@router.post("/instances/{workflow_id}/budgets/{name}/raise", operation_id="raiseBudget")
async def raise_budget(
    workflow_id: WorkflowIdPath,
    name: Annotated[str, Path(min_length=1, max_length=64)],
    body: RaiseBudgetRequest,
    serves: Serves,
    caller: Calls,
    *,
    idempotency_key: RequiredKey,
) -> BudgetStanding:
    """Raise a budget. This requires the role that the budget names; nobody raises a budget for themselves."""
    found = await run_in_threadpool(serves.workflows.of_instance, workflow_id, caller)
    return await found.instances.araise_budget(
        workflow_id, name, body.more, by=caller.principal, reason=body.reason, key=idempotency_key
    )


@router.post("/instances/{workflow_id}/fork", operation_id="forkInstance", status_code=HTTPStatus.CREATED)
async def fork(workflow_id: WorkflowIdPath, body: ForkRequest, serves: Serves, caller: Calls) -> ForkAnswer:
    """Start a new instance from a checkpoint of this one's thread; no command is executed again."""
    found = await run_in_threadpool(seen, serves, workflow_id, caller)
    config = found.config(body.checkpoint_id)
    made = await found.instances.afork(config, thread_id=body.thread_id, principal=caller.looks_as)
    return ForkAnswer(thread_id=made["configurable"]["thread_id"], workflow_id=found.instances.id_of(made))


@router.post("/instances/{workflow_id}/erasure", operation_id="eraseInstance")
async def erase(workflow_id: WorkflowIdPath, body: EraseRequest, serves: Serves, caller: Calls) -> Erased:
    """Erase the payloads of an instance's audit trail, or its conversation; the trail still verifies. For operators."""
    return Erased(erased=await run_in_threadpool(erasing, serves, workflow_id, body.what, body.reason, caller))


def _row(one: Listed) -> InstanceRow:
    instance = one.instance
    return InstanceRow(
        workflow_id=instance.workflow_id,
        workflow=instance.workflow,
        version=instance.workflow_version,
        state=instance.state,
        revision=instance.revision,
        served=instance.served,
        thread_id=instance.thread_id,
        is_final=instance.finished,
        waits_for=one.waits_for,
        created_at=moment(instance.created_at),
        updated_at=moment(instance.updated_at),
    )


def revision_of(if_match: str | None) -> int | None:
    """The revision in an If-Match header.

    Raises:
        InputError: It is not a revision.
    """
    if if_match is None:
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InputError(
            f'If-Match has to be the ETag of a snapshot, a revision such as "7"; it is {if_match[:80]!r}. Nothing was done.',
            code="invalid_request",
        )
    return int(text)


def answered(answer: Result | Pending, request: Request) -> JSONResponse:
    """The response to a call: 200 if it was executed, 202 if a person has to decide, problem details if it was denied."""
    if isinstance(answer, ErrorResult):
        return denied(answer, request)
    if isinstance(answer, Pending):
        where = f"/v1/instances/{part(answer.workflow_id)}/proposals/{answer.pending.proposal_id}"
        return JSONResponse(answer.to_json(), HTTPStatus.ACCEPTED, {"Location": where})
    return JSONResponse(answer.to_json(), headers={"ETag": f'"{answer.revision}"'})
