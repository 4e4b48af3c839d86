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
    typer.Option("--prefix", envvar="INTERLOCK_BUS_PREFIX", help="Begins every name that is used at the broker."),
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
    once: Annotated[bool, typer.Option("--once", help="Publish what is due now, and leave.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Events in one claim.")] = 2_000,
    attempts: Annotated[int, typer.Option(min=1, max=1_000_000, help="After so many refusals an event is dead.")] = 8,
    wire: Annotated[WireFormat, typer.Option(help="In which form events travel.")] = WireFormat.BINARY,
    schemas: Annotated[
        str | None, typer.Option(help="Where the schemas of events are published: an address, for `dataschema`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish the events of a database to a broker, those of each workflow instance in their order.

    Any number of relays may work on one database. With --once, exit code 3 says that the broker was not there.
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
    tick: Annotated[float, typer.Option(min=0.05, max=86_400, help="Seconds between two looks at deadlines.")] = 1.0,
    with_relay: Annotated[bool, typer.Option("--relay", help="Publish the workflow's own events as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take the events that a workflow waits for from a broker, resume it, and keep its deadlines: those of waits and of approvals."""
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
