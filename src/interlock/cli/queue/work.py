"""`interlock work`: carry runs out of the queue, as one of any number of workers."""

import asyncio
import json
from contextlib import closing
from typing import Annotated

import typer

from ...checkpointing import Capacity
from ...checkpointing.connecting.capacity import server_limit
from ...checkpointing.encryption import Encryption
from ...engines.runs import Runs
from ...events.brokers import open_bus
from ...events.running import until_stopped
from ...operations import EventService
from ...operations.resuming import AnyGraph
from ...tools.errors import InputError, StoreUnavailable
from ..support.durations import seconds_of
from ..support.loading import DbOption, database_url, load_app, load_root
from ..support.output import AsJson, console, print_json

AppsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--app",
        envvar="INTERLOCK_APP",
        metavar="MODULE:WORKFLOW",
        help="A workflow in your code, as module:workflow. Repeatable.",
    ),
]
RootsOption = Annotated[
    list[str] | None,
    typer.Option("--root", metavar="WORKFLOW=MODULE:GRAPH", help="The graph around a workflow. Repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("work")(work)


def work(
    *,
    app: AppsOption = None,
    db: DbOption = None,
    root: RootsOption = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1_000, help="The number of concurrent runs in this process.")
    ] = 8,
    per_tenant: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="The number of concurrent runs of one tenant, in all workers together."),
    ] = None,
    connections: Annotated[
        int,
        typer.Option(
            min=4,
            max=1_000,
            help="The number of database connections for the workflows, in addition to 7 for the queue.",
        ),
    ] = 16,
    deadlines: Annotated[
        int, typer.Option(min=1, max=59, help="The interval in seconds between checks of deadlines.")
    ] = 5,
    takeover: Annotated[
        str, typer.Option(metavar="DURATION", help="The time without a heartbeat after which a worker counts as dead.")
    ] = "15s",
    drain: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="The time for runs to finish after SIGTERM; after it they are queued again."
        ),
    ] = "30s",
    bus: Annotated[
        str | None,
        typer.Option("--bus", envvar="INTERLOCK_BUS", metavar="URL", help="Also consume events from this broker."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(envvar="INTERLOCK_BUS_PREFIX", help="The prefix of every name at the broker.")
    ] = ("interlock"),
    relay: Annotated[bool, typer.Option("--relay", help="Also publish the workflows' events to --bus.")] = False,
    health: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve /ready and /metrics at this address.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Execute the queued runs of a PostgreSQL database until SIGTERM or Ctrl-C; runs in progress may finish. Any number
    of workers may work on one database: each thread has one run at a time, and other workers take over the runs of a
    killed worker.
    """
    from ...engines.worker import Worker, served_health  # noqa: PLC0415 -- an extra

    if relay and bus is None:
        raise InputError("--relay publishes to a broker, and none was named. Nothing was started; pass --bus.")
    if not app:
        raise InputError(
            "Which workflows are meant was not said. Pass --app module:workflow, once for each, or set INTERLOCK_APP.",
            code="no_app",
        )
    apps = [load_app(one) for one in app]
    capacity = Capacity(connections=connections)
    roots = dict(_root(one) for one in root or [])
    runs = Runs(
        [one.workflow for one in apps],
        database_url(db),
        per_tenant=per_tenant,
        roots=roots,
        encryption=Encryption.from_environment(),
        capacity=capacity,
    )
    with closing(runs):
        worker = Worker(
            runs,
            concurrency=concurrency,
            deadlines=deadlines,
            takeover=seconds_of("--takeover", takeover),
            drain=seconds_of("--drain", drain),
        )
        service = None
        if bus is not None:
            opened = open_bus(bus, prefix=prefix)
            service = EventService(runs.graphs, opened, relay=relay, tick=None, resume=False)

        async def all_of_it(stop: asyncio.Event) -> None:
            await asyncio.to_thread(_tell, runs, connections + 7, as_json=as_json)  # SIGTERM is handled from here on
            async with served_health(worker, health):
                await asyncio.gather(worker.run(stop), *([] if service is None else [service.run(stop)]))

        until_stopped(all_of_it)


def _root(given: str) -> tuple[str, AnyGraph]:
    name, sign, spec = given.partition("=")
    if not sign:
        raise InputError(f"--root {given!r} is not of the form workflow=module:graph. Nothing was started.")
    graph = load_root(spec)
    assert graph is not None  # noqa: S101 -- it is none only where nothing is named
    return name, graph


def _tell(runs: Runs, connections: int, *, as_json: bool) -> None:
    """Print the workflows, and the worker's share of the server's connections."""
    try:
        with runs.database.read() as connection:
            limit = server_limit(connection)
        per_tenant = runs.per_tenant
    except StoreUnavailable as error:
        console(stderr=True).print(f"{error.message} The worker waits for it.", markup=False)
        return
    names = [graph.engine.definition.name for graph in runs.graphs]
    allowed, taken = (0, 0) if limit is None else (limit.allowed, limit.taken)
    if as_json:
        print_json(json.loads(json.dumps({"workflows": names, "perTenant": per_tenant, "connections": connections, "allowed": allowed, "taken": taken})))  # fmt: skip
        return
    out = console()
    out.print(f"Works on {', '.join(names)}; {per_tenant} runs of a tenant at once. Ctrl-C ends it.", style="dim")
    out.print(f"Takes up to {connections} connections; the server allows {allowed}, and {taken} are open.", style="dim")
    if taken + connections > allowed:
        console(stderr=True).print(
            f"That is more than the server has left ({allowed - taken}). Pass --connections less, or let the server allow more (max_connections)."
        )


__all__ = ["register"]
