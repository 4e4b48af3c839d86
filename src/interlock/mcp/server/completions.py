"""Completes the id of an instance in a prompt or the URI of a resource."""

from mcp_types import CompleteRequestParams, PromptReference

from ...commands.running.access import why_not_run
from ...tools.principal import Principal
from . import schemas
from .catalog import Catalog, ServedWorkflow
from .prompts import NAME
from .resources import base_of

MOST = 100
"""The protocol's maximum number of values per answer."""


async def completions(catalog: Catalog, params: CompleteRequestParams, by: Principal) -> list[str]:
    """The ids with this prefix of instances that this principal may run, the most recently changed first."""
    workflow = _meant(catalog, params)
    if workflow is None or params.argument.name != schemas.WORKFLOW_ID:
        return []
    engine = workflow.graph.engine
    # Only of the newest ones, because people look at no more than a screen of ids.
    newest = await workflow.look(
        lambda: engine.store.instances(workflow=workflow.name, tenant=by.tenant, limit=10 * MOST)
    )
    mine = (one.workflow_id for one in newest if why_not_run(engine, one, by) is None)
    return [one for one in mine if one.startswith(params.argument.value)][:MOST]


def _meant(catalog: Catalog, params: CompleteRequestParams) -> ServedWorkflow | None:
    for one in catalog.workflows:
        if isinstance(params.ref, PromptReference):
            if params.ref.name == f"{one.prefix}{NAME}":
                return one
        elif params.ref.uri.startswith(f"{base_of(one)}/instances/"):
            return one
    return None


__all__ = ["completions"]
