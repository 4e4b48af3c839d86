"""Completing the id of an instance, where a person fills in a prompt or the URI of a resource."""

from mcp_types import CompleteRequestParams, PromptReference

from ...commands.running.access import why_not_run
from ...tools.principal import Principal
from . import schemas
from .catalog import Catalog, ServedWorkflow
from .prompts import NAME
from .resources import base_of

MOST = 100
"""How many values one answer may have, by the protocol."""


async def completions(catalog: Catalog, params: CompleteRequestParams, by: Principal) -> list[str]:
    """The ids of the instances that this principal may run and that begin so, the one that changed last first."""
    workflow = _meant(catalog, params)
    if workflow is None or params.argument.name != schemas.WORKFLOW_ID:
        return []
    engine = workflow.graph.engine
    # Of the newest ones: nobody looks through more than a screen of ids.
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
