"""The fleet pages: the instances of each workflow by state, statistics of its tools, and the outcomes of judged proposals."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.engine import Connection

from ...checkpointing.reports.daily import DAY, Day, daily
from ...checkpointing.reports.fleet import Standing, StateCount, boxes, by_definition, by_state
from ...commands.instances.versions import why_stranded
from ...graphs import WorkflowGraph
from ...rules.definition import Definition
from ...rules.origins import TrustedOrigins
from ...rules.origins.tracing import IN_WORDS
from ..access import operators_only
from ..addresses import attachment
from ..context import Calls, Serves, Service
from ..moments import instant
from .charts import Bar, bars, columns
from .pages import page

LATEST = 2000
"""The number of newest proposals per tool in the statistics."""
_IN_WORDS = {origin.value: words for origin, words in IN_WORDS.items()}


@dataclass(frozen=True)
class Figures:
    """The content of the page."""

    workflows: list[dict[str, Any]]
    boxes: list[tuple[str, str]]
    planned: list[dict[str, Any]]


def add(router: APIRouter) -> None:
    """Add the pages."""
    router.get("/fleet")(show)
    router.get("/learning")(learning)
    router.get("/learning/{name}.jsonl")(export)


async def show(request: Request, serves: Serves, caller: Calls) -> Response:
    """Show the fleet."""
    operators_only(caller, "figures of the whole tenant")
    tenant = caller.principal.tenant
    figures, at = await serves.figures.of(("fleet", tenant), lambda: _figures(serves, tenant))
    return page(
        request,
        "fleet.html",
        caller,
        workflows=figures.workflows,
        boxes=figures.boxes,
        planned=figures.planned,
        at=int(at * 1_000_000),
    )


async def learning(request: Request, serves: Serves, caller: Calls) -> Response:
    """Show the outcomes of proposals that needed a decision."""
    operators_only(caller, "figures of the whole tenant")
    tenant = caller.principal.tenant
    learned, at = await serves.figures.of(("learning", tenant), lambda: _learned(serves, tenant))
    return page(request, "learning.html", caller, workflows=learned, latest=LATEST, at=int(at * 1_000_000))


async def export(name: str, serves: Serves, caller: Calls) -> Response:
    """Proposals that were edited, rejected or answered, as JSON Lines."""
    operators_only(caller, "examples of the whole tenant")
    instances = serves.workflows.named(name).instances

    async def lines() -> AsyncIterator[str]:
        async for one in instances.aexamples(tenant=caller.principal.tenant):
            yield json.dumps(one, ensure_ascii=False) + "\n"

    return StreamingResponse(lines(), media_type="application/jsonl", headers=attachment(f"{name}.jsonl"))


def _figures(service: Service, tenant: str) -> Figures:
    counts: list[StateCount] = []
    totals: dict[str, int] = {}
    stranded: dict[str, list[dict[str, Any]]] = defaultdict(list)
    served = [graph.engine.definition for graph in service.workflows]
    for store in service.workflows.stores:
        with store.read() as connection:
            for one in by_definition(connection, tenant=tenant):
                for definition in (*served, *service.planned):
                    if definition.name == one.workflow and (why := _why_stranded(connection, definition, one)):
                        stranded[_version(definition)].append({"where": one, "why": why})
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
    workflows = [_workflow(graph, counts, tenant) for graph in service.workflows]
    for shown_one, definition in zip(workflows, served, strict=True):
        shown_one["stranded"] = stranded[_version(definition)]
    planned = [
        {"name": one.name, "version": one.version, "stranded": stranded[_version(one)]} for one in service.planned
    ]
    return Figures(workflows, shown, planned)


def _version(definition: Definition) -> str:
    return f"{definition.name} {definition.version} {definition.fingerprint}"


def _why_stranded(connection: Connection, definition: Definition, one: Standing) -> str | None:
    return why_stranded(
        connection, definition, version=one.version, fingerprint=one.definition, state=one.state, is_held=one.is_held
    )


def _workflow(graph: WorkflowGraph, counts: list[StateCount], tenant: str) -> dict[str, Any]:
    definition, store = graph.engine.definition, graph.engine.store
    mine = [one for one in counts if one.workflow == definition.name]
    tools = graph.instances.tool_stats(tenant=tenant)
    with store.read() as connection:
        days = daily(connection, tenant=tenant, workflow=definition.name, now=store.now(connection))
    return {
        "name": definition.name,
        "version": definition.version,
        "states": [
            {
                "state": one.state,
                "count": one.count,
                "oldest": one.oldest,
                "versions": ", ".join(f"v{version}" for version in one.versions),
            }
            for one in mine
        ],
        "states_chart": bars("Instances by state", ("instances",), [Bar(one.state, (one.count,)) for one in mine]),
        "tools": [_tool(one) for one in tools],
        "days": [_day(one) for one in days],
        "calls_chart": columns(
            "Calls of the last days",
            ("carried out", "failed", "denied"),
            [Bar(_date(one), (one.carried_out, one.failed, one.denied.total())) for one in days],
        ),
        "decisions_chart": columns(
            "Decisions of the last days",
            ("approved", "edited", "rejected", "answered"),
            [Bar(_date(one), tuple(one.decided[kind] for kind in _DECISIONS)) for one in days],
        ),
        "decided": any(one.decided for one in days),
    }


_DECISIONS = ("approve", "edit", "reject", "respond")


def _date(day: Day) -> str:
    return instant(day.number * DAY).strftime("%m-%d")


def _day(day: Day) -> dict[str, Any]:
    """The figures of one day, for people who cannot see the chart."""
    denied, decided = day.denied.total(), day.decided.total()
    tried = day.carried_out + day.failed + denied
    return {
        "date": instant(day.number * DAY).strftime("%Y-%m-%d"),
        "carried_out": day.carried_out,
        "failed": day.failed,
        "denied": denied,
        "denial_rate": f"{denied / tried:.0%}" if tried else "",
        "codes": ", ".join(f"{code} {count}" for code, count in sorted(day.denied.items())),
        "decided": decided,
        "override_rate": f"{1 - day.decided['approve'] / decided:.0%}" if decided else "",
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
        "retries": row["retries"],
        "denied": row["denied"],
        "rate": f"{row['denied'] / tried:.0%}" if tried else "",
        "mean": "" if mean is None else f"{mean * 1000:.0f} ms",
        "most": "" if mean is None else f"{row['seconds_max'] * 1000:.0f} ms",
        "codes": ", ".join(f"{code} {count}" for code, count in sorted(row["denials"].items())),
    }


def _learned(service: Service, tenant: str) -> list[dict[str, Any]]:
    found = []
    for graph in service.workflows:
        rows = graph.instances.outcomes(by=("tool", "state"), tenant=tenant, newest=LATEST)
        origins = _by_origin(graph, tenant)
        decided = [one for one in rows if one["accepted"] or one["edited"] or one["rejected"]]
        found.append(
            {
                "name": graph.engine.definition.name,
                "traces": origins is not None,
                "rows": [
                    {
                        **row,
                        "origins": "; ".join((origins or {}).get((row["tool"], row["state"]), ())),
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
                        for one in decided
                    ],
                )
                if decided
                else None,
            }
        )
    return found


def _by_origin(graph: WorkflowGraph, tenant: str) -> dict[tuple[str, str], list[str]] | None:
    """The acceptance rate of proposals by tool, state and origin; None without tracing."""
    if not any(isinstance(policy, TrustedOrigins) for policy in graph.engine.definition.policies):
        return None
    found: dict[tuple[str, str], list[str]] = {}
    for row in graph.instances.outcomes(by=("tool", "state", "origin"), tenant=tenant, newest=LATEST):
        if row["origin"] is not None:
            words = _IN_WORDS.get(row["origin"], row["origin"])
            said = f"{words}: {row['accepted']} of {row['proposals']} accepted"
            found.setdefault((row["tool"], row["state"]), []).append(said)
    return found
