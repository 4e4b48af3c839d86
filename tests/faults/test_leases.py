"""An attempt begins within its lease and under the release that announced it, or it does not begin."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from interlock import SQLCheckpointer, ToolContext, WorkflowGraph, command
from interlock.checkpointing.store import leases
from interlock.commands.execution.outside import Outside
from tests.faults.test_outside_effects import (
    AGAIN,
    HERE,
    Clock,
    Parcel,
    Sent,
    Service,
    asked,
    depot,
    kinds,
    sending,
    start,
)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def saver(tmp_path: pathlib.Path) -> Iterator[SQLCheckpointer]:
    with SQLCheckpointer(f"sqlite:///{tmp_path / 'parcels.db'}") as opened:
        yield opened


class Away:
    """The seconds that a process counts; a transaction may take very long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 100.0
        monkeypatch.setattr(leases, "clock", lambda: self.seconds)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("slow", "begun"), [(1, [2]), (2, [1, 3])], ids=["the first attempt", "an attempt again"])
async def test_an_attempt_that_was_announced_so_long_ago_that_its_lease_may_be_over_does_not_begin(
    slow: int,
    begun: list[int],
    is_async: bool,
    saver: SQLCheckpointer,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Away(monkeypatch)
    announced = 0

    def announcing(connection: Any) -> None:
        nonlocal announced
        announced += 1
        if announced == slow:
            away.seconds += 31  # the lease is of 30

    if len(begun) > 1:
        service.troubles = [ConnectionError("gone")]
    if is_async:

        @command("parcel.send", effect="idempotent", retry=AGAIN)
        async def tool(ctx: ToolContext[Parcel]) -> Sent:
            """Send the parcel."""
            return service.send(ctx)
    else:
        tool = sending(service, "idempotent", retry=AGAIN)
    graph = depot(saver, tool, Clock())
    record = Outside._record_attempt
    monkeypatch.setattr(
        Outside, "_record_attempt", lambda *given, **more: (announcing(None), record(*given, **more))[1]
    )

    done = await graph.ainvoke({"messages": [("user", "send it")]}, HERE) if is_async else start(graph)

    assert done["state"] == "sent"
    assert service.attempts == begun
    assert kinds(graph).count("attempt") == announced == begun[-1]


def broken_off(graph: WorkflowGraph, service: Service) -> None:
    """Begin an attempt, in a process that ends in the middle of the effect."""

    def end() -> None:
        raise SystemExit

    service.meanwhile = end
    with pytest.raises(SystemExit):
        start(graph)
    service.meanwhile = lambda: None


@pytest.mark.parametrize(("version", "asks"), [(1, False), (2, True)])
def test_an_effect_that_another_release_of_its_tool_began_is_asked_about_and_not_repeated(
    version: int, asks: bool, saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    broken_off(depot(saver, sending(service, "idempotent", retry=AGAIN), clock), service)
    later = depot(saver, sending(service, "idempotent", retry=AGAIN, version=version), clock)

    later.invoke(None, HERE)

    if asks:
        assert asked(later)["type"] == "outcome_unknown"
        assert service.attempts == [1]
        assert later.instances.get(HERE).state == "packed"
    else:
        assert service.attempts == [1, 2]
        assert len(set(service.keys)) == 1
        assert later.instances.get(HERE).state == "sent"


def test_each_attempt_has_a_whole_lease_and_nothing_older_may_move_the_workflow_meanwhile(
    saver: SQLCheckpointer, service: Service, clock: Clock
) -> None:
    graph = depot(saver, sending(service, "idempotent", retry=AGAIN), clock)
    service.troubles = [ConnectionError("gone")]
    seen: list[tuple[float, bool]] = []

    def look() -> None:
        instance = graph.engine.store.get(graph.instances.id_of(HERE))
        assert instance.lease_until is not None
        seen.append(((instance.lease_until - clock.now) / 1_000_000, instance.head_checkpoint is not None))
        clock.pass_seconds(20)

    service.meanwhile = look
    assert start(graph)["state"] == "sent"

    assert seen == [(30.0, True), (30.0, True)]
