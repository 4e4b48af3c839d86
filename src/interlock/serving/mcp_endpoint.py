"""Serves the workflows of a service to MCP clients at `/mcp`: needs the extra `mcp`, whose SDK is imported at the first request."""

import asyncio
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..graphs import WorkflowGraph
from ..tools.errors import InputError
from ..tools.principal import Principal
from ..tools.urls import parts_of
from .context import Service, caller_of

if TYPE_CHECKING:
    from ..mcp.server.identity import Caller

PATH = "/mcp"


class MCPEndpoint:
    """Serves the workflows of a service to MCP clients, with the service's callers, and without tools that decide.

    Args:
        service: The service.
        resource: The public URL of the endpoint, for which tokens are issued; None if the service identifies callers otherwise.

    Raises:
        InputError: The extra is not installed, or bearer tokens are verified and there is no URL as their audience.
    """

    def __init__(self, service: Service, resource: str | None) -> None:
        if importlib.util.find_spec("mcp") is None:
            raise InputError(
                "MCP clients are served with packages that are not installed. Nothing is served; install langgraph-interlock[mcp], or leave mcp= out.",
                code="not_installed",
            )
        tokens = service.callers.tokens
        if (tokens is None) is not (resource is None):
            raise InputError(
                "MCP clients hold tokens for the MCP endpoint alone: with one for the service, an assistant could decide at the API on what it "
                "proposed. Nothing is served; with tokens= give mcp= the endpoint's URL, such as https://desk.example/mcp, and without give True.",
                code="settings",
            )
        if resource is not None and (
            tokens is None or resource == tokens.audience or parts_of(resource, "The URL for MCP clients").path != PATH
        ):
            raise InputError(
                f"{resource!r} is not a URL for the tokens of MCP clients. Nothing is served; pass another one than the service's audience, whose path is "
                f"{PATH}.",
                code="settings",
            )
        self._service, self._resource = service, resource
        self._ready: asyncio.Future[ASGIApp] | None = None
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def routes(self) -> list[Route]:
        """The routes: its path, and the metadata with the issuer of tokens (RFC 9728)."""
        paths = [PATH] if self._resource is None else [PATH, f"/.well-known/oauth-protected-resource{PATH}"]
        return [Route(path, self, include_in_schema=False) for path in paths]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            Unauthenticated: The caller cannot be identified.
        """
        if self._resource is None:
            await caller_of(Request(scope))
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._ready))
        app = await asyncio.shield(self._ready)
        await app(scope, receive, send)

    async def close(self) -> None:
        """Stop it, if any request came."""
        self._stop.set()
        if self._running is not None:
            await self._running

    async def _run(self, ready: "asyncio.Future[ASGIApp]") -> None:
        """Run the context around the requests, in one task from start to end."""
        try:
            server, app = await asyncio.to_thread(self._made)
        except Exception as error:
            self._ready = None  # the next request retries
            ready.set_exception(error)
            return
        async with server.lifespan():
            ready.set_result(app)
            await self._stop.wait()

    def _made(self) -> tuple[Any, ASGIApp]:
        from ..mcp import JWTVerifier, WorkflowServer  # noqa: PLC0415 -- the SDK takes seconds to import

        server = WorkflowServer(
            named(self._service.workflows.by_name), principal=self._principal, name=self._service.title
        )
        tokens = self._service.callers.tokens
        if tokens is None or self._resource is None:
            # An application that identifies callers also checks host names; in development, only this machine's own are accepted.
            hosts = () if self._service.callers.development is not None else None
            return server, server.http_app(path=PATH, hosts=hosts)
        verifier = tokens.verifier(JWTVerifier, self._resource)
        return server, server.http_app(path=PATH, tokens=verifier, issuer=verifier.issuer, resource=self._resource)

    def _principal(self, caller: "Caller") -> Principal:
        tokens = self._service.callers.tokens
        if tokens is not None:
            return tokens.current(caller.claims or {})
        found: Principal = caller.request.state.interlock_caller.principal  # set by `__call__`
        return found


def add_mcp(app: FastAPI, service: Service, mcp: bool | str) -> MCPEndpoint | None:
    """Serve a service's workflows to MCP clients, if configured.

    Args:
        app: The service's application.
        service: The service.
        mcp: The endpoint's URL if clients have tokens; True if callers are identified otherwise; False for no endpoint.

    Raises:
        InputError: A setting cannot be used.
    """
    if mcp is False:
        return None
    endpoint = MCPEndpoint(service, None if mcp is True else mcp)
    app.router.routes.extend(endpoint.routes())
    return endpoint


def named(graphs: Mapping[str, WorkflowGraph]) -> WorkflowGraph | dict[str, WorkflowGraph]:
    """The workflows by the prefix of their tools: empty for a single one, else the name, as far as clients accept it.

    Raises:
        InputError: Two would have the same prefix.
    """
    if len(graphs) == 1:
        return next(iter(graphs.values()))
    found: dict[str, WorkflowGraph] = {}
    for name, graph in graphs.items():
        short = name.replace("-", "_")[:24]
        if short in found:
            raise InputError(
                f"The tools of two workflows would begin with {short}__ for MCP clients. Nothing is served; give the workflows other names.",
                code="settings",
            )
        found[short] = graph
    return found


__all__ = ["MCPEndpoint", "add_mcp", "named"]
