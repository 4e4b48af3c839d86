"""The fleet: where the instances of each workflow stand and how its tools fare; and what became of proposals that people judged."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from ...checkpointing.reports.fleet import StateCount, boxes, by_state
from ...graphs import WorkflowGraph
from ..access import operators_only
from ..addresses import attachment
from ..context import Calls, Serves, Service
from ..identity import Caller
from ..moments import instant
from .charts import Bar, bars
from .pages import page

_REMEMBERED_SECONDS = 15.0


@dataclass(frozen=True)
class Figures:
    """What the page shows, and when it was read."""

    at: float
    workflows: list[dict[str, Any]]
    boxes: list[tuple[str, str]]


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.get("/fleet")(show)
    router.get("/learning")(learning)
    router.get("/learning/{name}.jsonl")(export)


async def show(request: Request, serves: Serves, caller: Calls) -> Response:
    """Where everything stands."""
    operators_only(caller, "figures of the whole tenant")
    remembered: dict[str, Figures] = request.app.state.__dict__.setdefault("interlock_fleet", {})
    tenant = caller.principal.tenant
    figures = remembered.get(tenant)
    if figures is None or time.monotonic() - figures.at > _REMEMBERED_SECONDS:
        figures = remembered[tenant] = await run_in_threadpool(_figures, serves, caller)
    return page(request, "fleet.html", caller, workflows=figures.workflows, boxes=figures.boxes)


async def learning(request: Request, serves: Serves, caller: Calls) -> Response:
    """What became of proposals that people were asked about."""
    operators_only(caller, "figures of the whole tenant")
    return page(request, "learning.html", caller, workflows=await run_in_threadpool(_learned, serves, caller))


async def export(name: str, serves: Serves, caller: Calls) -> Response:
    """Proposals that were edited, rejected or answered, as JSON Lines."""
    operators_only(caller, "examples of the whole tenant")
    instances = serves.workflows.named(name).instances

    def lines() -> Iterator[str]:
        for one in instances.examples(tenant=caller.principal.tenant):
            yield json.dumps(one, ensure_ascii=False) + "\n"

    return StreamingResponse(lines(), media_type="application/jsonl", headers=attachment(f"{name}.jsonl"))


def _figures(service: Service, caller: Caller) -> Figures:
    tenant = caller.principal.tenant
    counts: list[StateCount] = []
    totals: dict[str, int] = {}
    for store in service.workflows.stores:
        with store.read() as connection:
            counts += by_state(connection, tenant=tenant)
            for name, value in boxes(connection, tenant=tenant, now=store.now(connection)).items():
                totals[name] = max(totals.get(name, 0), value) if name == "lag_seconds" else totals.get(name, 0) + value
    shown = [
        ("Waiting to be published", str(totals["pending"])),
        ("Oldest of them", f"{totals['lag_seconds']} s"),
        ("Given up by the relay", str(totals["dead"])),
        ("Failed on their way in", str(totals["failed"])),
        ("Came before their wait", str(totals["kept"])),
    ]
    return Figures(time.monotonic(), [_workflow(graph, counts, tenant) for graph in service.workflows], shown)


def _workflow(graph: WorkflowGraph, counts: list[StateCount], tenant: str) -> dict[str, Any]:
    definition = graph.engine.definition
    mine = [one for one in counts if one.workflow == definition.name]
    tools = graph.instances.tool_stats(tenant=tenant)
    known = {*definition.states, *definition.state_mapping}
    lost = [one for one in mine if one.state not in known and not one.is_final]
    stranded = ", ".join(f"{one.count} in {one.state!r}" for one in lost)
    return {
        "name": definition.name,
        "version": definition.version,
        "states": [
            {
                "state": one.state,
                "count": one.count,
                "oldest": instant(one.oldest).strftime("%Y-%m-%d %H:%M UTC"),
                "versions": ", ".join(f"v{version}" for version in one.versions),
            }
            for one in mine
        ],
        "states_chart": bars("Instances by state", ("instances",), [Bar(one.state, (one.count,)) for one in mine]),
        "stranded": f"This version does not know the state of some instances: {stranded}. Map them with state_mapping."
        if lost
        else "",
        "tools": [_tool(one) for one in tools],
        "tools_chart": _tools_chart(tools),
    }


def _tool(row: dict[str, Any]) -> dict[str, Any]:
    done = row["carried_out"] + row["reads"]
    tried = done + row["failed"] + row["denied"]
    mean = row["seconds_mean"]
    return {
        "tool": row["tool"],
        "done": done,
        "failed": row["failed"],
        "unknown": row["unknown"],
        "denied": row["denied"],
        "rate": f"{row['denied'] / tried:.0%}" if tried else "",
        "mean": "" if mean is None else f"{mean * 1000:.0f} ms",
        "codes": ", ".join(f"{code} {count}" for code, count in sorted(row["denials"].items())),
    }


def _tools_chart(tools: list[dict[str, Any]]) -> Markup:
    rows = [Bar(one["tool"], (one["carried_out"] + one["reads"], one["failed"], one["denied"])) for one in tools]
    return bars("Calls by tool", ("carried out", "failed", "denied"), rows)


def _learned(service: Service, caller: Caller) -> list[dict[str, Any]]:
    found = []
    for graph in service.workflows:
        rows = graph.instances.outcomes(by=("tool", "state"), tenant=caller.principal.tenant)
        found.append(
            {
                "name": graph.engine.definition.name,
                "rows": [
                    {
                        **row,
                        "fields": ", ".join(f"{name} {count}" for name, count in row["edited_fields"].items()),
                        "reasons": "; ".join(f"{text} ({count})" for text, count in row["reasons"].items()),
                    }
                    for row in rows
                ],
                "chart": bars(
                    "What became of proposals",
                    ("accepted", "edited", "rejected"),
                    [
                        Bar(f"{one['tool']} in {one['state']}", (one["accepted"], one["edited"], one["rejected"]))
                        for one in rows
                    ],
                ),
            }
        )
    return found
