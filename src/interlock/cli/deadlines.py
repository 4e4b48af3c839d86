"""`interlock tick`: processes overdue work once or in a loop, by any number of processes."""

import threading
from typing import Annotated

import typer

from ..graphs import WorkflowGraph
from ..operations.resuming import AnyGraph, Failure
from ..operations.ticking import Tick
from ..tools.canonical import JsonObject
from ..tools.errors import InterlockError
from ..tools.sinks import line, short
from ..tools.storable import described
from .support.durations import seconds_of
from .support.loading import AppOption, DbOption, RootOption, load_app, load_root
from .support.output import AsJson, ExitCode, console, print_json
from .support.tables import print_lines
from .support.trail import moment


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("tick")(tick)


def tick(
    *,
    app: AppOption = None,
    db: DbOption = None,
    root: RootOption = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Repeat with this interval, such as 10s, until Ctrl-C."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Resume the graphs that were waiting.")] = True,
    as_json: AsJson = False,
) -> None:
    """Process what is overdue or settled: approvals expire, escalate or take another edge; waits end; graphs resume.

    Without --every, exit code 1 means that something failed; a later tick retries it.
    """
    pause = None if every is None else seconds_of("--every", every)
    graph, parent = load_app(app).graph(db), load_root(root)
    never = threading.Event()
    while True:
        done = _once(graph, parent, resume)
        _print(done, as_json=as_json, quiet=pause is not None)
        if pause is None:
            raise typer.Exit(ExitCode.NO if done.failed else ExitCode.OK)
        never.wait(pause)


def _once(graph: WorkflowGraph, root: AnyGraph | None, resume: bool) -> Tick:
    if any(contract.is_async for contract in graph.engine.definition.contracts.values()):
        import asyncio  # noqa: PLC0415 -- a graph with async tools runs in a loop only

        return asyncio.run(graph.instances.atick(resume=resume, root=root))
    return graph.instances.tick(resume=resume, root=root)


def _print(done: Tick, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(_json(done))
        return
    out = console()
    for one in done.lapsed:
        to = f" ({one.to})" if one.to else ""
        out.print(line(f"{one.tool} in {one.workflow_id}: {one.outcome}{to}"))
    for workflow_id in done.ended:
        out.print(f"the wait of {workflow_id} ended")
    for proposal_id in done.carried_out:
        out.print(f"{proposal_id} was taken up")
    for workflow_id in done.cancelled:
        out.print(f"{workflow_id} was cancelled")
    for workflow_id in done.resumed:
        out.print(f"{workflow_id} resumed")
    for failure in done.failed:
        print_lines(
            f"{failure.workflow_id} could not be taken up ({failure.kind} {line(failure.id)}): {_reason(failure.error)}"
        )
        print_lines(f"The log has the whole error. {_again(failure)}", indent=2, style="dim")
    if not quiet and not (
        done.lapsed or done.ended or done.carried_out or done.cancelled or done.resumed or done.failed
    ):
        out.print("Nothing is overdue or settled.", style="dim")


def _reason(error: Exception) -> str:
    return short(error.message if isinstance(error, InterlockError) else described(error), 300)


def _again(one: Failure) -> str:
    return (
        "The next tick tries again."
        if one.retry_at is None
        else f"It is tried again from {moment(one.retry_at)} UTC on."
    )


def _json(done: Tick) -> JsonObject:
    return {
        "lapsed": [
            {
                "approvalId": one.approval_id,
                "workflowId": one.workflow_id,
                "tool": one.tool,
                "outcome": one.outcome,
                "to": one.to,
            }
            for one in done.lapsed
        ],
        "ended": [*done.ended],
        "carriedOut": [*done.carried_out],
        "cancelled": [*done.cancelled],
        "resumed": [*done.resumed],
        "failed": [
            {
                "kind": one.kind,
                "id": one.id,
                "workflowId": one.workflow_id,
                "error": _reason(one.error),
                "retryAt": one.retry_at,
            }
            for one in done.failed
        ],
    }
