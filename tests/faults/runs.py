"""Running a workflow to its end as an operator would after each crash, and what is left behind when it is there."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from interlock import EventEnvelope, Principal, WorkflowGraph
from interlock.checkpointing.tables.workflow import ledger, outbox
from interlock.operations import Deliveries
from interlock.testing import injected
from interlock.tools import (
    ConflictError,
    EventId,
    InterlockError,
    ResumeError,
    StaleCheckpoint,
    TraceId,
    WorkflowFinished,
    WorkflowId,
)

from .outside import World
from .workflows import ASYNCHRONOUS, AT_MOST_ONCE, BOSS, CLERK, Address, Booked, Paid, bookings, built

ROUNDS = 60


@dataclass(frozen=True)
class Left:
    """What a workflow left behind, without ids and times: the same after any crashes as after none."""

    state: str
    revision: int
    data: dict[str, Any]
    transitions: list[tuple[str, str, str]]
    ledger: list[tuple[str, str]]
    outbox: list[str]
    bookings: list[tuple[str, str]]
    answers: list[tuple[str | None, str]]
    broken: list[str]


def go(name: str, url: str, address: Address, thread: str) -> str:
    """Go on with a thread until it is over, or until a person has to resolve something.

    Returns:
        The state that it ended in, or `"unknown"`.
    """
    graph = built(name, url, address)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    for _ in range(ROUNDS):
        snapshot = graph.get_state(config)
        if not snapshot.values:
            _run(graph, {"messages": [("user", "go on")], "data": {"thread": thread}}, config, CLERK)
        elif snapshot.interrupts:
            asked = snapshot.interrupts[0]
            if asked.value["type"] == "wait":
                end_wait(graph, asked.value, thread)
                continue
            # Decided or resolved already, and not gone on yet: then the graph only has to.
            instance = graph.instances.get(config)
            if asked.value["type"] == "outcome_unknown" and instance.running_key is not None:
                return "unknown"
            waits = bool(graph.engine.store.pending_approvals(instance.workflow_id))
            answer = Command(resume={asked.id: {"type": "approve"}}) if waits else None
            _run(graph, answer, config, BOSS if waits else CLERK)  # whoever decides does not speak for the clerk
        elif name == "waits" and Deliveries(graph, abandoned_after=0).tick().resumed:
            continue  # what was resumed before the crash is nobody else's to take up
        elif snapshot.tasks:  # `next` leaves out a task that has ended and whose step has not
            _run(graph, None, config, CLERK)
        else:
            return str(snapshot.values["state"])
    raise AssertionError(f"{thread} of {name} did not come to an end")


def insist(name: str, url: str, address: Address, thread: str) -> str:
    """Go on with a workflow that others go on with too, until it is over or has to be resolved."""
    for _ in range(200):
        try:
            return go(name, url, address, thread)
        except InterlockError as error:
            if not isinstance(error, (ConflictError, ResumeError, StaleCheckpoint, WorkflowFinished)):
                raise
    raise AssertionError("nobody came to an end")


def _run(graph: WorkflowGraph, given: Any, config: RunnableConfig, by: Principal) -> None:
    if graph.name in ASYNCHRONOUS:
        asyncio.run(graph.ainvoke(given, config, context=by))
    else:
        graph.invoke(given, config, context=by)


def end_wait(graph: WorkflowGraph, wait: dict[str, Any], thread: str) -> None:
    """Do what the world and the clock do about a wait: an event that comes again under one id, or the tick."""
    deliveries = Deliveries(graph)
    if wait["state"] == "asked":
        event = EventEnvelope.wrap(
            Paid(),
            event_id=EventId(f"paid-{thread}"),
            occurred_at=dt.datetime(2026, 5, 1, tzinfo=dt.UTC),
            trace_id=TraceId("trace_outside"),
            workflow_id=WorkflowId(wait["workflowId"]),
            metadata={"source": "/outside"},
        )
        deliveries.deliver(event)
    deliveries.tick()


def count_points(name: str, url: str, address: Address, thread: str) -> list[str]:
    """The fault points that an undisturbed run comes to."""
    with injected() as reached:
        go(name, url, address, thread)
    return reached.points


def look_into(name: str, url: str, world: World, thread: str) -> None:
    """Resolve what is unknown, as a person would who can look at what happened outside."""
    graph = built(name, url, world.address)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    asked = graph.get_state(config).interrupts[0]
    keys = [key for tool, key in world.calls(thread) if tool == AT_MOST_ONCE]
    if asked.value["key"] not in keys:
        graph.instances.resolve(config, "retry", by=BOSS, note="they know nothing of it")
        return
    data = graph.instances.get(config).data
    graph.instances.resolve(
        config,
        "happened",
        by=BOSS,
        output={"what": "parcel"},
        data={**data, "done": [*data["done"], "parcel"]},
        events=[Booked(what="parcel", amount=Decimal("0.00"))],
        note="it is in their books",
    )


def recover(name: str, url: str, world: World, thread: str) -> Left:
    """Bring a thread to its end after a crash, resolving what has to be resolved, and see what is left behind."""
    for _ in range(ROUNDS):
        if go(name, url, world.address, thread) != "unknown":
            return left_behind(name, url, world.address, thread)
        look_into(name, url, world, thread)
    raise AssertionError(f"{thread} of {name} asks again and again")


def left_behind(name: str, url: str, address: Address, thread: str) -> Left:
    """Everything that a workflow left behind."""
    graph = built(name, url, address)
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    instance = graph.instances.get(config)
    store = graph.engine.store
    with store.read() as connection:
        entries = connection.execute(
            sa.select(ledger.c.tool, ledger.c.status).where(ledger.c.workflow_id == instance.workflow_id)
        ).all()
        events = connection.scalars(
            sa.select(outbox.c.envelope).where(outbox.c.workflow_id == instance.workflow_id).order_by(outbox.c.position)
        ).all()
        written = connection.execute(
            sa.select(bookings.c.what, bookings.c.amount).where(bookings.c.thread == thread).order_by(bookings.c.number)
        ).all()
    return Left(
        state=instance.state,
        revision=instance.revision,
        data=instance.data,
        transitions=_transitions(graph, config),
        ledger=sorted((tool, status) for tool, status in entries),
        outbox=[_what(envelope) for envelope in events],
        bookings=[(what, amount) for what, amount in written],
        answers=_answers(graph, config),
        broken=[broken.problem for broken in store.verify(instance.workflow_id)],
    )


def _transitions(graph: WorkflowGraph, config: RunnableConfig) -> list[tuple[str, str, str]]:
    return [
        (str(record.tool), record.payload["previousState"], record.payload["currentState"])
        for record in graph.instances.audit(config)
        if record.kind == "transition" and record.payload is not None
    ]


def _answers(graph: WorkflowGraph, config: RunnableConfig) -> list[tuple[str | None, str]]:
    return [
        (message.name, message.status)
        for message in graph.get_state(config).values["messages"]
        if isinstance(message, ToolMessage)
    ]


def _what(envelope: str) -> str:
    return str(json.loads(envelope)["what"])


def check_effects(world: World, thread: str, expected: Iterable[str]) -> None:
    """Check what happened outside: at most once what may not be repeated, and under one key what may."""
    calls, expected = world.calls(thread), set(expected)
    for tool in expected:
        keys = [key for called, key in calls if called == tool]
        assert len(set(keys)) == 1, f"{tool} was called under {len(set(keys))} keys"
        if tool == AT_MOST_ONCE:
            assert len(keys) == 1, f"{tool} happened {len(keys)} times"
    assert {tool for tool, _ in calls} == expected
