"""`interlock tick`: what is overdue, settled once or in a loop, by as many processes as one likes."""

import threading
from typing import Annotated

import typer

from ..graphs import WorkflowGraph
from ..operations.resuming import AnyGraph
from ..operations.ticking import Tick
from ..tools.canonical import JsonObject
from ..tools.sinks import line
from .support.durations import seconds_of
from .support.loading import AppOption, DbOption, RootOption, load_app, load_root
from .support.output import AsJson, console, print_json


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
        typer.Option(metavar="DURATION", help="Again and again, with such pauses (such as 10s), until Ctrl-C."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Let the graphs go on that stood there.")] = True,
    as_json: AsJson = False,
) -> None:
    """Let what is overdue happen: approvals expire, are escalated or another edge is taken, and waits end."""
    pause = None if every is None else seconds_of("--every", every)
    graph, parent = load_app(app).graph(db), load_root(root)
    never = threading.Event()
    while True:
        _print(_once(graph, parent, resume), as_json=as_json, quiet=pause is not None)
        if pause is None:
            break
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
    for workflow_id in done.resumed:
        out.print(f"{workflow_id} went on")
    if not quiet and not (done.lapsed or done.ended or done.resumed):
        out.print("Nothing is overdue.", style="dim")


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
        "resumed": [*done.resumed],
    }
