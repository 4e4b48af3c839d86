"""`interlock runs`: lists the runs in the queue, and acts on those that need a person.

The command line knows nobody but its operator, who may see and change the whole database anyway.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer
from rich.table import Table

from ...engines.queue.listing import QueuedRun, RunStatus
from ...engines.runs import Runs
from ...tools.canonical import JsonObject
from ...tools.sinks import line
from ..support.loading import DbOption, database_url
from ..support.output import AsJson, console, print_json

topic = typer.Typer(no_args_is_help=True, help="Work on queued runs: list, retry, cancel.")

Number = Annotated[int, typer.Argument(metavar="RUN", help="The run's number, from `interlock runs list`.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(topic, name="runs")


@topic.command("list")
def list_runs(
    *,
    db: DbOption = None,
    status: Annotated[
        RunStatus | None, typer.Option(help="Only runs with this status; `person` lists the dead letters.")
    ] = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The maximum number of rows.")] = 50,
    after: Annotated[int | None, typer.Option(help="Continue after the run with this number.")] = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    with _opened(db) as runs:
        found = runs.list(status=status, workflow=workflow, tenant=tenant, limit=limit, after=after)
    if as_json:
        print_json({"runs": [_json(one) for one in found], "next": found[-1].number if len(found) == limit else None})
        return
    if not found:
        console().print("No such runs.", style="dim")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("run", "status", "kind", "workflow", "thread", "failed", "why"):
        table.add_column(name, overflow="fold")
    for one in found:
        why = one.why or ""
        if one.unknown:
            why += " (interlock resolve)"
        table.add_row(
            str(one.number),
            one.status.value,
            one.job.kind.value,
            line(one.job.workflow),
            line(one.job.thread_id),
            str(one.attempts or ""),
            line(why),
        )
    console().print(table)


@topic.command("retry")
def retry_run(number: Number, *, db: DbOption = None, as_json: AsJson = False) -> None:
    """Retry a run immediately that failed, waits for another attempt or was cancelled."""
    with _opened(db) as runs:
        _print(runs.retry(number), as_json=as_json)


@topic.command("cancel")
def cancel_run(number: Number, *, db: DbOption = None, as_json: AsJson = False) -> None:
    """Remove a run from the queue. Its workflow keeps its state."""
    with _opened(db) as runs:
        _print(runs.cancel(number), as_json=as_json)


@contextmanager
def _opened(db: str | None) -> Iterator[Runs]:
    with closing(Runs([], database_url(db))) as runs:
        yield runs


def _print(found: QueuedRun, *, as_json: bool) -> None:
    if as_json:
        print_json(_json(found))
    else:
        console().print(line(f"The run {found.number} of {found.job.workflow} is {found.status.value}."))


def _json(one: QueuedRun) -> JsonObject:
    return {
        "run": one.number,
        "status": one.status.value,
        "kind": one.job.kind.value,
        "workflow": one.job.workflow,
        "tenant": one.job.tenant,
        "threadId": one.job.thread_id,
        "failed": one.attempts,
        "why": one.why,
        "unknownOutcome": one.unknown,
    }


__all__ = ["register"]
