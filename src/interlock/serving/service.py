"""The service as an ASGI application, to serve or to mount in another application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping

from fastapi import FastAPI

from .._version import __version__
from ..events.bus import Bus
from ..events.webhooks import Webhook, Webhooks
from ..graphs import Workflow, WorkflowGraph
from ..operations.event_service import EventService
from ..rules.definition import Definition
from ..tools.errors import InputError
from ..tools.urls import parts_of
from . import health
from .api import router as api
from .console import add_console
from .context import Service
from .draining import on_stop_signal
from .guarding import LARGEST_BODY, Guard
from .identity import Callers, Development, PrincipalOf, Tokens
from .mcp_endpoint import add_mcp
from .problems import add_handlers, describe_problems
from .running import Background
from .watching import Watch
from .workflows import Workflows


def service(
    graphs: WorkflowGraph | Iterable[WorkflowGraph],
    *,
    planned: Iterable[Workflow | WorkflowGraph] = (),
    principal: PrincipalOf | None = None,
    tokens: Tokens | None = None,
    development: Development | None = None,
    operators: Iterable[str] = ("operator",),
    secret: str | bytes | None = None,
    bus: Bus | None = None,
    relay: bool = False,
    subscribe: bool = False,
    deadlines: bool = False,
    webhooks: Iterable[Webhook] = (),
    console: bool = True,
    mcp: bool | str = False,
    title: str = "Interlock",
    links: Mapping[str, str] | None = None,
    trace_url: str | None = None,
    largest_body: int = LARGEST_BODY,
) -> FastAPI:
    """Make an ASGI application of compiled workflows: HTTP API, console, event streams, health and metrics.

    Args:
        graphs: One or more compiled workflows with different names.
        planned: Later versions of them, which are not served: the console's fleet page shows which instances each would strand.
        principal: A function of the application that identifies the caller of a request, or returns None. It may be asynchronous.
        tokens: Instead: bearer tokens.
        development: Instead: callers choose who they are. Only for your own machine.
        operators: The roles whose members see and run every instance of their tenant; others see what the workflow's own rules allow.
        secret: Signs the forms of the console. It must be the same in every process of one service.
        bus: The message broker for `relay` and `subscribe`; by default one in this process.
        relay: Whether this process publishes the outboxes.
        subscribe: Whether this process receives the events that the workflows wait for.
        deadlines: Whether this process enforces deadlines and resumes what was settled. If `interlock.engines.Runs` were created for the
            workflows before, their workers execute the runs that become due.
        webhooks: The webhooks that are notified when a person is needed, for workflows with `notify=True`. Their events come from the bus,
            so some process has to relay.
        console: Whether to serve the pages for people at `/console`.
        mcp: Whether to serve MCP clients at `/mcp`, which needs the extra `mcp`. With tokens: the public URL of that endpoint; tokens for it
            are not accepted anywhere else in the service.
        title: The name in the console and in the API's description.
        links: Additional links of the console's navigation: text and address.
        trace_url: The address of a trace, such as `https://traces.example.com/trace/{trace_id}`, for links from instances.
        largest_body: The maximum size of a request's body, in bytes.

    Returns:
        A FastAPI application. If you mount it in another one, that one's lifespan must run its background work: see docs/service.md.

    Raises:
        InputError: A setting is invalid.
    """
    workflows = Workflows([graphs] if isinstance(graphs, WorkflowGraph | Workflow) else graphs)
    callers = Callers(principal=principal, tokens=tokens, development=development, operators=operators, secret=secret)
    served = Service(
        workflows,
        callers,
        Watch(workflows.stores),
        title,
        _safe_links(links or {}),
        _safe_link(trace_url),
        tuple(_planned(one, workflows) for one in planned),
    )
    has_queue = all(store.when_due is not None for store in workflows.stores)
    events = (
        EventService(
            [*workflows], bus, relay=relay, subscribe=subscribe, tick=1.0 if deadlines else None, resume=not has_queue
        )
        if relay or subscribe or deadlines
        else None
    )

    hooks = [*webhooks]
    told = Webhooks(workflows.stores, hooks) if hooks else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        loop = asyncio.get_running_loop()
        with on_stop_signal(lambda: loop.call_soon_threadsafe(served.watch.stop)):
            async with Background(events, told, bus):
                try:
                    yield
                finally:
                    await served.watch.close()
                    if endpoint is not None:
                        await endpoint.close()
                    await served.figures.close()

    app = FastAPI(
        title=title,
        version=__version__,
        summary="Workflows whose graph decides what may be done.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would redirect to whatever the Host header says
        separate_input_output_schemas=False,
    )
    app.state.interlock = served
    app.add_middleware(Guard, largest=largest_body)
    describe_problems(app)
    add_handlers(app)
    app.include_router(health.router)
    app.include_router(api, prefix="/v1")
    if console:
        add_console(app)
    endpoint = add_mcp(app, served, mcp)
    return app


def _planned(given: Workflow | WorkflowGraph, workflows: Workflows) -> Definition:
    """The definition of a planned version.

    Raises:
        InputError: No workflow of that name is served.
    """
    definition = given.engine.definition if isinstance(given, WorkflowGraph) else given.definition()
    workflows.named(definition.name)
    return definition


def _safe_links(links: Mapping[str, str]) -> dict[str, str]:
    return {text: str(_safe_link(href)) for text, href in links.items()}


def _safe_link(href: str | None) -> str | None:
    """Check that a link is an address and runs no script.

    Raises:
        InputError: It has another scheme.
    """
    if href is not None and parts_of(href, "A link for a page").scheme not in {"", "http", "https"}:
        raise InputError(f"{href!r} is not a link for a page: pass http, https or a path.", code="settings")
    return href


__all__ = ["service"]
