"""The resources: a workflow as diagram and data, and an instance's snapshot, audit trail and picture."""

import json
import re
from urllib.parse import quote, unquote

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Resource, ResourceTemplate, TextResourceContents

from ...pictures.picture import picture_of
from ...rules.definition import Definition
from ...tools.canonical import JSON, JsonObject, canonical_json
from ...tools.errors import InterlockError
from ...tools.principal import Principal
from .answers import as_named
from .calls import workflow_instance
from .catalog import Catalog, ServedWorkflow

BASE = "interlock://workflows"
_URI = re.compile(
    r"interlock://workflows/([^/]+)/(?:(diagram|definition|picture)|instances/([^/]+)/(snapshot|audit|picture))"
)
_KINDS = {
    "diagram": ("text/vnd.mermaid", "The workflow's states and edges as Mermaid text."),
    "definition": ("application/json", "The workflow's states, edges and claims as data."),
    "picture": ("image/svg+xml", "The workflow as a picture."),
}
_OF_INSTANCE = {
    "snapshot": (
        "application/json",
        "The state of the instance: state, revision, data, next allowed tools, pending decisions.",
    ),
    "audit": ("application/json", "The audit trail of the instance, oldest record first."),
    "picture": ("image/svg+xml", "The workflow with the instance's state lit."),
}


class Resources:
    """The resources of a server.

    Args:
        catalog: Its workflows.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def listed(self) -> list[Resource]:
        """The resources of each workflow."""
        return [
            Resource(uri=f"{base_of(one)}/{kind}", name=f"{one.name}-{kind}", description=told, mime_type=mime_type)
            for one in self._catalog.workflows
            for kind, (mime_type, told) in _KINDS.items()
        ]

    def templates(self) -> list[ResourceTemplate]:
        """The resource templates for instances."""
        return [
            ResourceTemplate(
                uri_template=f"{base_of(one)}/instances/{{workflowId}}/{kind}",
                name=f"{one.name}-instance-{kind}",
                description=told,
                mime_type=mime_type,
            )
            for one in self._catalog.workflows
            for kind, (mime_type, told) in _OF_INSTANCE.items()
        ]

    async def read(self, uri: str, by: Principal) -> tuple[TextResourceContents, bool]:
        """Read one.

        Args:
            uri: The listed URI.
            by: The reader.

        Returns:
            The contents, and whether they are the same for everybody.

        Raises:
            MCPError: This principal has no resource with this URI.
        """
        found = _URI.fullmatch(uri)
        workflow = None if found is None else self._catalog.workflow(unquote(found[1]))
        if found is None or workflow is None:
            raise not_found(uri)
        if found[2] is not None:
            text = _whole(workflow.definition, found[2])
            return TextResourceContents(uri=uri, mime_type=_KINDS[found[2]][0], text=text), True
        kind = found[4]
        try:
            text = await self._of_instance(workflow, unquote(found[3]), kind, by)
        except InterlockError as error:
            raise not_found(uri) from error
        return TextResourceContents(uri=uri, mime_type=_OF_INSTANCE[kind][0], text=text), False

    async def _of_instance(self, workflow: ServedWorkflow, which: str, kind: str, by: Principal) -> str:
        await workflow_instance(workflow, which, by)
        instances = workflow.instances
        if kind == "picture":
            return (await workflow.look(lambda: instances.picture(which, principal=by))).svg
        if kind == "audit":
            trail = await workflow.look(lambda: instances.audit(which, by=by))
            return json.dumps([one.to_json() for one in trail], ensure_ascii=False)
        snapshot = await workflow.look(lambda: instances.snapshot(which, principal=by))
        return canonical_json(as_named(workflow, snapshot.to_json()))


def not_found(uri: str) -> MCPError:
    """The error for a resource that does not exist, or not for this caller."""
    return MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri})


def as_data(definition: Definition) -> JsonObject:
    """A workflow as data: the tools of each state, and their target states."""
    states: list[JSON] = [{"name": one.name, "kind": one.kind.value} for one in definition.states.values()]
    edges: list[JSON] = [
        {
            "from": edge.source,
            "tool": edge.tool.name,
            "kind": edge.tool.kind.value,
            "to": edge.target,
            "approval": None if edge.approval is None else edge.approval.to_json(),
        }
        for edge in definition.edges
    ]
    return {
        "schemaVersion": 1,
        "workflow": definition.name,
        "version": definition.version,
        "initial": definition.initial,
        "states": states,
        "edges": edges,
        "claims": [*definition.claims],
    }


def _whole(definition: Definition, kind: str) -> str:
    if kind == "definition":
        return canonical_json(as_data(definition))
    picture = picture_of(definition)
    return picture.svg if kind == "picture" else picture.to_mermaid()


def base_of(workflow: ServedWorkflow) -> str:
    """The prefix of a workflow's URIs."""
    return f"{BASE}/{quote(workflow.name, safe='')}"


__all__ = ["Resources", "as_data", "base_of", "not_found"]
