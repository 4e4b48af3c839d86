"""`interlock trace` and `interlock traces`: from a workflow to its traces, and a place on this machine for traces to go to."""

import os
import sys
import threading
from contextlib import closing
from typing import Annotated

import typer
from rich.text import Text

from ..checkpointing.store import AuditRecord
from ..tools.canonical import JsonObject
from ..tools.errors import InputError
from ..tracing._arrived import ArrivedRun
from ..tracing._sink import TraceSink
from ..tracing.feedback import FeedbackSender
from ..tracing.reference import TraceReference
from ..tracing.trail import records_of, reference_in
from .support.loading import DbOption, open_store
from .support.output import AsJson, ExitCode, console, print_json, short
from .support.tables import print_table
from .support.trail import moment, print_trail


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("trace")(trace)
    app.command("traces")(traces)
    app.command("feedback")(feedback)


def trace(
    instance: Annotated[
        str, typer.Argument(metavar="INSTANCE", help="The workflow id, or an audit reference of the instance.")
    ],
    db: DbOption = None,
    url: Annotated[
        bool, typer.Option("--url", help="Ask LangSmith for the URLs; this needs its endpoint and key.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the LangSmith or OpenTelemetry trace of each step of an instance."""
    with closing(open_store(db)) as store:
        records = store.audit(store.get(instance).workflow_id)
    rows = [_row(record, url=url) for record in records]
    if as_json:
        for row in rows:
            print_json(row)
        return
    print_table(
        ("#", "time (UTC)", "what", "tool", "trace", "run", *(["address"] if url else [])),
        (
            (
                row["number"],
                moment(record.recorded_at, "%H:%M:%S"),
                row["kind"],
                row["tool"],
                row["trace"] or row["traceparent"],
                row["run"],
                *([row["url"]] if url else []),
            )
            for record, row in zip(records, rows, strict=True)
        ),
        empty="Nothing was recorded of it.",
    )
    if records and not any(row["run"] or row["traceparent"] for row in rows):
        console().print(
            Text("Nothing of it was traced. Set LANGSMITH_TRACING=true, or see `interlock doctor`.", style="dim")
        )


def print_traced(identity: str, db: str | None, *, as_json: bool) -> None:
    """Print the audit records that were written under a trace or a run.

    Raises:
        typer.Exit: There are none.
    """
    with closing(open_store(db)) as store:
        records = records_of(store, identity)
    if as_json:
        for record in records:
            print_json(record.to_json())
    elif records:
        for workflow_id in dict.fromkeys(record.workflow_id for record in records):
            console().print(Text(workflow_id, style="bold"))
            print_trail([record for record in records if record.workflow_id == workflow_id])
    else:
        console().print(Text(f"Nothing was recorded under the trace {short(identity, 80)}.", style="dim"))
    if not records:
        raise typer.Exit(ExitCode.NO)


def traces(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The local port; 0 chooses a free one.")] = 1984,
    as_json: AsJson = False,
) -> None:
    """Accept traces on this machine, as LangSmith would, and print each finished trace. Stop with Ctrl-C."""

    def heard(run: ArrivedRun) -> None:
        if as_json:
            print_json(run.fields)
        elif run.parent_id is None:
            # Its child runs were sent before its end, or together with it.
            console().print(Text(sink.tree_of(run.trace_id)))
        sys.stdout.flush()

    try:
        sink = TraceSink(port=port, heard=heard)
    except OSError as error:
        raise InputError(
            f"Port {port} cannot be listened on ({error.strerror}). Nothing was started; give another with --port.",
            code="port_taken",
        ) from error
    with sink:
        if not as_json:
            for name, value in sink.environment.items():
                console().print(Text(f"export {name}={value}"), soft_wrap=True)
            console().print(Text("Run your program with these. Listening; Ctrl-C ends it.", style="dim"))
        sys.stdout.flush()
        threading.Event().wait()


def feedback(
    db: DbOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The maximum number of rows.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Send the decisions of approvers to LangSmith as feedback on the runs. Exit code 3 means that some could not be
    sent; they will be retried.
    """
    if not (os.environ.get("LANGSMITH_API_KEY") or os.environ.get("LANGCHAIN_API_KEY")):
        raise InputError(
            "There is no LANGSMITH_API_KEY, so nothing can be sent. What is queued stays; set it, or see `interlock doctor`.",
            code="no_credentials",
        )
    with closing(open_store(db)) as store:
        sent = FeedbackSender(store).send(limit)
    if as_json:
        print_json({"sent": sent.sent, "failed": sent.failed, "dead": sent.dead})
    else:
        console().print(f"{sent.sent} sent, {sent.failed} to be tried again, {sent.dead} given up.")
    if sent.failed or sent.dead:
        raise typer.Exit(ExitCode.TRY_AGAIN)


def _row(record: AuditRecord, *, url: bool) -> JsonObject:
    where = reference_in(record) or TraceReference()
    row: JsonObject = {
        "number": record.number,
        "auditRef": record.audit_ref,
        "kind": record.kind.value,
        "tool": record.tool,
        "trace": where.trace,
        "run": where.run,
        "project": where.project,
        "startTime": where.start_time,
        "traceparent": where.traceparent,
    }
    if url:
        row["url"] = where.url()
    return row


__all__ = ["print_traced", "register"]
