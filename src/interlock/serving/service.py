"""The service as an ASGI application: to serve by itself, or to mount in one that exists."""

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
from .draining import told_to_stop
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
        graphs: One compiled workflow or several; one of each name.
        planned: Later versions of them, which are not served: the console's fleet page says which instances each would strand.
        principal: Your application's own function of the request: who sends it, or None. It may be asynchronous.
        tokens: Instead: bearer tokens.
        development: Instead: everybody says who they are. On your own machine alone.
        operators: The roles whose members see and run every instance of their tenant; everybody else sees what the workflow's own rules
            let them see.
        secret: Signs the forms of the console. Give the same to every process of one service.
        bus: The message broker that `relay` and `subscribe` work with; one in this process by default.
        relay: Whether this process publishes the outboxes.
        subscribe: Whether this process takes in the events that the workflows wait for.
        deadlines: Whether this process keeps deadlines and takes up what is settled. Where `interlock.engines.Runs` were made of the workflows
            before, runs that become due are left to its workers.
        webhooks: Which addresses are told when somebody is needed, of workflows that say `notify=True`. Their events come over the bus, so some
            process has to relay.
        console: Whether the pages for people are served, at `/console`.
        mcp: Whether MCP clients are served, at `/mcp`, which takes the extra `mcp`. With tokens: the URL under which clients know that endpoint;
            their tokens are for it alone, and count nowhere else in the service.
        title: The name that the console and the API's description show.
        links: More for the console's navigation: a text and where it leads.
        trace_url: Where a trace is checked, such as `https://traces.example.com/trace/{trace_id}`: cases link to it.
        largest_body: How many bytes the body of a request may have.

    Returns:
        A FastAPI application. Mounted in another one, it needs that one's lifespan to run its background work: see docs/service.md.

    Raises:
        InputError: A setting cannot be used.
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
        with told_to_stop(lambda: loop.call_soon_threadsafe(served.watch.stop)):
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
    """The definition of a version that is to come.

    Raises:
        InputError: No workflow of that name is served.
    """
    definition = given.engine.definition if isinstance(given, WorkflowGraph) else given.definition()
    workflows.named(definition.name)
    return definition


def _safe_links(links: Mapping[str, str]) -> dict[str, str]:
    return {text: str(_safe_link(href)) for text, href in links.items()}


def _safe_link(href: str | None) -> str | None:
    """A link that leads somewhere, and runs nothing.

    Raises:
        InputError: It has another scheme.
    """
    if href is not None and parts_of(href, "A link for a page").scheme not in {"", "http", "https"}:
        raise InputError(f"{href!r} is not a link for a page: pass http, https or a path.", code="settings")
    return href


__all__ = ["service"]
