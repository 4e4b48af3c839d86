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

    Every tool of a workflow is listed, whatever state an instance is in; the gate decides at each call, and results say which tools
    may be called next. What a person must decide on waits for them: no tool here approves anything.

        server = WorkflowServer(graph, principal=ClaimNames())
        app = server.http_app(tokens=JWTVerifier(...), issuer="https://login.example", resource="https://desk.example/mcp")

    Args:
        workflows: A compiled workflow; or several, each by the name that its tools begin with.
        principal: Who calls: one principal for everybody who reaches the server, or a function of the verified token and the request.
        name: What clients show it as; by default the workflow's name.
        workflow_id: The one instance to serve, so that no call has to name it; by default all that the caller may run.
        start_fields: The fields of the workflow's data that a client may set when it starts an instance; none by default.
        instructions: What a client may tell its model about the tools as a whole.
        resources: What the application lets clients read beside what is of its workflows.
        prompts: The application's own prompts, beside those of the states.
        requires: By a tool's name, as it is listed: the capabilities of the protocol that a client has to declare to call it, such as
            `{"order_refund": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}` for clients that can wait for a decision.
        limits: Bounds on each caller.
        clock: Seconds that only go forward, for the limits.

    Raises:
        InputError: Two tools, prompts or resources would be called the same, or a name is none that clients take.
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
