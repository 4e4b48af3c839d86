"""`interlock mcp serve` and `interlock mcp approve`: workflows for MCP clients, and what waits for a decision for people."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...graphs import WorkflowGraph
from ...tools.errors import InputError
from ..support.loading import DbOption, load_app
from ..support.output import console

if TYPE_CHECKING:
    from ...mcp.server.hosting import Hosted
    from ...mcp.server.tokens import JWTVerifier

AppsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--app",
        envvar="INTERLOCK_APP",
        metavar="[NAME=]MODULE:WORKFLOW",
        help="The workflow in your code, as module:workflow. For several, pass NAME=module:workflow; their tools begin with the name. Repeatable.",
    ),
]
StdioOption = Annotated[bool, typer.Option("--stdio", help="Serve one client over standard input and output.")]
HttpOption = Annotated[str | None, typer.Option("--http", metavar="HOST:PORT", help="Serve clients over HTTP.")]
IssuerOption = Annotated[
    str | None,
    typer.Option("--issuer", envvar="INTERLOCK_ISSUER", metavar="URL", help="The issuer of access tokens."),
]
ResourceOption = Annotated[
    str | None,
    typer.Option(
        "--resource",
        envvar="INTERLOCK_RESOURCE",
        metavar="URL",
        help="The URL under which clients know this server; tokens must be issued for it.",
    ),
]
KeysOption = Annotated[
    str | None,
    typer.Option(
        "--keys",
        envvar="INTERLOCK_KEYS",
        metavar="URL|FILE",
        help="The issuer's public keys: the URL of its JWK Set, or a file with it or with one key in PEM.",
    ),
]
ScopeOption = Annotated[list[str] | None, typer.Option("--scope", help="A scope that a token must have. Repeatable.")]
SubjectOption = Annotated[str, typer.Option("--subject-claim", help="The claim with the person's id.")]
RolesOption = Annotated[str, typer.Option("--roles-claim", help="The claim with the person's roles.")]
TenantOption = Annotated[
    str, typer.Option("--tenant-claim", help="The claim with the person's tenant. Empty: there is only one tenant.")
]
HostsOption = Annotated[
    list[str] | None,
    typer.Option("--host", help="A further host name for requests, such as desk.example:443. Repeatable."),
]
PathOption = Annotated[str, typer.Option("--path", help="The path for HTTP requests.")]


def register(topic: typer.Typer) -> None:
    """Add the commands."""
    topic.command()(serve)
    topic.command()(approve)


def serve(  # noqa: PLR0917 -- the options of a command
    app: AppsOption = None,
    db: DbOption = None,
    stdio: StdioOption = False,
    http: HttpOption = None,
    instance: Annotated[
        str | None,
        typer.Option("--instance", metavar="ID", help="Serve only this instance, so that calls need not name it."),
    ] = None,
    start_field: Annotated[
        list[str] | None,
        typer.Option(
            "--start-field",
            metavar="FIELD",
            help="A field of the data that a client may set when it starts an instance. Repeatable.",
        ),
    ] = None,
    requests_per_minute: Annotated[
        int, typer.Option(min=1, help="The maximum number of requests per caller and minute, in this process.")
    ] = 240,
    issuer: IssuerOption = None,
    resource: ResourceOption = None,
    keys: KeysOption = None,
    scope: ScopeOption = None,
    subject_claim: SubjectOption = "sub",
    roles_claim: RolesOption = "roles",
    tenant_claim: TenantOption = "tenant",
    host: HostsOption = None,
    path: PathOption = "/mcp",
) -> None:
    """Serve the tools of workflows to MCP clients, gated at each call. None of the tools can approve anything. Over
    HTTP, access tokens identify callers: pass --issuer, --resource and --keys. Over standard input and output, the
    client's configuration identifies the caller in the environment variables INTERLOCK_AS, INTERLOCK_ROLES and
    INTERLOCK_TENANT.
    """
    _one_of(stdio, http)
    # The import of the SDK takes seconds, for which no other command should wait.
    from ...mcp.server.identity import ClaimNames, from_environment  # noqa: PLC0415
    from ...mcp.server.limits import ServerLimits  # noqa: PLC0415
    from ...mcp.server.workflow_server import WorkflowServer  # noqa: PLC0415

    claims = ClaimNames(subject_claim, roles_claim, tenant_claim)
    tokens = _tokens(issuer, resource, keys) if http is not None else None
    source = claims if http is not None else from_environment()
    with _graphs(app, db) as graphs:
        server = WorkflowServer(
            _alone(graphs),
            principal=source,
            workflow_id=instance,
            start_fields=start_field or (),
            limits=ServerLimits(requests_per_minute=requests_per_minute),
        )
        _run(server, http, tokens, issuer=issuer, resource=resource, scopes=scope or (), hosts=host or (), path=path)


def approve(  # noqa: PLR0917 -- the options of a command
    app: AppsOption = None,
    db: DbOption = None,
    stdio: StdioOption = False,
    http: HttpOption = None,
    issuer: IssuerOption = None,
    resource: ResourceOption = None,
    keys: KeysOption = None,
    scope: ScopeOption = None,
    subject_claim: SubjectOption = "sub",
    roles_claim: RolesOption = "roles",
    tenant_claim: TenantOption = "tenant",
    host: HostsOption = None,
    path: PathOption = "/mcp",
) -> None:
    """Serve pending approvals to approvers, in their own assistant: list, show, decide. This server is separate from
    the proposers' server, and identifies people only by access tokens: pass --issuer, --resource (not the other
    server's) and --keys. Over standard input and output, the token is in the environment variable INTERLOCK_TOKEN.
    """
    _one_of(stdio, http)
    from ...mcp.server.approval_server import ApprovalServer  # noqa: PLC0415
    from ...mcp.server.identity import TOKEN, ClaimNames  # noqa: PLC0415

    claims = ClaimNames(subject_claim, roles_claim, tenant_claim)
    tokens = _tokens(issuer, resource, keys)
    token = None
    if http is None:
        token = os.environ.get(TOKEN)
        if not token:
            raise InputError(
                f"Who decides is not known: {TOKEN} is not set. Nothing was served; set it to an access token of the person, for {resource}.",
                code="no_token",
            )
        tokens.claims(token)  # report an invalid token at once
    with _graphs(app, db) as graphs:
        server = ApprovalServer(_alone(graphs), tokens=tokens, claims=claims, token=token)
        _run(server, http, tokens, issuer=issuer, resource=resource, scopes=scope or (), hosts=host or (), path=path)


def _one_of(stdio: bool, http: str | None) -> None:
    if stdio is (http is not None):
        raise InputError(
            "How clients reach the server was not said, or twice. Nothing was served; pass --stdio, or --http HOST:PORT."
        )


def _tokens(issuer: str | None, resource: str | None, keys: str | None) -> "JWTVerifier":
    from ...mcp.server.tokens import JWTVerifier, read_keys  # noqa: PLC0415

    missing = [name for name, given in (("--issuer", issuer), ("--resource", resource), ("--keys", keys)) if not given]
    if issuer is None or resource is None or keys is None or missing:
        raise InputError(
            f"Callers are known by access tokens, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. Nothing was served; give "
            "who issues tokens, the URL of this server that they are for, and where the issuer's public keys are.",
            code="no_issuer",
        )
    return JWTVerifier(issuer=issuer, audience=resource, keys=read_keys(keys))


@contextmanager
def _graphs(apps: list[str] | None, db: str | None) -> Iterator[dict[str, WorkflowGraph]]:
    named = dict(_named(spec) for spec in apps or [""])
    if len(named) < len(apps or [""]) or (len(named) > 1 and "" in named):
        raise InputError(
            "Several workflows are served, and some have no name or the same name. Nothing was served; pass --app NAME=MODULE:WORKFLOW for each."
        )
    loaded = {name: load_app(spec or None) for name, spec in named.items()}
    graphs = {name: one.graph(db) for name, one in loaded.items()}
    try:
        yield graphs
    finally:
        for name, graph in graphs.items():
            if graph is not loaded[name].workflow:  # compiled here, and not by the application
                graph.engine.store.close()


def _named(spec: str) -> tuple[str, str]:
    name, equals, rest = spec.partition("=")
    return (name, rest) if equals else ("", spec)


def _alone(graphs: Mapping[str, WorkflowGraph]) -> Any:
    return next(iter(graphs.values())) if len(graphs) == 1 else graphs


def _run(
    server: "Hosted",
    http: str | None,
    tokens: "JWTVerifier | None",
    *,
    issuer: str | None,
    resource: str | None,
    scopes: Any,
    hosts: Any,
    path: str,
) -> None:
    import anyio  # noqa: PLC0415 -- as the SDK

    if http is None:
        anyio.run(server.serve_stdio)
        return
    import uvicorn  # noqa: PLC0415

    class Told(uvicorn.Server):
        """Prints the address when the server is ready."""

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                console(stderr=True).print(f"Serving MCP at http://{http}{path}. Stop it with Ctrl-C.")
                sys.stderr.flush()

    where, port = _address(http)
    app = server.http_app(path=path, tokens=tokens, issuer=issuer, resource=resource, scopes=scopes, hosts=hosts)
    Told(uvicorn.Config(app, host=where, port=port, log_level="warning", server_header=False)).run()


def _address(http: str) -> tuple[str, int]:
    where, colon, port = http.rpartition(":")
    if not colon or not where or not port.isdecimal() or int(port) > 65_535:
        raise InputError(f"--http: {http!r} is not HOST:PORT. Nothing was served; give for instance 127.0.0.1:8765.")
    return where.strip("[]"), int(port)


__all__ = ["approve", "register", "serve"]
