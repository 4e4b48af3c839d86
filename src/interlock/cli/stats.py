"""`interlock stats`: counts the outcomes of proposals and the results of tools, and exports what people changed or rejected."""

import datetime as dt
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..checkpointing.reports import learning
from ..graphs import WorkflowGraph
from ..tools.sinks import whole_file
from .support.durations import seconds_of
from .support.loading import AppOption, DbOption, load_app
from .support.output import AsJson, console, print_json, writing
from .support.tables import print_table


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("stats")(stats)


def stats(
    *,
    app: AppOption = None,
    db: DbOption = None,
    by: Annotated[
        str, typer.Option(help="Group by one or more of tool, state, approver and origin, separated by commas.")
    ] = ",".join(learning.BY),
    within: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only records within this time, such as 7d.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="The tenant.")] = "default",
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write the edited, rejected and answered proposals to this file as JSON Lines, for evaluation."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report how often proposals were accepted, edited and rejected, and statistics of the tools."""
    graph = load_app(app).graph(db)
    since = None if within is None else dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_of("--within", within))
    columns = [name.strip() for name in by.split(",") if name.strip()]
    outcomes = graph.instances.outcomes(by=columns, tenant=tenant, since=since)
    tools = graph.instances.tool_stats(tenant=tenant, since=since)
    written = None if export is None else _export(graph, export, tenant, since)
    if as_json:
        print_json({"outcomes": outcomes, "tools": tools, "exported": written})
        return
    _print_outcomes(columns, outcomes)
    console().print()
    _print_tools(tools)
    if written is not None:
        console().print(f"{written} examples were written to {export}.")


def _export(graph: WorkflowGraph, path: Path, tenant: str, since: dt.datetime | None) -> int:
    written = 0
    with writing(path), whole_file(path) as file:
        for one in graph.instances.examples(tenant=tenant, since=since):
            file.write(f"{json.dumps(one, ensure_ascii=False)}\n")
            written += 1
    return written


def _print_outcomes(columns: list[str], rows: list[dict[str, Any]]) -> None:
    counted = ("proposals", "accepted", "edited", "rejected", "responded", "expired", "withdrawn", "void", "pending")
    print_table(
        (*columns, *counted, "edited fields", "median to decide"),
        (
            (
                *(row[name] for name in columns),
                *(row[name] for name in counted),
                ", ".join(f"{name} {number}" for name, number in row["edited_fields"].items()),
                _seconds(row["seconds_to_decide_median"]),
            )
            for row in rows
        ),
        empty="Nobody has been asked to decide anything yet.",
    )


def _print_tools(rows: list[dict[str, Any]]) -> None:
    counted = ("carried_out", "reads", "failed", "unknown", "retries", "denied")
    print_table(
        ("tool", *(name.replace("_", " ") for name in counted), "denied because", "mean", "longest"),
        (
            (
                row["tool"],
                *(row[name] for name in counted),
                ", ".join(f"{code} {number}" for code, number in row["denials"].items()),
                _seconds(row["seconds_mean"]),
                _seconds(row["seconds_max"]),
            )
            for row in rows
        ),
        empty="No tool was called yet.",
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"
