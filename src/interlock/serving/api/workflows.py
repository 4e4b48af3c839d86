"""Endpoints for the served workflows: definitions, contracts, diagrams and statistics."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from ...graphs import WorkflowGraph
from ...pictures.picture import picture_of
from ...pictures.picture_data import Drawing
from ..access import operators_only
from ..context import Calls, Serves
from ..moments import moment
from .shapes import Statistics, WorkflowDescription, WorkflowList, WorkflowSummary, rows

router = APIRouter(tags=["workflows"])


@router.get("/workflows", operation_id="listWorkflows")
async def list_workflows(serves: Serves, caller: Calls) -> WorkflowList:
    """List the served workflows."""
    del caller
    return WorkflowList(workflows=tuple(_summary(graph) for graph in serves.workflows))


@router.get("/workflows/{name}", operation_id="getWorkflow")
async def get_workflow(name: str, serves: Serves, caller: Calls) -> WorkflowDescription:
    """Return a complete workflow: states, edges, waits and the contracts of its tools."""
    del caller
    graph = serves.workflows.named(name)
    definition = graph.engine.definition
    return WorkflowDescription(
        **_summary(graph).model_dump(),
        drawing=Drawing.of(definition).to_json(),
        contracts=tuple(
            contract.to_wire().model_dump(mode="json", by_alias=True) for contract in definition.contracts.values()
        ),
    )


@router.get(
    "/workflows/{name}/diagram",
    operation_id="getDiagram",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}, "text/vnd.mermaid": {}}}},
)
async def get_diagram(
    name: str, serves: Serves, caller: Calls, form: Annotated[Literal["svg", "mermaid"], Query(alias="format")] = "svg"
) -> Response:
    """Return the workflow's states and edges as a picture, or as Mermaid text."""
    del caller
    picture = picture_of(serves.workflows.named(name).engine.definition)
    if form == "mermaid":
        return Response(picture.to_mermaid(), media_type="text/vnd.mermaid")
    return Response(picture.svg, media_type="image/svg+xml")


@router.get("/workflows/{name}/statistics", operation_id="getStatistics")
async def get_statistics(name: str, serves: Serves, caller: Calls) -> Statistics:
    """Return the outcomes of the workflow's proposals in the caller's tenant, by tool and by approval, as of `countedAt`. For operators."""
    operators_only(caller, "figures of the whole tenant")
    instances, tenant = serves.workflows.named(name).instances, caller.principal.tenant

    def count() -> Statistics:
        tools, outcomes = instances.tool_stats(tenant=tenant), instances.outcomes(tenant=tenant)
        return Statistics(workflow=name, tools=rows(tools), outcomes=rows(outcomes))

    counted, at = await serves.figures.of(("statistics", tenant, name), count)
    figures: Statistics = counted
    return figures.model_copy(update={"counted_at": moment(int(at * 1_000_000))})


def _summary(graph: WorkflowGraph) -> WorkflowSummary:
    definition = graph.engine.definition
    return WorkflowSummary(
        name=definition.name,
        version=definition.version,
        fingerprint=definition.fingerprint,
        initial_state=definition.initial,
        states=tuple(definition.states),
    )
