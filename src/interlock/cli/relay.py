"""`interlock relay` and `interlock subscribe`: events out of a database onto a broker, and from a broker into workflows."""

import asyncio
from contextlib import closing
from typing import Annotated

import typer

from ..events import Relay, RelayOptions, WireFormat
from ..events.brokers import open_bus
from ..events.running import until_stopped
from ..operations import EventService
from ..operations.event_service import event_names
from .support.loading import AppOption, DbOption, RootOption, load_app, load_root, open_store
from .support.output import AsJson, ExitCode, console, print_json

BusOption = Annotated[
    str,
    typer.Option(
        "--bus",
        envvar="INTERLOCK_BUS",
        metavar="URL",
        help="The broker: nats://host:4222, amqp://user@host/, redis://host:6379/0 or kafka://host:9092.",
    ),
]
PrefixOption = Annotated[
    str,
    typer.Option("--prefix", envvar="INTERLOCK_BUS_PREFIX", help="The prefix of every name at the broker."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("relay")(relay)
    app.command("subscribe")(subscribe)


def relay(
    *,
    bus: BusOption,
    db: DbOption = None,
    prefix: PrefixOption = "interlock",
    once: Annotated[bool, typer.Option("--once", help="Publish the due events, and exit.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="The number of events in one claim.")] = 2_000,
    attempts: Annotated[
        int,
        typer.Option(min=1, max=1_000_000, help="The number of refusals after which an event becomes a dead letter."),
    ] = 8,
    wire: Annotated[WireFormat, typer.Option(help="The wire format of events.")] = WireFormat.BINARY,
    schemas: Annotated[
        str | None, typer.Option(help="The address of the published event schemas, for `dataschema`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish the events of a database to a broker, in order for each workflow instance. Any number of relays may work
    on one database. With --once, exit code 3 means that the broker was unavailable.
    """
    opened = open_bus(bus, prefix=prefix)
    options = RelayOptions(batch=batch, attempts=attempts, wire=wire, schema_base=schemas)
    with closing(open_store(db)) as store:
        if not once:
            if not as_json:
                console().print("Publishing. Ctrl-C ends it.", style="dim")
            until_stopped(Relay(store, opened, options=options).run)
            return

        async def drain() -> None:
            async with opened:
                done = await Relay(store, opened, options=options).drain()
            if as_json:
                print_json(
                    {
                        "published": done.published,
                        "retrying": done.retrying,
                        "dead": done.dead,
                        "unavailable": done.unavailable,
                    }
                )
            else:
                console().print(f"{done.published} published, {done.retrying} to be tried again, {done.dead} given up.")
                if done.unavailable:
                    console(stderr=True).print(done.unavailable)
            if done.unavailable:
                raise typer.Exit(ExitCode.TRY_AGAIN)

        asyncio.run(drain())


def subscribe(
    *,
    bus: BusOption,
    app: AppOption = None,
    db: DbOption = None,
    root: RootOption = None,
    prefix: PrefixOption = "interlock",
    tick: Annotated[
        float, typer.Option(min=0.05, max=86_400, help="The interval in seconds between checks of deadlines.")
    ] = 1.0,
    with_relay: Annotated[bool, typer.Option("--relay", help="Also publish the workflow's own events.")] = False,
    as_json: AsJson = False,
) -> None:
    """Consume the events that a workflow waits for from a broker, and resume the workflow. Also process the deadlines
    of waits and approvals.
    """
    graph = load_app(app).graph(db)
    names = event_names(graph)
    service = EventService(graph, open_bus(bus, prefix=prefix), relay=with_relay, tick=tick, root=load_root(root))
    if as_json:
        print_json({"workflow": graph.engine.definition.name, "events": [*names]})
    else:
        waits = ", ".join(names) or "no events"
        console().print(f"{graph.engine.definition.name} listens for {waits}. Ctrl-C ends it.", style="dim")
    until_stopped(service.run)


__all__ = ["register"]
