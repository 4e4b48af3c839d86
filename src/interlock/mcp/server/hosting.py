"""The transports of all MCP servers of this package: HTTP as an ASGI application, and standard input and output."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...tools.errors import InputError
from ...tools.urls import parts_of
from .limits import ServerLimits

_LOOPBACK = ("127.0.0.1:*", "localhost:*", "[::1]:*")
_AROUND = 10_000
"""The maximum size of a request beyond its arguments."""


class Tidy:
    """Normalizes requests before the SDK reads them.

    White space around a header's value is not part of the value (RFC 9110), but some ASGI servers keep it. The protocol's optional stream
    from server to client is refused: nothing is ever sent on it, and each client could keep one open.

    Args:
        app: The served application.
        path: The path of the server.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "GET" and _within(scope) == self._path:
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
        else:
            headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
            await self._app({**scope, "headers": headers}, receive, send)


def _within(scope: Scope) -> str:
    """The path of a request within the served application, wherever it is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


class Hosted:
    """A server and its transports.

    Args:
        server: The SDK's low-level server.
        limits: The limits per caller.
    """

    def __init__(self, server: Server[Any], limits: ServerLimits) -> None:
        self._server = server
        self.limits = limits

    @property
    def server(self) -> Server[Any]:
        """The SDK's low-level server, for your own transport."""
        return self._server

    def http_app(
        self,
        *,
        path: str = "/mcp",
        tokens: TokenVerifier | None = None,
        issuer: str | None = None,
        resource: str | None = None,
        scopes: Sequence[str] = (),
        hosts: Sequence[str] | None = (),
    ) -> Starlette:
        """Make an ASGI application: run it directly, or mount it at the root of an application whose lifespan enters `lifespan`.

        It keeps no sessions, in either version of the protocol, so that any process can answer any request.

        Args:
            path: The full path of the server; the metadata of RFC 9728 are at the host's root.
            tokens: Verifies access tokens, such as a `JWTVerifier`; without it, the application in front of it authenticates callers, and
                `principal` identifies them.
            issuer: The authorization server for clients.
            resource: The public URL of this server, for which its tokens are issued.
            scopes: The scopes that a token must have.
            hosts: The accepted host names, in addition to loopback and the resource's; requests to others are refused. None if the
                application in front of it checks them.

        Raises:
            InputError: `tokens` is given without issuer or resource.
        """
        own = [] if resource is None else [parts_of(resource, "The URL of the resource").netloc]
        names = [*_LOOPBACK, *own, *(hosts or ())]
        origins = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
        app = self._server.streamable_http_app(
            streamable_http_path=path,
            json_response=False,  # an answer is still JSON, unless progress precedes it
            stateless_http=True,
            max_request_body_size=self.limits.request_bytes + _AROUND,
            transport_security=TransportSecuritySettings(
                enable_dns_rebinding_protection=hosts is not None, allowed_hosts=names, allowed_origins=origins
            ),
            auth=None if tokens is None else _resource_server(issuer, resource, scopes),
            token_verifier=tokens,
        )
        app.add_middleware(Tidy, path=path)
        return app

    def lifespan(self, app: Any = None) -> AbstractAsyncContextManager[Any]:
        """The context in which the application of `http_app` has to run when another application mounts it; otherwise it enters it itself.

        Args:
            app: The application that mounts it; not used.
        """
        del app
        return self._server.session_manager.run()

    async def serve_stdio(self) -> None:
        """Serve one client over standard input and output until it disconnects. Other output of the process goes to standard error."""
        async with stdio_server() as (incoming, outgoing):
            await self._server.run(incoming, outgoing, self._server.create_initialization_options())


def _resource_server(issuer: str | None, resource: str | None, scopes: Sequence[str]) -> AuthSettings:
    if issuer is None or resource is None:
        raise InputError(
            "Tokens are verified, and clients would not find out where to get one. Nothing was served; give issuer and resource as well."
        )
    return AuthSettings(
        issuer_url=AnyHttpUrl(issuer),
        resource_server_url=AnyHttpUrl(resource),
        required_scopes=[*scopes],
        validate_token_resource=True,
    )


__all__ = ["Hosted"]
