"""`interlock events`: lists the outbox and the inbox, shows the path of a trace, and retries stuck events."""

from contextlib import closing
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..checkpointing.store import WorkflowStore
from ..checkpointing.store import inbox as inbox_rows
from ..checkpointing.store import outbox as outbox_rows
from ..checkpointing.store import waits as wait_rows
from ..checkpointing.store.inbox import InboxEvent, InboxStatus
from ..checkpointing.store.outbox import OutboxEvent, OutboxStatus
from ..events.envelopes import moment_text
from ..events.following import follow, trace_of
from ..events.schemas import breaking_changes, export, known_events
from ..operations import Deliveries
from ..tools.canonical import JsonObject
from ..tools.errors import InputError
from .support.durations import seconds_of
from .support.loading import AppOption, DbOption, load_app, open_store
from .support.output import AsJson, ExitCode, console, print_json, short, writing
from .support.tables import print_table

topic = typer.Typer(
    no_args_is_help=True, help="Work on outgoing and incoming events: list, show, retry, check, export, trim."
)


class Box(StrEnum):
    """Which way."""

    OUT = "out"
    IN = "in"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(topic, name="events")


@topic.command("list")
def list_events(
    *,
    db: DbOption = None,
    box: Annotated[Box | None, typer.Option(help="Only outgoing events (out), or only incoming ones (in).")] = None,
    status: Annotated[
        str | None, typer.Option(help="pending, published, dead; taken, kept, late, unmatched, failed.")
    ] = None,
    workflow_id: Annotated[str | None, typer.Option("--instance", help="Only those of this instance.")] = None,
    trace: Annotated[str | None, typer.Option(help="Only those of this trace ID.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="The maximum number of events in each direction.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """List events, newest first, with their status in the outbox or the inbox."""
    out, into = _statuses(status)
    asked = {"workflow_id": workflow_id, "trace_id": trace, "tenant": tenant, "limit": limit}
    with closing(open_store(db)) as store, store.read() as connection:
        skip_out = box is Box.IN or (status is not None and out is None)
        skip_in = box is Box.OUT or (status is not None and into is None)
        sent = [] if skip_out else outbox_rows.listing(connection, status=out, **asked)  # type: ignore[arg-type]
        taken = [] if skip_in else inbox_rows.listing(connection, status=into, **asked)  # type: ignore[arg-type]
    if as_json:
        for one in [*map(_out_json, sent), *map(_in_json, taken)]:
            print_json(one)
        return
    rows = [
        (event.created_at, Box.OUT, event.event_name, event.event_id, event.workflow_id, event.status, event.error)
        for event in sent
    ] + [
        (event.received_at, Box.IN, event.event_name, event.event_id, event.workflow_id, event.status, event.note)
        for event in taken
    ]
    print_table(
        ("at (UTC)", "way", "event", "id", "instance", "status", "note"),
        (
            (moment_text(at)[5:19], way.value, name, event_id, instance, stands.value, short(note or "", 80))
            for at, way, name, event_id, instance, stands, note in sorted(rows, key=lambda row: row[0], reverse=True)
        ),
        empty="There are no such events here.",
    )


@topic.command("show")
def show(
    reference: Annotated[
        str, typer.Argument(metavar="TRACE|EVENT|INSTANCE", help="A trace ID, an event id or a workflow id.")
    ],
    db: DbOption = None,
    as_json: AsJson = False,
) -> None:
    """Follow one trace: the tool call, the outbox, the broker, the inbox, and the workflow that the event resumed. Exit
    code 1 means that nothing was found.
    """
    with closing(open_store(db)) as store:
        trace_id = trace_of(store, reference)
        hops = [] if trace_id is None else follow(store, trace_id)
    if as_json:
        for hop in hops:
            print_json(hop.to_json())
    else:
        instances = list(dict.fromkeys(hop.workflow_id for hop in hops if hop.workflow_id))
        several = len(instances) > 1  # else it is said once, which leaves the ids whole on a narrow screen
        if trace_id is not None:
            console().print(f"Trace {trace_id}", style="bold")
            if instances and not several:
                console().print(f"Instance {instances[0]}", style="bold")
        print_table(
            ("at (UTC)", "hop", "what", *(["instance"] if several else []), "note", "reference"),
            (
                (
                    moment_text(hop.at)[5:23],
                    hop.kind,
                    hop.what,
                    *([hop.workflow_id] if several else []),
                    short(hop.note, 80),
                    hop.reference,
                )
                for hop in hops
            ),
            empty=f"Nothing is known of {short(reference)}.",
        )
    if not hops:
        raise typer.Exit(ExitCode.NO)


@topic.command("retry")
def retry(
    event_id: Annotated[
        str | None, typer.Argument(metavar="EVENT", help="The event's id. Without it, pass --dead.")
    ] = None,
    db: DbOption = None,
    app: AppOption = None,
    dead: Annotated[bool, typer.Option("--dead", help="Retry every dead event.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue dead events again in the outbox, or redeliver an event of the inbox. Redelivery needs the workflow's code:
    --app, or INTERLOCK_APP. Exit code 1 means that there was nothing to do.
    """
    if (event_id is None) == (not dead):
        raise InputError(
            "Which event is meant was not said. Give its id, or --dead for all that were given up.", code="usage"
        )
    with closing(open_store(db)) as store:
        with store.write() as connection:
            count = outbox_rows.retry(connection, event_id=event_id, now=store.now(connection))
        received = [] if event_id is None else _again(store, event_id)
    results: list[JsonObject] = []
    if received:
        deliveries = Deliveries(load_app(app).graph(db if app is not None else None))
        for event in received:
            done = deliveries.again(event)
            results.append({"eventId": done.event_id, "status": done.status.value, "note": done.note})
    if as_json:
        print_json({"requeued": count, "delivered": [*results]})
    else:
        for result in results:
            console().print(f"Delivered again: {result['status']}" + (f" ({result['note']})" if result["note"] else ""))
        if count or not results:
            console().print(f"{count} queued again in the outbox.")
    if not count and not results:
        raise typer.Exit(ExitCode.NO)


@topic.command("export")
def export_schemas(
    folder: Annotated[Path, typer.Argument(help="The folder for the files, one for each event.")],
    app: AppOption = None,
    as_json: AsJson = False,
) -> None:
    """Write the JSON Schema of every event that the workflow's code declares."""
    load_app(app)
    with writing(folder):
        written = export(known_events(), folder)
    if as_json:
        print_json([str(path) for path in written])
    else:
        console().print(f"{len(written)} schemas in {folder}.")


@topic.command("check")
def check(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="The folder that `events export` wrote for the last release."
        ),
    ],
    app: AppOption = None,
    as_json: AsJson = False,
) -> None:
    """Compare the event schemas with those of the last release. Exit code 1 means a breaking change without a new
    version.
    """
    load_app(app)
    found = breaking_changes(known_events(), folder)
    if as_json:
        print_json({"ok": not found, "breaking": {name: [*changes] for name, changes in found.items()}})
    elif found:
        for name, changes in found.items():
            console().print(f"{name}", style="bold")
            for change in changes:
                console().print(f"  {short(change)}")
        console().print("These changes break consumers. Declare a new version in addition to the old one.")
    else:
        console().print("No event broke its contract.")
    if found:
        raise typer.Exit(ExitCode.NO)


@topic.command("trim")
def trim(
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="DURATION",
            help="The age, such as 7d or 12h; it must be longer than the broker redelivers.",
        ),
    ],
    db: DbOption = None,
    batch: Annotated[int, typer.Option(min=1, max=1_000_000, help="The number of rows in one transaction.")] = 5_000,
    kept: Annotated[
        bool,
        typer.Option("--kept", help="Also delete events that are kept for waits that have not begun."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete old events: published ones, and incoming ones that are taken, late, unmatched or failed. Events in
    progress are not changed.
    """
    seconds = seconds_of("--older-than", older_than)
    with closing(open_store(db)) as store:
        with store.read() as connection:
            before = store.now(connection) - int(seconds * 1_000_000)
        counts = {"published": 0, "taken": 0, "waits": 0}
        for name, step in (
            ("published", outbox_rows.trim),
            ("taken", partial(inbox_rows.trim, kept=kept)),
            ("waits", wait_rows.trim),
        ):
            while True:
                with store.write() as connection:
                    deleted = step(connection, before=before, limit=batch)
                counts[name] += deleted
                if deleted < batch:
                    break
    if as_json:
        print_json(counts)
    else:
        console().print(
            f"Deleted {counts['published']} published, {counts['taken']} that came in, {counts['waits']} waits."
        )


def _again(store: WorkflowStore, event_id: str) -> list[InboxEvent]:
    with store.read() as connection:
        return [event for event in inbox_rows.find(connection, event_id) if event.status is not InboxStatus.TAKEN]


def _statuses(status: str | None) -> tuple[OutboxStatus | None, InboxStatus | None]:
    if status is None:
        return None, None
    out = OutboxStatus(status) if status in {*OutboxStatus} else None
    into = InboxStatus(status) if status in {*InboxStatus} else None
    if out is None and into is None:
        known = ", ".join([*OutboxStatus, *InboxStatus])
        raise InputError(f"{status!r} is not a status of an event; those are {known}.", code="usage")
    return out, into


def _out_json(event: OutboxEvent) -> JsonObject:
    return {
        "box": "out",
        "eventId": event.event_id,
        "eventName": event.event_name,
        "workflowId": event.workflow_id,
        "traceId": event.trace_id,
        "tenant": event.tenant,
        "status": event.status.value,
        "attempts": event.attempts,
        "error": event.error,
        "destination": event.destination,
        "createdAt": moment_text(event.created_at),
        "publishedAt": None if event.published_at is None else moment_text(event.published_at),
    }


def _in_json(event: InboxEvent) -> JsonObject:
    return {
        "box": "in",
        "eventId": event.event_id,
        "eventName": event.event_name,
        "workflowId": event.workflow_id,
        "traceId": event.trace_id,
        "tenant": event.tenant,
        "status": event.status.value,
        "note": event.note,
        "source": event.source,
        "consumer": event.consumer,
        "repeats": event.repeats,
        "receivedAt": moment_text(event.received_at),
    }


__all__ = ["register"]
