"""Workflows as an MCP server: `WorkflowServer`."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .catalog import Catalog, Served, workflows_of
from .hosting import Hosted
from .identity import PrincipalSource
from .limits import Meter, ServerLimits
from .material import ServedPrompt, ServedResource
from .requests import build


class WorkflowServer(Hosted):
    """Serves compiled workflows to MCP clients, over HTTP or standard input and output.

    All tools of a workflow are listed, in whatever state an instance is; the gate decides at each call, and results contain the tools
    that may be called next. If a person has to decide, the call waits for that: no tool here approves anything.

        server = WorkflowServer(graph, principal=ClaimNames())
        app = server.http_app(tokens=JWTVerifier(...), issuer="https://login.example", resource="https://desk.example/mcp")

    Args:
        workflows: A compiled workflow; or several, each by the prefix of its tools.
        principal: The caller: one principal for everybody who reaches the server, or a function of the verified token and the request.
        name: The name that clients show; by default the workflow's name.
        workflow_id: The only served instance, so that calls do not have to name it; by default all that the caller may run.
        start_fields: The fields of the workflow's data that a client may set when it starts an instance; by default none.
        instructions: Instructions for the clients' models about the tools as a whole.
        resources: The application's own resources, in addition to those of its workflows.
        prompts: The application's own prompts, in addition to those of the states.
        requires: The capabilities of the protocol that a client has to declare to call a tool, by the tool's listed name, such as
            `{"order_refund": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}` for clients that can wait for a decision.
        limits: The limits per caller.
        clock: A monotonic clock in seconds, for the limits.

    Raises:
        InputError: Two tools, prompts or resources have the same name, or clients would refuse a name.
    """

    def __init__(
        self,
        workflows: Served | Mapping[str, Served],
        *,
        principal: PrincipalSource,
        name: str | None = None,
        workflow_id: str | None = None,
        start_fields: Iterable[str] = (),
        instructions: str | None = None,
        resources: Iterable[ServedResource] = (),
        prompts: Iterable[ServedPrompt] = (),
        requires: Mapping[str, Mapping[str, Any]] | None = None,
        limits: ServerLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = limits or ServerLimits()
        self._catalog = Catalog(workflows_of(workflows, pinned=workflow_id, start_fields=start_fields), requires)
        self.name = name or "-".join(one.name for one in self._catalog.workflows)[:64]
        server = build(
            self._catalog,
            principal,
            limits,
            Meter(limits, clock),
            name=self.name,
            instructions=instructions,
            resources=resources,
            prompts=prompts,
        )
        super().__init__(server, limits)

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of all tools, as they are listed."""
        return tuple(self._catalog.tools)


__all__ = ["WorkflowServer"]
