"""The prompts for clients: the state's own prompt, with the state of the instance and the next allowed tools."""

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from ...tools.errors import InputError
from ...tools.principal import Principal
from . import schemas
from .calls import workflow_instance
from .catalog import Catalog, Does

NAME = "workflow_state"


class Prompts:
    """The prompts of a server: one for each workflow.

    Args:
        catalog: Its workflows.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._by_name = {f"{one.prefix}{NAME}": one for one in catalog.workflows}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all."""
        return tuple(self._by_name)

    def listed(self) -> list[Prompt]:
        """Every prompt."""
        return [
            Prompt(
                name=name,
                title=f"Continue with {one.name}",
                description=f"What to do in the state that an instance of the workflow {one.name!r} is in.",
                arguments=[]
                if one.pinned is not None
                else [PromptArgument(name=schemas.WORKFLOW_ID, description="The workflow instance.", required=True)],
            )
            for name, one in self._by_name.items()
        ]

    async def get(self, name: str, arguments: dict[str, str], by: Principal) -> GetPromptResult:
        """Write one.

        Raises:
            MCPError: There is none of this name.
            InterlockError: There is no such instance for this principal.
        """
        workflow = self._by_name.get(name)
        if workflow is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name[:100]}")
        which = workflow.pinned or arguments.get(schemas.WORKFLOW_ID)
        if not which:
            raise InputError(
                f"The prompt {name} needs {schemas.WORKFLOW_ID}. Nothing was written; give the id of an instance."
            )
        instance = await workflow_instance(workflow, which, by)
        engine = workflow.graph.engine
        view = engine.view(instance, by)
        state = workflow.definition.states.get(instance.state)
        prompt = None if state is None else state.prompt

        def looked() -> tuple[str | None, str]:
            told = prompt(view) if callable(prompt) else prompt
            return told, ", ".join(workflow.names[one] for one in engine.offered(view)) or "none"

        own, allowed = await engine.store.database.arun(looked)
        stands = (
            f"The workflow instance {which} of {workflow.name!r} is in the state {instance.state!r} at revision {instance.revision}. Tools that may be "
            f"called now: {allowed}. Give each call workflowId {which!r} and the revision of the last result as expectedRevision. Where a result says "
            f"that a decision is pending, a person decides, and nobody else; ask with {workflow.prefix}{Does.PROPOSAL.value} what became of it."
        )
        text = stands if own is None else f"{own}\n\n{stands}"
        return GetPromptResult(
            description=f"The state {instance.state!r} of {workflow.name!r}.",
            messages=[PromptMessage(role="user", content=TextContent(text=text))],
        )


__all__ = ["NAME", "Prompts"]
