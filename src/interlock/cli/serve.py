"""`interlock serve`: the HTTP API and the console."""

import contextlib
import importlib.util
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..events.brokers import open_bus
from ..events.webhooks import Webhook
from ..tools.errors import InputError
from .support.loading import DbOption, database_url, load_app
from .support.output import console

DEMO_DB = "interlock-serve.db"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    apps: Annotated[
        list[str] | None,
        typer.Option(
            "--app",
            envvar="INTERLOCK_APP",
            metavar="MODULE:WORKFLOW",
            help="A workflow in your code, as module:workflow. Repeatable.",
        ),
    ] = None,
    db: DbOption = None,
    *,
    planned: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:WORKFLOW",
            help="A later version of a workflow that is not served yet: the console shows which instances it would strand.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 chooses a free one.")] = 8300,
    development: Annotated[
        bool, typer.Option("--development", help="Callers choose who they are. Use it only on your own machine.")
    ] = False,
    issuer: Annotated[
        str | None, typer.Option(envvar="INTERLOCK_TOKEN_ISSUER", help="The issuer of bearer tokens.")
    ] = None,
    audience: Annotated[
        str | None, typer.Option(envvar="INTERLOCK_TOKEN_AUDIENCE", help="The audience of bearer tokens.")
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            envvar="INTERLOCK_TOKEN_KEYS",
            metavar="URL|PEM",
            help="The issuer's public keys: a key set's URL, or a file.",
        ),
    ] = None,
    roles_claim: Annotated[str, typer.Option(help="The claim with the roles.")] = "roles",
    tenant_claim: Annotated[
        str, typer.Option(help="The claim with the tenant. Empty: there is only one tenant.")
    ] = "tenant",
    operator: Annotated[
        list[str] | None, typer.Option(help="A role that sees and runs every instance of its tenant.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="INTERLOCK_FORM_SECRET",
            help="The secret that signs the console's forms; the same in every process of one service.",
        ),
    ] = None,
    relay: Annotated[bool, typer.Option(help="Publish the outbox.")] = False,
    subscribe: Annotated[bool, typer.Option(help="Consume the events that the workflows wait for.")] = False,
    bus: Annotated[
        str | None, typer.Option(envvar="INTERLOCK_BUS", metavar="URL", help="The broker of --relay and --subscribe.")
    ] = None,
    mcp_resource: Annotated[
        str | None,
        typer.Option(
            envvar="INTERLOCK_MCP_RESOURCE",
            metavar="URL",
            help="Serve MCP clients at /mcp under this URL; tokens must be issued for it. With --development, they are served if the extra is installed.",
        ),
    ] = None,
    deadlines: Annotated[bool, typer.Option(help="Process deadlines, and resume settled threads.")] = True,
    webhook: Annotated[
        str | None,
        typer.Option(
            envvar="INTERLOCK_WEBHOOK",
            metavar="URL",
            help="With --relay: the address that is notified when a person is needed.",
        ),
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option(envvar="INTERLOCK_WEBHOOK_SECRET", help="The secret that signs webhook requests (whsec_...)."),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="A proxy whose forwarded headers are trusted.")
    ] = None,
    root_path: Annotated[str, typer.Option(help="The path under which a proxy serves this service.")] = "",
    certificate: Annotated[Path | None, typer.Option(metavar="PEM", help="Serve TLS with this certificate.")] = None,
    private_key: Annotated[Path | None, typer.Option(metavar="PEM", help="The certificate's private key.")] = None,
    drain: Annotated[
        int, typer.Option(min=1, help="The time in seconds for requests in progress to finish at shutdown.")
    ] = 30,
    demo: Annotated[
        bool, typer.Option("--demo", help="With --development: serve the demo's desk with its cases.")
    ] = False,
) -> None:
    """Serve workflows: an HTTP API, a console, event streams, health and metrics. Bearer tokens identify callers
    (--issuer, --audience, --keys). With --development, callers choose who they are.
    """
    try:
        import uvicorn  # noqa: PLC0415 -- of the extra `serve`
        from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: PLC0415 -- as above

        from ..serving import Development, Tokens, service  # noqa: PLC0415 -- as above
        from ..serving.metrics import collect  # noqa: PLC0415 -- as above
    except ImportError as error:
        raise InputError(
            f"`interlock serve` takes packages that are not installed ({error.name}). Install langgraph-interlock[serve].",
            code="not_installed",
        ) from error
    if demo and not development:
        raise InputError(
            "The demo's customers have no tokens, so it is served in --development alone. Nothing is served; give both.",
            code="usage",
        )
    if development and host not in _LOOPBACK:
        raise InputError(
            f"In --development everybody says who they are, so it is served on this machine alone, and not on {host}. Leave --host out, or give "
            "--issuer, --audience and --keys.",
            code="usage",
        )
    _check_tls(certificate, private_key)
    _check_proxies(trusted_proxy or ())
    _check_events(bus=bus, relay=relay, subscribe=subscribe, webhook=webhook)
    root_path = _checked_root(root_path)
    given = [value for value in (issuer, audience, keys) if value]
    if not development and len(given) < 3:
        raise InputError(
            "The service has to know who calls. Pass --issuer, --audience and --keys for bearer tokens, or --development on your own machine.",
            code="usage",
        )
    tokens = (
        None
        if development
        else Tokens(
            issuer=str(issuer),
            audience=str(audience),
            keys=str(keys),
            roles_claim=roles_claim,
            tenant_claim=tenant_claim or None,
        )
    )
    held = contextlib.ExitStack()
    people = Development()
    graphs = []
    if demo:
        from .demo.served import open_demo  # noqa: PLC0415 -- builds the desk

        desk = held.enter_context(open_demo(database_url(db or DEMO_DB, must_exist=False)))
        graphs.append(desk.graph)
        people = Development(desk.people)
    if apps or not demo:
        wanted: list[str | None] = [*apps] if apps else [None]
        graphs += [load_app(one).graph(db, must_exist=False) for one in wanted]
    from ..engines import queue_of  # noqa: PLC0415 -- a part of this command alone

    queue = queue_of(graphs)
    if queue is not None:
        held.callback(queue.close)
    made = service(
        graphs,
        planned=[load_app(one).workflow for one in planned or ()],
        tokens=tokens,
        development=people if development else None,
        operators=operator or ("operator",),
        secret=secret,
        bus=None if bus is None else open_bus(bus),
        relay=relay,
        subscribe=subscribe,
        deadlines=deadlines,
        mcp=importlib.util.find_spec("mcp") is not None if development else mcp_resource or False,
        webhooks=[] if webhook is None else [Webhook(webhook, webhook_secret or "")],
    )
    if development:
        # Without authentication, a page whose name resolves here (DNS rebinding) would have the rights of its reader.
        made.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOOPBACK, "[::1]"])
    settings = uvicorn.Config(
        made,
        host=host,
        port=port,
        log_level="warning",
        root_path=root_path,
        proxy_headers=bool(trusted_proxy),
        forwarded_allow_ips=[*trusted_proxy] if trusted_proxy else [],
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
        timeout_graceful_shutdown=drain,
        server_header=False,
    )
    server = uvicorn.Server(settings)
    listening = _bound(host, port)
    scheme = "http" if certificate is None else "https"
    names = ", ".join(graph.engine.definition.name for graph in graphs)
    where = f"{scheme}://{host}:{listening.getsockname()[1]}{root_path}"
    console().print(f"Serving {names} at {where}/console (API: {root_path}/v1). Stop with Ctrl+C.", soft_wrap=True)
    if queue is not None:
        console().print("Runs that become due are left to the queue's workers (`interlock work`).", style="dim")
    collect()  # last: measuring slows every step of a process, so nothing that is refused above switches it on
    with held:
        server.run([listening])


def _check_tls(certificate: Path | None, private_key: Path | None) -> None:
    """Refuse what TLS cannot be served with, before anything listens.

    Raises:
        InputError: There is a key without a certificate, or they cannot be read, or do not belong together.
    """
    if certificate is None:
        if private_key is not None:
            raise InputError(
                "A private key was given without a certificate, so nothing would be encrypted. Nothing is served; pass --certificate too.",
                code="usage",
            )
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, private_key)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise InputError(
            f"TLS cannot be served with the certificate {str(certificate)!r} and the key {str(private_key or certificate)!r}: "
            f"{getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error}. Nothing is served; pass a PEM certificate and its private key.",
            code="usage",
        ) from error


def _check_proxies(proxies: Sequence[str]) -> None:
    """Refuse to trust everybody: any client could claim another address.

    Raises:
        InputError: One of them is no address.
    """
    for one in proxies:
        try:
            network = ipaddress.ip_network(one, strict=False)
        except ValueError:
            network = None
        if network is None or network.prefixlen == 0:
            raise InputError(
                f"{one!r} is not the address of a proxy. Nothing is served; pass an IP address, or a network such as 10.0.0.0/24.",
                code="usage",
            )


def _check_events(*, bus: str | None, relay: bool, subscribe: bool, webhook: str | None) -> None:
    """Refuse what would publish events to nobody, or wait for some from nowhere.

    Raises:
        InputError: There is no broker where one is needed.
    """
    if bus is not None:
        return
    if subscribe or (relay and webhook is None):
        raise InputError(
            f"--{'subscribe' if subscribe else 'relay'} works with a broker, and none was named. Nothing is served; pass --bus.",
            code="usage",
        )
    if webhook is not None and not relay:
        raise InputError(
            "The webhook receives what is published, and nothing is. Nothing is served; pass --relay, or the --bus that another process publishes to.",
            code="usage",
        )


def _checked_root(root_path: str) -> str:
    """The path under which a proxy serves this service, without a slash at its end.

    Raises:
        InputError: It is no path.
    """
    root = root_path.rstrip("/")
    if root and (not root.startswith("/") or root.startswith("//") or any(one in root for one in "?#\\ \t\r\n")):
        raise InputError(
            f"{root_path!r} is not a path under which a proxy could serve this. Nothing is served; pass one such as /interlock.",
            code="usage",
        )
    return root


def _bound(host: str, port: int) -> socket.socket:
    """The socket to listen on.

    Raises:
        InputError: Nothing can listen there.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise InputError(
            f"Nothing can listen on {host}:{port}: {error.strerror or error}. Nothing is served; pass another --host or --port.",
            code="usage",
        ) from error
    made.set_inheritable(True)
    return made


__all__ = ["register"]
